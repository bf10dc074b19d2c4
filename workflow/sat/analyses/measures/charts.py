"""How the page report/atlas.html draws this analysis."""

from collections.abc import Mapping

from sat.units.chart import Chart, Column, Pairs, Rows

CHARTS: Mapping[str, Chart] = {
    "measures": (
        Rows(
            title="rank correlations",
            label=("measure", "of"),
            values=(
                Column("spearman", "rank correlation", p="mantel_p"),
                Column("partial_spearman", "the same, without the difference of accuracies"),
            ),
        ),
        Pairs(title="every pair", x="sat", y="measures_pairs"),
    ),
    "measures_separation": (
        Rows(
            title="share told apart",
            label=("measure",),
            values=(Column("roc_auc", "how often a pair within a family is more similar", p="p"),),
            by=("rest",),
            marks=(0.5, 1.0),
        ),
        Rows(title="d'", label=("measure",), values=(Column("d_prime", "d'", p="p"),), by=("rest",)),
    ),
}
