"""How the page report/atlas.html draws this analysis."""

from collections.abc import Mapping

from sat.units.chart import Chart, Column, Heat, Points, Rows

CHARTS: Mapping[str, Chart] = {
    "directions": (
        Heat(title="transfer rates", measure="directed_rate"),
        Points(
            title="one direction against the other",
            name=("model_a", "model_b"),
            x=Column("rate_ab", "rate from model_a to model_b", "rate_low_ab", "rate_high_ab", share=True),
            y=Column("rate_ba", "rate from model_b to model_a", "rate_low_ba", "rate_high_ba", share=True),
            diagonal=True,
        ),
    ),
    "directions_pool": (
        Rows(
            title="numbers of pairs or directions",
            label=("quantity",),
            values=(Column("value", "count"), Column("n", "total")),
            where={
                "quantity": (
                    "above_noise",
                    "above_noise_in_one_direction",
                    "above_noise_holm",
                    "directions_above_noise",
                    "directions_above_noise_holm",
                    "ratio_above_5",
                    "ratio_above_10",
                )
            },
        ),
        Rows(
            title="correlations",
            label=("quantity",),
            values=(Column("value", "correlation"),),
            where={
                "quantity": (
                    "spearman_larger",
                    "spearman_smaller",
                    "correlation_of_directions",
                    "correlation_of_rests",
                )
            },
        ),
    ),
}
