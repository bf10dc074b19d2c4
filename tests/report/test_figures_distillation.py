"""The figure of distillation names teachers, groups and how sure they are, and takes whatever tables hold."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

from sat.analyses.distillation.figure import distillation_figure
from sat.report.style import save

TABLE = pd.DataFrame(
    {
        "teacher": ["a", "b", "c"],
        "relation": ["same", "other", "unknown"],
        "sat": [1.0, 2.0, np.nan],
        "gain": [0.01, -0.02, 0.0],
        "gain_low": [0.0, -0.03, -0.01],
        "gain_high": [0.02, -0.01, 0.01],
        "low_whitebox": [False, True, False],
    }
)
RELATED = pd.DataFrame(
    {
        "group": ["all", "same", "other"],
        "n_teachers": [2, 1, 1],
        "spearman": [-0.5, np.nan, np.nan],
        "spearman_low": [-0.9, np.nan, np.nan],
        "spearman_high": [0.1, np.nan, np.nan],
        "p": [0.2, np.nan, np.nan],
        "by": "family",
    }
)


def text_of(figure, path):
    save(figure, path)
    return "\n".join(element.text or "" for element in ElementTree.parse(path).iter() if element.tag.endswith("text"))


def test_teachers_groups_and_flags_are_named(tmp_path):
    text = text_of(distillation_figure(TABLE, RELATED, "tiny"), tmp_path / "a.svg")
    for words in (
        "a",
        "b",
        "same family",
        "other family",
        "low white-box success",
        "tiny",
        "-0.50 [-0.90, 0.10], p = 0.200",
    ):
        assert words in text
    assert "c" not in text.split("\n"), "has no SAT"
    assert text.count("no rank correlation") == 2


@pytest.mark.parametrize("change", [{"gain_low": np.nan, "gain_high": np.nan}, {"sat": np.nan}, {"sat": 1.0}])
def test_whatever_is_missing(tmp_path, change):
    text = text_of(distillation_figure(TABLE.assign(**change), RELATED, "tiny"), tmp_path / "a.svg")
    assert ("No teacher has a SAT with tiny" in text) == ("sat" in change and np.isnan(change["sat"]))
    assert text_of(distillation_figure(TABLE.iloc[:1], RELATED, "tiny"), tmp_path / "b.svg")
