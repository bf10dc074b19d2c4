"""How the page report/atlas.html draws this analysis."""

from collections.abc import Mapping

from sat.units.chart import Chart, Column, Heat, Pairs, Rows

CHARTS: Mapping[str, Chart] = {
    "mistakes": (
        Heat(title="every pair", measure="mistakes:excess"),
        Pairs(title="shared mistakes and SAT", x="sat", y="mistakes:excess"),
    ),
    "mistakes_models": (
        Rows(
            label=("model",),
            values=(
                Column("same_share", "its source's mistake", share=True),
                Column("own_share", "the mistake of its own attack", share=True),
            ),
        ),
    ),
    "mistakes_pool": (
        Rows(
            title="fooled targets",
            label=("quantity",),
            values=(Column("value", "number of targets"),),
            where={"quantity": ("fooled", "same", "own", "expected_by_class", "expected_by_image")},
        ),
        Rows(
            title="shares",
            label=("quantity",),
            values=(Column("value", "share"),),
            where={"quantity": ("excess", "excess_image", "image_share")},
        ),
        Rows(
            title="images that transfer in both directions",
            label=("quantity",),
            values=(Column("value", "number of images"),),
            where={"quantity": ("both_fooled", "both_by_rates", "both_by_images")},
        ),
    ),
    "mistakes_relation": (
        Rows(
            label=("quantity",),
            values=(
                Column("sat_spearman", "rank correlation with SAT", p="sat_p"),
                Column("affinity_spearman", "with affinity, levels removed", p="affinity_p"),
            ),
        ),
    ),
}
