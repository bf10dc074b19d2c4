"""What the tables of this analysis hold."""

from sat.store.columns import Table, common

COLUMNS = {
    "reference": Table(
        "One row for each group of models, for SAT and for affinity.",
        {
            **common("of"),
            "group": "`all`, or a group of models",
            "rule": "`both`: pairs of two models of the group; `any`: pairs with at least one",
            **common("n_models", "n_pairs"),
            "pearson": "correlation of the two matrices over pairs",
            "spearman": "rank correlation of the two matrices over pairs",
            "mantel_p": "p-value of pearson, one-sided (Mantel)",
            "mean_offset": "mean of this study minus the reference",
            "sd_offset": "standard deviation of this study minus the reference",
        },
    ),
    "reference_pairs": Table(
        "One row for each pair of models that both matrices have, the largest difference first.",
        {
            **common("model_a", "model_b"),
            "study": "SAT in this study",
            "reference": "SAT in the reference",
            "difference": "study minus reference",
            "study_affinity": "affinity in this study, fitted to the models that both have",
            "reference_affinity": "affinity in the reference, fitted to the models that both have",
        },
    ),
}
