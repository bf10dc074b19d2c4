"""How the page report/atlas.html draws this analysis."""

from collections.abc import Mapping

from sat.units.analysis import SIMILARITIES
from sat.units.chart import Chart, Column, Points, Rows

CHARTS: Mapping[str, Chart] = {
    "distillation": (
        *(
            Points(
                title=f"gain and {words}",
                name=("teacher",),
                x=Column(of, f"{words} of the teacher and the student alone"),
                y=Column("gain", "gain in accuracy", "gain_low", "gain_high", share=True),
                colour="relation",
            )
            for of, words in SIMILARITIES.items()
        ),
        Rows(
            title="every teacher",
            label=("teacher",),
            values=(Column("gain", "gain in accuracy", "gain_low", "gain_high", share=True),),
        ),
    ),
    "distillation_relation": (
        Rows(
            label=("of", "group"),
            values=(Column("spearman", "rank correlation with the gain", "spearman_low", "spearman_high", "p"),),
        ),
    ),
}
