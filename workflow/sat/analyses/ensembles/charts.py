"""How the page report/atlas.html draws this analysis."""

from collections.abc import Mapping

from sat.units.analysis import SIMILARITIES
from sat.units.chart import Chart, Column, Lines, Points, Rows

CHARTS: Mapping[str, Chart] = {
    "ensembles": tuple(
        Points(
            title=f"gain and {words}",
            name=("members",),
            x=Column(f"mean_{of}", f"mean {words} of the members"),
            y=Column("error_reduction", "fewer errors than the average member", share=True),
            colour="n_clusters",
            by=("size",),
        )
        for of, words in SIMILARITIES.items()
    ),
    "ensembles_relation": (
        Rows(
            label=("size", "of"),
            values=(
                Column("spearman", "rank correlation", p="p"),
                Column("partial_spearman", "the same, levels removed", p="partial_p"),
            ),
        ),
    ),
    "ensembles_clusters": (
        Lines(
            x=Column("n_clusters", "number of clusters that the members are from"),
            values=(Column("error_reduction", "fewer errors than the average member", share=True),),
            group="size",
        ),
    ),
}
