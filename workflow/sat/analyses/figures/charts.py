"""How the page report/atlas.html draws this analysis."""

from collections.abc import Mapping

from sat.units.chart import Chart, Column, Heat, Points, Tree

CHARTS: Mapping[str, Chart] = {
    "clustermap": (Heat(measure="sat"),),
    "affinitymap": (Heat(measure="affinity"),),
    "tsne": (Points(name=("model",), x=Column("x"), y=Column("y"), colour="family", same_scale=True),),
    "tsne_components": (
        Points(table="tsne", name=("model",), x=Column("x"), y=Column("y"), colour="cluster", same_scale=True),
    ),
    "distances": (Heat(measure="distance"),),
    "dendrogram": (Tree(),),
}
