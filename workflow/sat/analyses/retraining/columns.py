"""What the tables of this analysis hold."""

from sat.store.columns import Table, common

COLUMNS = {
    "retraining": Table(
        "One row for SAT and one for affinity. A net is trained several times; a pool has one training of each.",
        {
            "measure": "`sat` or `affinity`",
            "n_nets": "number of nets that were trained more than once",
            **common("n_models"),
            "sd_nets": "standard deviation over pairs of nets",
            "sd_trainings": "standard deviation over trainings",
            "share": "the trainings' share of the variance",
            "share_low": "lower end of its interval (jackknife over nets)",
            "share_high": "upper end of its interval (jackknife over nets)",
            "sd_images": "standard error of a pair for the choice of images",
            "widening": "how many times wider than the image interval an interval for other trainings must be",
            "covered": "how often the image interval of one training holds the value of another",
            "correlation": "mean rank correlation of two pools",
            "nearest_kept": "how often a net has the same nearest net in both pools",
            "rand": "mean adjusted Rand index of the clusters of both pools; of SAT only",
            "mean_within": "mean of pairs of trainings of one net",
            "mean_across": "mean of pairs of trainings of different nets",
            "nearest_is_own": "how often a model's nearest model is another training of its net",
        },
    ),
    "retraining_pairs": Table(
        "One row for each two nets; a net with itself stands for its trainings.",
        {
            "net_a": "first net",
            "net_b": "second net",
            "n_pairs": "number of pairs of trainings",
            "sat": "mean SAT of these pairs",
            "sat_lowest": "lowest SAT of these pairs",
            "sat_highest": "highest SAT of these pairs",
            "affinity": "mean affinity of these pairs",
            "affinity_lowest": "lowest affinity of these pairs",
            "affinity_highest": "highest affinity of these pairs",
        },
    ),
}
