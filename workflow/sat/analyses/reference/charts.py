"""How the page report/atlas.html draws this analysis."""

from collections.abc import Mapping

from sat.units.chart import Chart, Column, Points, Rows

CHARTS: Mapping[str, Chart] = {
    "reference": (
        *(
            Points(
                title=f"{words} of every pair",
                table="reference_pairs",
                name=("model_a", "model_b"),
                x=Column(f"reference{end}", f"{words} of the reference"),
                y=Column(f"study{end}", f"{words} of this study"),
                diagonal=True,
            )
            for end, words in (("", "SAT"), ("_affinity", "affinity"))
        ),
        Rows(
            title="groups of models",
            label=("group", "rule"),
            values=(Column("spearman", "rank correlation"), Column("pearson", "Pearson's correlation")),
            by=("of",),
        ),
    ),
}
