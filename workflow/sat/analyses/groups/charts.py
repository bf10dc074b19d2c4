"""How the page report/atlas.html draws this analysis."""

from collections.abc import Mapping

from sat.units.chart import Chart, Column, Rows

CHARTS: Mapping[str, Chart] = {
    "groups": (
        Rows(
            title="mean SAT",
            label=("group", "kind"),
            values=(Column("mean", "mean SAT of the pairs", "low", "high", "p"),),
            by=("column",),
        ),
        Rows(
            title="contrast with all others",
            table="groups_contrasts",
            label=("first", "second"),
            values=(Column("contrast", "contrast, log-odds", "low", "high", "p_holm"),),
            by=("column",),
        ),
    ),
    "groups_contrasts": (
        Rows(
            label=("first", "second"),
            values=(Column("contrast", "contrast, log-odds", "low", "high", "p_holm"),),
            by=("column",),
        ),
    ),
    "groups_overall": (
        Rows(
            label=("column",),
            values=(
                Column("half_contrast", "half contrast, groups weighted by size", "low", "high", "p_adjusted"),
                Column("half_contrast_equal", "groups weighted equally", "low_equal", "high_equal", "p_adjusted_equal"),
            ),
        ),
    ),
}
