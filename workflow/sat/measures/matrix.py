"""Apply a measure to all models of a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sat.units import check_known, module
from sat.units.measure import Measure


def similarity_matrix(name: str, arrays: Mapping[str, Any], labels: Any = None) -> pd.DataFrame:
    """Compute the similarity of every two models.

    Parameters
    ----------
    name : str
        Name of the measure.
    arrays : mapping of str to array_like
        For each model, the array that the measure `needs`. Only `shape` and slices
        of rows are used, so it may be an open HDF5 data set.
    labels : int array, shape (n,), optional
        True classes; a `labelled` measure needs them.

    Returns
    -------
    DataFrame, shape (models, models)
        Symmetric matrix in the order of `arrays`. A model whose array is not finite
        everywhere has NaN in its row and column, diagonal included.

    Raises
    ------
    ValueError
        If there is no such measure, shapes do not fit together, there are too few images, or labels are missing.
    """
    unit = module("measures", check_known("measures", name))
    _check(name, unit.UNIT, arrays, labels)
    with np.errstate(invalid="ignore", divide="ignore"):
        square = unit.run(list(arrays.values()), None if labels is None else np.asarray(labels))
    return pd.DataFrame(square, index=list(arrays), columns=list(arrays))


def similarity(name: str, a: Any, b: Any, labels: Any = None) -> float:
    """Compute the similarity of two models from one array each; see `similarity_matrix`."""
    return float(similarity_matrix(name, {"a": a, "b": b}, labels).iloc[0, 1])


def _check(name: str, measure: Measure, arrays: Mapping[str, Any], labels: Any) -> None:
    if len(arrays) < 2:
        raise ValueError(f"{name} compares two models or more, not {len(arrays)}")
    shapes = {model: tuple(array.shape) for model, array in arrays.items()}
    axes = 1 if measure.needs == "prediction" else 2
    # The classes or pixels of two models must be the same, but features may differ.
    alike = {shape[0] if measure.needs == "feature" else shape for shape in shapes.values()}
    if len(alike) > 1 or any(len(shape) != axes for shape in shapes.values()):
        raise ValueError(f"{name}: arrays do not fit together: {shapes}")
    n = next(iter(shapes.values()))[0]
    if n < measure.least:
        raise ValueError(f"{name} needs at least {measure.least} images, not {n}")
    if measure.labelled and (labels is None or np.shape(labels) != (n,)):
        raise ValueError(f"{name} needs the {n} images' labels")
