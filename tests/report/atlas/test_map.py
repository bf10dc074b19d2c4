"""The map of report/atlas.html says what it keeps of the matrix."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist, squareform
from scipy.stats import spearmanr

from atlases import made
from sat.report.atlas.data import kept
from sat.report.wording import STEADY
from sat.units import declarations

NAMES = [f"m{k}" for k in range(12)]


def test_a_map_says_how_much_of_the_matrix_it_keeps():
    random, sat = np.random.default_rng(0), made(NAMES, ["a", "b", "c"] * 4).tables["sat"]
    places = pd.DataFrame({"model": NAMES, "x": random.normal(size=12), "y": random.normal(size=12)})
    apart, similar = squareform(cdist(places[["x", "y"]], places[["x", "y"]]), checks=False), sat.to_numpy(float)
    upper = np.triu_indices(12, 1)
    r = spearmanr(apart, -(similar + similar.T)[upper]).statistic
    same = 0
    for one in range(12):
        others = [other for other in range(12) if other != one]
        near = min(others, key=lambda other: np.hypot(*(places.loc[one, ["x", "y"]] - places.loc[other, ["x", "y"]])))
        same += near == max(others, key=lambda other: similar[one, other] + similar[other, one])
    said = kept(places, sat)
    assert f"rank correlation of {r:.2f}" in said and f"for {same} of 12 models" in said
    assert kept(places[:2], sat) == "A map of so few models says nothing."
    blank = sat.copy()
    blank.iloc[0, :] = blank.iloc[:, 0] = np.nan
    assert "rank correlation" in kept(places, blank)


def test_reference_lines_of_stability_stand_where_clusters_are_called_stable():
    for name in ("clusters", "stability"):
        (view,) = declarations("analyses")[name].charts["membership" if name == "clusters" else "stability_membership"]
        assert view.marks[0] == STEADY
