"""What the tables of this analysis hold."""

from sat.store.columns import Table, common

COLUMNS = {
    "ablation": Table(
        "One row for each variant and for the study itself, for SAT and for affinity.",
        {
            "variant": "name of the variant",
            "{setting}": "settings of its attack that differ between variants, such as method, eps and step "
            "(grey levels)",
            **common("of"),
            "mean_whitebox": "mean white-box success, a share",
            "n_low_whitebox": "number of models below the study's `min_whitebox`",
            "mean_sat": "mean SAT of all pairs",
            **common("n_pairs"),
            "pearson": "correlation with the study's matrix over pairs",
            "spearman": "rank correlation with the study's matrix over pairs",
            "mantel_p": "p-value of pearson, one-sided (Mantel)",
            "mean_offset": "mean of variant minus study",
            "sd_offset": "standard deviation of variant minus study",
            "rand": "adjusted Rand index of its clusters and the study's",
        },
    ),
    "ablation_pairs": Table(
        "One row for each two variants, for SAT and for affinity.",
        {
            "variant_a": "first variant",
            "variant_b": "second variant",
            **common("of", "n_pairs"),
            "pearson": "correlation of the two matrices over pairs",
            "spearman": "rank correlation of the two matrices over pairs",
            "rand": "adjusted Rand index of both clusterings",
        },
    ),
}
