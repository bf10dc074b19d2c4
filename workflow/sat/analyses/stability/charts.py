"""How the page report/atlas.html draws this analysis."""

from collections.abc import Mapping

from sat.units.chart import Chart, Column, Lines, Rows

CURVE = Lines(
    title="how many images it takes",
    table="stability_curve",
    x=Column("images", "images in each of two disjoint samples"),
    values=(Column("mean", "rank correlation of the two matrices", "p05", "p95"),),
    group="of",
    log=True,
)

CHARTS: Mapping[str, Chart] = {
    "stability": (
        Rows(
            title="on other images",
            label=("statistic",),
            values=(Column("value", "value", "low", "high"),),
            by=("of",),
        ),
        CURVE,
    ),
    "stability_curve": (CURVE,),
    "stability_membership": (
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
}
