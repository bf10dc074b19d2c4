"""How the page report/atlas.html draws this analysis."""

from collections.abc import Mapping

from sat.units.chart import Chart, Column, Heat, Rows

CHARTS: Mapping[str, Chart] = {
    "ablation": (
        Rows(
            title="agreement with the study",
            label=("variant",),
            values=(
                Column("spearman", "rank correlation with the study"),
                Column("rand", "adjusted Rand index of the clusters"),
                Column("mean_whitebox", "mean white-box success"),
            ),
            by=("of",),
        ),
        Heat(
            title="variants with each other",
            table="ablation_pairs",
            row="variant_a",
            column="variant_b",
            value=Column("spearman", "rank correlation"),
            symmetric=True,
            by=("of",),
        ),
    ),
}
