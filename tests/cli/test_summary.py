"""What the summary says of clusters: how firm they are, which members are settled, how many the data support."""

from __future__ import annotations

import pandas as pd
import pytest

from sat.status.summary import _clusters


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
    assert "50% to 100% of other " + ("starts" if where == "mates" else "images") in " ".join(sat.split())
    assert "firm: start agreement 1.00):\n  1: a, b, c\n" in affinity and "not firm" not in affinity


def test_starts_that_disagree_are_not_firm(tmp_path):
    assert "(k = 2, as configured; not firm: start agreement 0.47)" in lay_out(tmp_path, agreement=0.47)


def test_what_is_not_known_is_said(tmp_path):
    text = lay_out(tmp_path, affinity=False, ks=())
    assert "Clusters of affinity: none" in text and "adjusted Rand 0.50" not in text
    assert "firmness unknown" in text and "k = 2 cannot be compared" in text
