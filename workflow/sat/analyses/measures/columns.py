"""What the tables of this analysis hold."""

from sat.store.columns import Table, common

COLUMNS = {
    "measures": Table(
        "One row for each measure, compared with SAT as it is, and with affinity after each model's level is "
        "taken out.",
        {
            "measure": "name of the measure",
            **common("of", "n_models", "n_pairs"),
            "spearman": "rank correlation over pairs",
            "mantel_p": "its p-value, two-sided (Mantel)",
            "partial_spearman": "the same without the difference of the two models' accuracies",
        },
    ),
    "measures_separation": Table(
        "One row for each measure, with and without each model's own level.",
        {
            "measure": "name of the measure; `sat` and `affinity` are the first two",
            "rest": "whether each model's own level is taken out",
            "n_within": "number of pairs within a family",
            "n_across": "number of pairs across families",
            "within_mean": "mean within families",
            "across_mean": "mean across families",
            "d_prime": "difference of the means over the root of the mean of both variances",
            "roc_auc": "how often a pair within a family is more similar than one across",
            **common("p"),
        },
    ),
    "measures_pairs": Table(
        "One row for each pair of different models, with four columns for each measure.",
        {
            **common("model_a", "model_b", "sat", "affinity"),
            "{measure}": "value of the measure",
            "{measure}_low": "lower end of its interval (choice of images)",
            "{measure}_high": "upper end of its interval (choice of images)",
            "{measure}_rest": "value without each model's own level",
        },
    ),
}
