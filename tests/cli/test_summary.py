"""What the summary says of clusters: how firm they are, which members are settled, how many the data support."""

from __future__ import annotations

import pandas as pd
import pytest

from sat.status.summary import _clusters, _warnings, smaller_eps
from sat.study.attack import AttackSettings
from sat.study.study import load_study


def lay_out(folder, *, agreement=0.9, mates=None, images=None, affinity=True, ks=(2, 3)):
    names = list("abcde")
    kinds = ["sat", "affinity"] if affinity else ["sat"]
    of_affinity = [1, 1, 1, 2, 2] if affinity else [None] * 5
    tables = {
        "clusters": pd.DataFrame({"model": names, "cluster": [1, 1, 1, 2, 2], "cluster_affinity": of_affinity}),
        "choose_k": pd.DataFrame(
            [
                {
                    "of": of,
                    "k": k,
                    "largest_gap": k == 3,
                    "silhouette": 0.2 * k,
                    "start_agreement": agreement if of == "sat" else 1.0,
                }
                for of in kinds
                for k in ks
            ],
            columns=["of", "k", "largest_gap", "silhouette", "start_agreement"],
        ),
        "clusters_agreement": pd.DataFrame(
            [("sat", "affinity", 0.5), ("sat", "sat_per_mille", 0.25)][0 if affinity else 1 :],
            columns=["first", "second", "adjusted_rand"],
        ),
    }
    for name, shares in (("membership", mates or {}), ("stability_membership", images)):
        if shares is not None:
            rows = [(of, model, shares.get(model, 1.0) if of == "sat" else 1.0) for of in kinds for model in names]
            tables[name] = pd.DataFrame(rows, columns=["of", "model", "mates"])
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return "\n".join(_clusters(folder)[0])


def test_clusters_that_every_draw_finds_are_firm(tmp_path):
    text = lay_out(tmp_path, images={})
    assert "Clusters of SAT (k = 2, as configured; firm: start agreement 0.90):\n  1: a, b, c\n  2: d, e\n" in text
    assert "largest gap at k = 3; silhouette 0.40, best 0.60 at k = 3" in text and "unsure" not in text
    assert "adjusted Rand 0.25" in text and "adjusted Rand 0.50" in text


@pytest.mark.parametrize("where", ["mates", "images"])
def test_a_member_that_does_not_stay_is_named_as_unsure(tmp_path, where):
    text = lay_out(tmp_path, **{where: {"c": 0.5, "e": 0.79}})
    sat, affinity = text.split("Clusters of affinity")
    assert "(k = 2, as configured; not firm: start agreement 0.90)" in sat
    assert "  1: a, b (unsure: c)\n  2: (unsure: d, e)\n" in sat, "nobody is left for d to stay with"
    assert "50% to 100% over " + ("starts" if where == "mates" else "images") in " ".join(sat.split())
    assert "firm: start agreement 1.00):\n  1: a, b, c\n" in affinity and "not firm" not in affinity


def test_starts_that_disagree_are_not_firm(tmp_path):
    assert "(k = 2, as configured; not firm: start agreement 0.47)" in lay_out(tmp_path, agreement=0.47)


def test_what_is_not_known_is_said(tmp_path):
    text = lay_out(tmp_path, affinity=False, ks=())
    assert "Clusters of affinity: none" in text and "adjusted Rand 0.50" not in text
    assert "firmness unknown" in text and "k = 2 cannot be compared" in text


@pytest.mark.parametrize(
    ("attack", "eps"),
    [
        ({"eps": "24/255"}, "12/255"),
        ({"eps": "5/255", "step": "1/255"}, "2/255"),
        ({"method": "pgd_l2", "eps": 3.0, "step": 0.5}, "1.5"),
        ({"method": "patchfool", "eps": 20}, "10"),
    ],
)
def test_half_of_eps_is_written_as_in_a_config_file(attack, eps):
    settings = AttackSettings.model_validate(attack)
    assert smaller_eps(settings) == f"attack.eps: {eps}"
    half = settings.changed({"eps": type(settings.eps)(float(eps)) if "/" not in eps else eps})
    assert half.eps_levels == settings.eps_levels // 2 or half.eps_levels == settings.eps_levels / 2


@pytest.mark.parametrize(("share", "said"), [("above", True), ("", False)])
def test_an_attack_that_is_too_strong_is_told_with_an_eps_to_try(write_study, tmp_path, share, said):
    (tmp_path / "similarity").mkdir()
    (tmp_path / "analysis").mkdir()
    pd.DataFrame({"model": ["a", "b"], "low_whitebox": [False, False]}).to_csv(
        tmp_path / "similarity/models.csv", index=False
    )
    rows = [("accuracy_difference", ""), ("accuracy_difference", ""), ("at_ceiling", share)]
    pd.DataFrame(rows, columns=["quantity", "warning"]).to_csv(tmp_path / "analysis/caveats.csv", index=False)
    similar = pd.DataFrame({"above_noise": [True], "directions_above": [2]})
    found = _warnings(tmp_path, load_study([write_study()]).config, {}, similar)
    assert found == (["above: attack.eps: 12/255"] if said else [])
