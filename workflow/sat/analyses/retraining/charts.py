"""How the page report/atlas.html draws this analysis."""

from collections.abc import Mapping

from sat.units.analysis import SIMILARITIES
from sat.units.chart import Chart, Column, Rows

CHARTS: Mapping[str, Chart] = {
    "retraining": (
        Rows(
            title="share of the variance",
            label=("measure",),
            values=(Column("share", "the trainings' share of the variance", "share_low", "share_high", share=True),),
        ),
        *(
            Rows(
                title=f"{words} of every two nets",
                table="retraining_pairs",
                label=("net_a", "net_b"),
                values=(
                    Column(of, f"mean {words} of their trainings, lowest and highest", f"{of}_lowest", f"{of}_highest"),
                ),
            )
            for of, words in SIMILARITIES.items()
        ),
    ),
    "retraining_pairs": tuple(
        Rows(
            title=words,
            label=("net_a", "net_b"),
            values=(
                Column(of, f"mean {words} of their trainings, lowest and highest", f"{of}_lowest", f"{of}_highest"),
            ),
        )
        for of, words in SIMILARITIES.items()
    ),
}
