"""The most similar other models of each model."""

from sat.study.section import Count, Section
from sat.units.analysis import Analysis, Answer, Shown


class Settings(Section):
    """Keys of the study."""

    nearest: Count = 2
    """Number of models that are listed for each."""


UNIT = Analysis(
    inputs={"sat": "similarity/sat.csv"},
    tables={"nearest": Shown("Similarity", "nearest models of each model")},
    settings=Settings,
    params=("families",),
    caption="The models with the largest SAT, and whether they are of the same family.",
)


def run(given, *, nearest, families):
    """List them: `given` holds the inputs by name, and the params are keywords."""
    import pandas as pd

    rows = [
        (model, rank, other, sat, families[model] == families[other])
        for model, column in given["sat"].items()
        for rank, (other, sat) in enumerate(column.drop(model).nlargest(nearest).items(), 1)
    ]
    return Answer({"nearest": pd.DataFrame(rows, columns=["model", "rank", "nearest", "sat", "same_family"])})
