"""How the page report/atlas.html draws this analysis."""

from collections.abc import Mapping

from sat.units.chart import Chart, Column, Rows

CHARTS: Mapping[str, Chart] = {
    "caveats": (
        Rows(
            label=("of", "quantity"),
            values=(Column("r", "Pearson's correlation"), Column("spearman", "correlation of ranks")),
            axis="correlation; a warning needs Pearson's beyond 0.5",
            marks=(-0.5, 0.0, 0.5),
        ),
    ),
}
