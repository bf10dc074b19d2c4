"""How the page report/atlas.html draws this analysis."""

from collections.abc import Mapping

from sat.units.chart import Chart, Column, Heat, Lines, Points, Rows

CHARTS: Mapping[str, Chart] = {
    "clusters": (
        Points(table="tsne", name=("model",), x=Column("x"), y=Column("y"), colour="cluster", same_scale=True),
    ),
    "choose_k": (
        Lines(
            x=Column("k", "number of clusters"),
            values=(
                Column("silhouette"),
                Column("start_agreement", "start agreement"),
                Column("best_starts", "share of best starts"),
                Column("eigengap"),
            ),
            by=("of",),
        ),
    ),
    "membership": (
        Rows(
            label=("model",),
            values=(
                Column("mates", "cluster mates that stay"),
                Column("overlap", "overlap of both clusters"),
            ),
            axis="share (mean over draws)",
            marks=(0.8, 1.0),
            by=("of",),
        ),
    ),
    "clusters_agreement": (
        Heat(row="first", column="second", value=Column("adjusted_rand", "adjusted Rand index"), symmetric=True),
    ),
}
