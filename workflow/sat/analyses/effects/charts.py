"""How the page report/atlas.html draws this analysis."""

from collections.abc import Mapping

from sat.units.chart import Chart, Column, Heat, Pairs, Points, Rows

CHARTS: Mapping[str, Chart] = {
    "effects": (
        Points(
            title="strength against fragility",
            name=("model",),
            x=Column("fragility", "fragility, log-odds", "fragility_low", "fragility_high"),
            y=Column("strength", "strength, log-odds", "strength_low", "strength_high"),
            colour="family",
        ),
        Rows(title="effect of each model", label=("model",), values=(Column("effect", "effect, log-odds"),)),
    ),
    "effects_pool": (
        Rows(
            label=("quantity",),
            values=(Column("value", "share"), Column("chance", "by chance")),
            where={"quantity": ("share_sat", "share_half", "reliability")},
        ),
    ),
    "effects_pairs": (
        Pairs(title="SAT and affinity", x="sat", y="affinity"),
        Heat(title="every pair", measure="affinity"),
    ),
}
