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
        "affinity": [-0.4, 0.3, np.nan],
        "gain": [0.01, -0.02, 0.0],
        "gain_low": [0.0, -0.03, -0.01],
        "gain_high": [0.02, -0.01, 0.01],
        "low_whitebox": [False, True, False],
    }
)
RELATED = pd.DataFrame(
    {
        "of": np.repeat(["sat", "affinity"], 3),
        "group": ["all", "same", "other"] * 2,
        "n_teachers": [2, 1, 1] * 2,
        "spearman": [-0.5, np.nan, np.nan, -0.7, np.nan, np.nan],
        "spearman_low": [-0.9, np.nan, np.nan, -0.95, np.nan, np.nan],
        "spearman_high": [0.1, np.nan, np.nan, -0.2, np.nan, np.nan],
        "p": [0.2, np.nan, np.nan, 0.04, np.nan, np.nan],
        "by": "family",
    }
)


def text_of(figure, path):
    save(figure, path)
    texts = [element.text or "" for element in ElementTree.parse(path).iter() if element.tag.endswith("text")]
    return "\n".join([*texts, " ".join(texts)])


def test_teachers_groups_and_flags_are_named(tmp_path):
    text = text_of(distillation_figure(TABLE, RELATED, "tiny"), tmp_path / "a.svg")
    for words in (
        "a",
        "b",
        "same family",
        "other family",
        "low white-box success of the teacher",
        "no relation shown (\u03c1 = -0.50, p = 0.20)",
        "Less similar teachers give more gain (by affinity: \u03c1 = -0.70, p = 0.040)",
        "tiny",
        "-0.50 [-0.90, 0.10], p = 0.20",
        "-0.70 [-0.95, -0.20], p = 0.040",
        "SAT of the teacher and tiny",
        "affinity of the teacher and tiny",
    ):
        assert words in text
    assert "c" not in text.split("\n"), "has no SAT"
    assert text.count("too few teachers or values for a rank correlation") == 8


@pytest.mark.parametrize(
    ("change", "axes"),
    [
        ({"gain_low": np.nan, "gain_high": np.nan}, ["SAT", "affinity"]),
        ({"sat": 1.0}, ["SAT", "affinity"]),
        ({"affinity": np.nan}, ["SAT"]),
        ({"sat": np.nan, "affinity": np.nan}, []),
    ],
)
def test_whatever_is_missing(tmp_path, change, axes):
    text = text_of(distillation_figure(TABLE.assign(**change), RELATED, "tiny"), tmp_path / "a.svg")
    assert [name for name in ("SAT", "affinity") if f"{name} of the teacher and tiny" in text] == axes
    assert ("No teacher has a SAT with tiny" in text) == (not axes)
    assert text_of(distillation_figure(TABLE.iloc[:1], RELATED, "tiny"), tmp_path / "b.svg")


def test_many_teachers_are_named_from_both_ends_of_the_gains(tmp_path):
    names = [f"teacher_{number:03d}" for number in range(200)]
    random = np.random.default_rng(0)
    gain = np.sort(random.normal(0, 0.02, 200))
    many = TABLE.iloc[[0] * 200].reset_index(drop=True).assign(teacher=names, gain=gain, sat=random.normal(2, 1, 200))
    many = many.assign(affinity=np.nan, gain_low=gain - 0.01, gain_high=gain + 0.01)
    lines = text_of(distillation_figure(many, RELATED, "tiny"), tmp_path / "a.svg").split("\n")
    named = [line for line in lines if line in names]
    assert {"teacher_199", "teacher_198", "teacher_000", "teacher_001"} <= set(named) and len(named) < 20
    assert any("Names: the largest and the smallest gains." in line for line in lines)
