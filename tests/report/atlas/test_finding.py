"""Statements of the finding follow from numbers; the tables here are made so that the truth is known."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from atlases import CONFIG
from atlases import stated as of
from sat.report.atlas.finding import statements, surest
from sat.report.atlas.statement import Statement
from sat.report.wording import p_words


def similar(values: dict[tuple[str, str], tuple[float, float, float]], **more: object) -> pd.DataFrame:
    """A table of pairs with SAT and the ends of its interval."""
    rows = [(*pair, *numbers) for pair, numbers in values.items()]
    frame = pd.DataFrame(rows, columns=["model_a", "model_b", "sat", "sat_low", "sat_high"])
    return frame.assign(above_noise=True, noise_p_holm=1e-6, directions_above=2, **more)


def test_models_are_each_others_nearest_only_where_no_other_interval_reaches_theirs():
    apart = {("a", "b"): (3, 2.9, 3.1), ("a", "c"): (2, 1.9, 2.1), ("b", "c"): (2, 1.9, 2.1)}
    sure, unsure = of({"most_similar": similar(apart)}, "most_similar")
    assert [one.text for one in sure] == [
        "a and b are each other's most similar models (SAT 3.00, 95 % interval 2.90 to 3.10)."
    ]
    assert "2.10" in sure[0].sure
    # The nearest of c is a or b, and nothing tells which.
    assert [one.text for one in unsure] == ["The most similar model of c is not certain."]
    touching = {**apart, ("b", "c"): (2.5, 2.0, 2.95)}
    sure, unsure = of({"most_similar": similar(touching)}, "most_similar")
    # The pair of b and c reaches into the interval of a and b.
    assert sure == []
    assert "b" in unsure[0].text


def test_a_pair_that_is_not_above_noise_is_no_finding():
    apart = {("a", "b"): (3, 2.9, 3.1), ("a", "c"): (2, 1.9, 2.1), ("b", "c"): (2, 1.9, 2.1)}
    pairs = similar(apart)
    pairs["above_noise"] = pairs["sat"] < 3
    assert of({"most_similar": pairs}, "most_similar")[0] == []


@pytest.mark.parametrize("seed", range(5))
def test_nearest_models_agree_with_brute_force_on_random_intervals(seed: int):
    random = np.random.default_rng(seed)
    names = [f"m{number}" for number in range(9)]
    values = {}
    for pair in combinations(names, 2):
        middle = random.uniform(0, 4)
        values[pair] = (middle, middle - random.uniform(0, 0.1), middle + random.uniform(0, 0.1))
    sure, unsure = of({"most_similar": similar(values)}, "most_similar")

    def around(name: str) -> list[tuple[str, str]]:
        return sorted((pair for pair in values if name in pair), key=lambda pair: -values[pair][0])

    def settled(name: str) -> bool:
        best, *rest = around(name)
        return all(values[best][1] > values[pair][2] for pair in rest)

    wanted = {p for p in values if all(around(name)[0] == p and settled(name) for name in p)}
    assert wanted, "the case must hold something to find"
    assert {tuple(one.text.split(" are ")[0].split(" and ")) for one in sure} == wanted
    unsettled = [name for name in names if not settled(name)]
    assert bool(unsure) == bool(unsettled) and all(name in unsure[0].text for name in unsettled[:5])


def test_a_matrix_from_a_file_says_that_it_has_no_intervals():
    sure, unsure = of({"sat": pd.DataFrame([[1.0]])}, "sat", matrix="sat.csv")
    assert sure == []
    assert "no intervals" in unsure[0].sure


def clusters(mates: float, agreement: float) -> dict[str, pd.DataFrame]:
    names = ["a", "b", "c", "d"]
    table = pd.DataFrame({"model": names, "cluster": [1, 1, 2, 2], "cluster_affinity": [1, 1, 2, 2]})
    choice = pd.DataFrame({"of": ["sat", "affinity"], "k": 2, "start_agreement": agreement, "silhouette": 0.5})
    choice["largest_gap"] = True
    draws = [pd.DataFrame({"of": of, "model": names, "mates": [mates, 1.0, 1.0, 1.0]}) for of in ("sat", "affinity")]
    return {"clusters": table, "choose_k": choice, "membership": pd.concat(draws)}


@pytest.mark.parametrize(("mates", "agreement", "firm"), [(0.8, 0.8, True), (0.79, 1.0, False), (1.0, 0.79, False)])
def test_clusters_are_firm_from_the_threshold_on(mates: float, agreement: float, firm: bool):
    sure, unsure = of(clusters(mates, agreement), "clusters")
    assert (len(sure), len(unsure)) == ((2, 0) if firm else (0, 2))
    if firm:
        assert sure[0].text == "The 2 clusters of SAT (k = 2, as configured) are stable over random starts."
        assert "On average, at least 80 % of a model's cluster mates" in sure[0].sure
        assert "other trainings" in sure[0].sure and "largest gap at k = 2" in sure[0].sure
    else:
        assert f"(start agreement {agreement:.2f})" in unsure[0].sure
        assert ("a often change" in unsure[0].sure) == (mates < 0.8)


def test_groups_need_an_adjusted_p_and_an_interval_above_zero():
    row = {"column": "family", "half_contrast": 1.0, "low": 0.2, "high": 1.8, "p": 0.001, "p_adjusted": 0.01}
    row |= {"n_models": 10, "n_values": 4, "half_contrast_equal": 0.9, "low_equal": -0.1, "high_equal": 1.9}
    (one,), _ = of({"groups_overall": pd.DataFrame([row])}, "groups_overall")
    assert "(10 models, 4 groups)" in one.sure and "0.90 (-0.10 to 1.90, which contains 0)" in one.sure
    (one,), _ = of({"groups_overall": pd.DataFrame([{**row, "low_equal": 0.1}])}, "groups_overall")
    assert "0.90 (0.10 to 1.90)" in one.sure and "contains 0" not in one.sure
    (one,), _ = of({"groups_overall": pd.DataFrame([{**row, "low_equal": np.nan}])}, "groups_overall")
    assert "weigh the same" not in one.sure and "settings of their training" in one.sure
    for change in ({"p_adjusted": 0.06}, {"low": -0.1}, {"half_contrast": -1.0, "low": -1.8, "high": -0.2}):
        sure, unsure = of({"groups_overall": pd.DataFrame([{**row, **change}])}, "groups_overall")
        assert (sure, len(unsure)) == ([], 1)


def test_the_most_fragile_model_stands_out_or_is_open():
    table = pd.DataFrame({"model": ["a", "b"], "fragility": [2.0, 1.0], "fragility_low": [1.8, 0.8]})
    table["fragility_high"] = [2.2, 1.2]
    for name in ("", "_low", "_high"):
        table[f"strength{name}"] = table[f"fragility{name}"] * [1, 1.9]
    sure, unsure = of({"effects": table}, "effects")
    assert [one.text.split(" ")[0] for one in sure] == ["a"]
    assert "overlaps with b" in unsure[0].sure
    for rates, said in (([0.059, 0.02], True), ([0.02, 0.02], False), ([0.01, 0.02], False)):
        models = pd.DataFrame({"model": ["a", "b"], "noise_rate": rates})
        sure, _ = of({"effects": table, "models": models}, "effects")
        assert ("most errors under random noise of the same size (5.9 %)" in sure[0].sure) == said


def test_white_box_success_below_the_threshold_names_the_models():
    table = pd.DataFrame({"model": ["a", "b", "c"], "whitebox": [0.75, 0.9, 0.97], "whitebox_low": [0.7, 0.85, 0.95]})
    table["whitebox_high"] = [0.8, 0.95, 0.99]
    sure, unsure = of({"models": table}, "models")
    assert sure[0].text.startswith("White-box success is below 0.9 for a: the attack fails on many of the model's own")
    assert (
        unsure[0].text == "White-box success may be below 0.9 for b." and unsure[0].sure == "Its interval contains 0.9."
    )
    sure, unsure = of({"models": table[table["model"] == "c"]}, "models")
    assert "at least 97 %" in sure[0].text and "95 % (c)" in sure[0].sure and not unsure


def test_noise_counts_pairs_after_holm():
    pairs = similar({("a", "b"): (3, 2, 4), ("a", "c"): (3, 2, 4), ("b", "c"): (1, 0, 2)})
    pairs["noise_p_holm"] = [0.025, 0.026, 0.9]
    pairs["directions_above"] = [1, 2, 0]
    sure, unsure = of({"most_similar": pairs}, "most_similar_noise")
    assert sure[0].text.startswith("In 1 of 3 pairs") and "the other 2 pairs" in unsure[0].text
    assert "over both directions together" in sure[0].text and "at 0.025" in sure[0].sure
    assert "In one of them, only one direction" in sure[0].sure
    pairs["directions_above"] = [2, 1, 0]
    sure, _ = of({"most_similar": pairs}, "most_similar_noise")
    assert "only one direction" not in sure[0].sure
    sure, unsure = of({"most_similar": pairs.assign(noise_p_holm=0.9)}, "most_similar_noise")
    assert sure == [] and unsure[0].text == "For all pairs, transfer is not shown."


def test_correlations_are_adjusted_for_their_number():
    table = pd.DataFrame({"measure": list("abcd"), "of": "affinity", "spearman": [0.5, 0.6, 0.1, 0.2]})
    table["mantel_p"] = [0.0124, 0.0126, 0.5, 0.6]
    sure, unsure = of({"measures": table}, "measures")
    # Four tests: 4 x 0.0124 is below 0.05, and 4 x 0.0126 is above it, though its correlation is larger.
    assert [one.text for one in sure] == ["Affinity correlates positively with a (rank correlation 0.50)."]
    assert unsure[0].text == "No correlation of affinity with b, c and d is shown."


def test_ensembles_need_every_size():
    table = pd.DataFrame(
        {"size": [2, 3], "of": "affinity", "partial_spearman": [-0.4, -0.3], "partial_p": [0.01, 0.02]}
    )
    assert len(of({"ensembles_relation": table}, "ensembles_relation")[0]) == 1
    assert "most accurate models" in of({"ensembles_relation": table}, "ensembles_relation")[0][0].sure
    for change in ({"partial_p": [0.01, 0.03]}, {"partial_spearman": [-0.4, 0.3]}):
        assert of({"ensembles_relation": table.assign(**change)}, "ensembles_relation")[0] == []


def test_shared_mistakes_are_compared_with_the_class_and_with_the_image():
    quantities = ["fooled", "same", "expected_by_class", "expected_by_image"]
    pool = pd.DataFrame({"quantity": quantities, "value": [200.0, 100.0, 32.0, 76.0]})
    pairs = pd.DataFrame({"p_holm": [0.01, 0.02, 0.03, 0.9], "excess": [0.5, 0.4, 0.3, 0.0]})
    pairs["excess_image_low"], pairs["excess_image_high"] = [0.1, -0.1, -0.5, -0.2], [0.3, 0.2, -0.1, 0.2]
    (one,), _ = of({"mistakes_pool": pool, "mistakes": pairs}, "mistakes")
    assert "in 50 % of the cases" in one.text and "predicts 16 %" in one.text and "same image 38 %" in one.text
    assert "3 of 4 pairs" in one.sure and "1 shares more than the image predicts, and 1 fewer" in one.sure


def test_the_surest_are_of_different_topics_first():
    made = [Statement(topic, f"{topic}{k}", "") for topic in "abc" for k in range(3)]
    made.insert(0, Statement("z", "open", "", open=True))
    assert [one.text for one in surest(made)] == ["a0", "b0", "c0", "a1", "b1"]
    assert [one.text for one in surest(made, 2)] == ["a0", "b0"]


def test_no_tables_make_no_statement_but_the_missing_intervals():
    assert [one.topic for one in statements({}, CONFIG)] == ["sat"]


@pytest.mark.parametrize(
    ("p", "words"), [(0.0001, "p < 0.001"), (0.042, "p = 0.042"), (0.5358, "p = 0.54"), (np.nan, "p unknown")]
)
def test_p_values_are_written_with_sensible_digits(p: float, words: str):
    assert p_words(p) == words
