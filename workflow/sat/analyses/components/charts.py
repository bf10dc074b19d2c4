"""How the page report/atlas.html draws this analysis."""

from collections.abc import Mapping

from sat.units.chart import Chart, Column, Heat, Rows

CHARTS: Mapping[str, Chart] = {
    "components": (
        Rows(
            title="importance in a regression",
            label=("component",),
            values=(
                Column("importance", "fall of R² when shuffled", p="p_adjusted"),
                Column("held_out", "for pairs of two models not seen", "held_out_low", "held_out_high"),
            ),
            by=("of",),
        ),
        Rows(
            title="contrast, free of levels",
            table="components_contrasts",
            label=("component",),
            values=(
                Column("half_contrast", "half contrast, classes weighted by size", "low", "high", "p_adjusted"),
                Column(
                    "half_contrast_equal", "classes weighted equally", "low_equal", "high_equal", "p_adjusted_equal"
                ),
            ),
        ),
        Rows(
            title="same minus different",
            table="components_differences",
            label=("component",),
            values=(Column("difference", "difference of means", p="p_adjusted"),),
            by=("of",),
        ),
    ),
    "components_contrasts": (
        Rows(
            label=("component",),
            values=(
                Column("half_contrast", "half contrast, classes weighted by size", "low", "high", "p_adjusted"),
                Column(
                    "half_contrast_equal", "classes weighted equally", "low_equal", "high_equal", "p_adjusted_equal"
                ),
            ),
        ),
    ),
    "components_r2": (Rows(label=("kind",), values=(Column("r2", "R²", "low", "high"),), by=("of",)),),
    "components_differences": (
        Rows(
            title="same minus different",
            label=("component",),
            values=(Column("difference", "difference of means", p="p_adjusted"),),
            by=("of",),
        ),
        Rows(
            title="by value",
            table="components_values",
            label=("value",),
            values=(Column("difference", "same minus crossing, SAT", p="p_adjusted"),),
            by=("component",),
        ),
        Heat(
            title="mean SAT of two values",
            table="components_blocks",
            row="value_a",
            column="value_b",
            value=Column("mean", "mean SAT"),
            symmetric=True,
            by=("component",),
        ),
    ),
}
