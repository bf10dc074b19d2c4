"""What the tables of this analysis hold."""

from sat.store.columns import Table, common

COLUMNS = {
    "stability": Table(
        "One row for each statistic of the matrix, for SAT and for affinity.",
        {
            **common("of"),
            "statistic": "mean and sd of all pairs; means `within` and `across` families, and their difference; rank "
            "correlation between replicates, and of replicates with the measured matrix",
            **common("n_pairs", "value"),
            "low": "lower end of the interval over other images",
            "high": "upper end of the interval over other images",
            "level": "share of the replicates between low and high",
        },
    ),
    "stability_curve": Table(
        "One row for each number of images, for SAT and for affinity.",
        {
            **common("of"),
            "images": "number of images in each of two disjoint samples",
            "n": "number of draws",
            "mean": "mean rank correlation of the two matrices",
            "p05": "5 % point over the draws",
            "p95": "95 % point over the draws",
        },
    ),
    "stability_membership": Table(
        "One row for each model, for SAT and for affinity. A replicate is the matrix of other images.",
        {
            **common("of", "model", "cluster"),
            "n_mates": "number of other models in its cluster",
            "n_replicates": "number of replicates in which the model could be clustered",
            "mates": "mean share of its cluster mates that are in its cluster again; 1 is stable",
            "overlap": "mean share that both clusters have in common; it also falls when other models join",
        },
    ),
}
