import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from sat.analyses.ablation.agreement import ablation_pairs, ablation_table
from sat.analyses.ablation.figure import ablation_figure
from sat.report.style import save

NAMES = [f"net{number}" for number in range(8)]
UPPER = np.triu_indices(8, 1)


def matrix(seed, like=None, weight=0.0):
    square = np.random.default_rng(seed).normal(size=(8, 8))
    square = (square + square.T) / 2
    return pd.DataFrame(square if like is None else weight * square + like.to_numpy(), NAMES, NAMES)


@pytest.fixture
def found():
    study = matrix(0)
    matrices = {"(study)": study, "shifted": study + 0.5, "noisy": matrix(1, study, 0.5), "other": matrix(2)}
    low = pd.DataFrame({"model": NAMES, "whitebox": [0.5, 1.0] * 4, "low_whitebox": [True, False] * 4})
    high = low.assign(whitebox=1.0, low_whitebox=False)
    models = dict.fromkeys(matrices, high) | {"other": low}
    return matrices, ablation_table(matrices, models), ablation_pairs(matrices)


def test_against_scipy(found):
    matrices, table, pairs = found
    rows = table.set_index("variant")
    study = matrices["(study)"].to_numpy()[UPPER]
    for name in ("shifted", "noisy", "other"):
        ours = matrices[name].to_numpy()[UPPER]
        assert rows.loc[name, "pearson"] == pytest.approx(pearsonr(ours, study)[0])
        assert rows.loc[name, "spearman"] == pytest.approx(spearmanr(ours, study)[0])
        assert rows.loc[name, "mean_offset"] == pytest.approx((ours - study).mean())
        assert rows.loc[name, "mean_sat"] == pytest.approx(ours.mean())
    assert rows["n_pairs"].tolist() == [28] * 4
    between = pairs.set_index(["variant_a", "variant_b"])["spearman"]
    assert len(between) == 6
    noisy, other = (matrices[name].to_numpy()[UPPER] for name in ("noisy", "other"))
    assert between["noisy", "other"] == pytest.approx(spearmanr(noisy, other)[0])


def test_the_study_is_not_compared_with_itself(found):
    _, table, _ = found
    assert table["variant"].tolist() == ["(study)", "shifted", "noisy", "other"]
    assert table.loc[0, ["pearson", "spearman", "mantel_p", "mean_offset"]].isna().all()
    assert table["mean_whitebox"].tolist() == [1, 1, 1, 0.75] and table["n_low_whitebox"].tolist() == [0, 0, 0, 4]
    assert table["mantel_p"].iloc[1] == 0.001, "a shift changes no order"


def test_the_figure_names_every_variant(found, tmp_path):
    _, table, pairs = found
    save(ablation_figure(table, pairs), tmp_path / "a.svg")
    text = [element.text for element in ElementTree.parse(tmp_path / "a.svg").iter() if element.tag.endswith("text")]
    assert all(text.count(name) == 2 for name in table["variant"])
    few = table.assign(spearman=np.nan), pairs.assign(spearman=np.nan)
    save(ablation_figure(*few), tmp_path / "b.svg")
