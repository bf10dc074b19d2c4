"""Statements about trainings, references, attacks and teachers, and the sentences of tables; the truth is made here."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from atlases import CONFIG, made
from atlases import stated as of
from sat.report.atlas.answers import ANSWERS, answer, title_of
from sat.report.atlas.finding import statements
from sat.report.atlas.page import sections

RETRAINED = {"measure": "sat", "n_nets": 6, "share": 0.12, "share_low": 0.08, "share_high": 0.16, "widening": 1.64}


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.08, 0.16, "differs more between nets than between trainings of the same nets"),
        (0.6, 0.9, "differs more between trainings of the same nets than between nets"),
        (0.3, 0.51, None),
        (0.49, 0.7, None),
    ],
)
def test_trainings_or_nets_vary_more_only_where_the_interval_of_the_share_does_not_hold_a_half(low, high, words):
    table = pd.DataFrame([{**RETRAINED, "share_low": low, "share_high": high}])
    sure, unsure = of({"retraining": table}, "retraining")
    assert (len(sure), len(unsure)) == ((1, 0) if words else (0, 1))
    if words:
        assert words in sure[0].text and "12 %" in sure[0].text
        assert f"{100 * low:.0f} to {100 * high:.0f} %" in sure[0].sure and "1.6 times as wide" in sure[0].sure
    else:
        assert "contains half" in unsure[0].sure


def test_without_an_interval_of_the_share_nothing_is_said_surely():
    table = pd.DataFrame([{**RETRAINED, "share_low": np.nan, "share_high": np.nan}])
    sure, unsure = of({"retraining": table}, "retraining")
    assert not sure and "no interval is known" in unsure[0].sure


def test_a_reference_agrees_only_with_a_small_adjusted_p_and_a_positive_correlation():
    row = {"of": "sat", "group": "all", "n_pairs": 66, "pearson": 0.9, "spearman": 0.8, "mantel_p": 0.02}
    rows = [row, {**row, "of": "affinity", "mantel_p": 0.03}, {**row, "group": "vits", "mantel_p": 0.9}]
    sure, unsure = of({"reference": pd.DataFrame(rows)}, "reference")
    # Two tests: 2 x 0.02 is below 0.05, and 2 x 0.03 is above it.
    assert [one.text for one in sure] == [
        "SAT correlates positively with SAT of the reference (Pearson's correlation 0.90)."
    ]
    assert "rank correlation 0.80 over 66 pairs" in sure[0].sure.lower() and "p = 0.040" in sure[0].sure
    assert [one.text for one in unsure] == ["Affinity is not shown to agree with affinity of the reference."]
    assert of({"reference": pd.DataFrame([{**row, "pearson": -0.9}])}, "reference")[0] == []


def test_attacks_that_agree_and_those_that_do_not_are_told_apart():
    variants = ["(study)", "fgsm", "few", "noise"]
    table = pd.DataFrame({"variant": variants, "of": "sat", "spearman": [1, 0.9, 0.7, 0.1]})
    table["mantel_p"] = [np.nan, 0.001, 0.016, 0.017]
    sure, unsure = of({"ablation": table}, "ablation")
    assert "SAT of 2 of 3 other attacks" in sure[0].text and "0.70 or more" in sure[0].text
    assert sure[0].sure.startswith("Lowest for few") and "p = 0.048" in sure[0].sure
    assert "SAT of noise is not shown to agree with SAT" in unsure[0].text


def test_the_best_teacher_is_ahead_of_all_intervals_and_of_no_gain():
    table = pd.DataFrame({"teacher": ["a", "b", "c"], "gain": [0.05, 0.02, -0.01], "n_seeds": 5})
    table["gain_low"], table["gain_high"] = table["gain"] - 0.01, table["gain"] + 0.01
    sure, _ = of({"distillation": table}, "distillation")
    assert sure[0].text == "a is the best teacher: its student gains 5.0 percentage points."
    assert "no other interval goes beyond 3.0" in sure[0].sure
    sure, unsure = of({"distillation": table.assign(gain_high=[0.06, 0.045, 0.0])}, "distillation")
    assert not sure and "overlaps with b" in unsure[0].sure
    worse = table.assign(**{key: table[key] - 0.1 for key in ("gain", "gain_low", "gain_high")})
    sure, unsure = of({"distillation": worse}, "distillation")
    assert not sure and "no gain at all" in unsure[0].sure


def test_gain_and_similarity_are_related_only_after_adjustment():
    rows = {"of": ["sat", "affinity"], "group": "all", "n_teachers": 11, "spearman": [-0.7, 0.6], "p": [0.02, 0.03]}
    sure, unsure = of({"distillation_relation": pd.DataFrame(rows)}, "distillation_relation")
    assert sure[0].text.startswith("Less similar teachers give more gain, by SAT (rank correlation -0.70")
    assert "p = 0.040" in sure[0].sure and unsure[0].text.startswith("Affinity of teacher and student is not shown")


def test_statements_of_these_analyses_reach_the_finding():
    tables = {"retraining": pd.DataFrame([RETRAINED])}
    assert [one.topic for one in statements(tables, CONFIG) if not one.open] == ["retraining"]


def test_a_figures_title_is_read_from_the_figure_itself(tmp_path):
    from sat.report.page import head, sheet
    from sat.report.style import save

    figure, _ = sheet(2.0)
    head(
        figure,
        "a & <b> are alike (p < 0.001, and more words than one line of a page holds, so that it is broken)\nNo",
        "x",
    )
    save(figure, tmp_path / "figure.svg")
    said = "a & <b> are alike (p < 0.001, and more words than one line of a page holds, so that it is broken); No"
    assert title_of((tmp_path / "figure.svg").read_bytes()) == said
    assert title_of(b"<svg xmlns='http://www.w3.org/2000/svg'><g><text>plain</text></g></svg>") == ""
    assert title_of(b"no svg") == ""


def test_sentences_of_tables_have_the_tables_numbers():
    rows = {"quantity": ["share_sat", "share_half"], "value": [0.634, 0.3], "chance": [0.169, 0.2]}
    said = answer("effects_pool", {"effects_pool": pd.DataFrame(rows)})
    assert "63 % of the variance of SAT and 30 % of that of the log-odds of transfer; 17 %" in said
    pairs = pd.DataFrame({"model_a": ["a", "b"], "model_b": ["c", "d"], "affinity": [1.0, 2.0]})
    assert answer("effects_pairs", {"effects_pairs": pairs}) == "b and d have the largest affinity (2.00)."
    contrasts = pd.DataFrame({"p_holm": [0.01, 0.05, 0.051, np.nan]})
    assert answer("groups_contrasts", {"groups_contrasts": contrasts}).startswith("2 of 3 contrasts differ ")
    assert answer("groups_contrasts", {"groups_contrasts": contrasts[1:]}).startswith("1 of 2 contrasts differs ")
    checks = pd.DataFrame({"warning": ["one", np.nan, ""]})
    assert answer("caveats", {"caveats": checks}).startswith("1 of 3 checks for confounders warns;")
    sets = pd.DataFrame({"size": [2, 2, 3, 3, 4], "error_reduction": [0.2, 0.3, 0.5, 0.4, 0.6]})
    said = answer("ensembles_clusters", {"ensembles_clusters": sets})
    assert said == "Error reduction, by number of clusters: 20 to 30 % for 2 members and 60 % for 4 members."
    auc = pd.DataFrame({"measure": ["sat", "cka"], "rest": [False, True], "n_within": 8, "roc_auc": [0.85, 0.95]})
    said = answer("measures_separation", {"measures_separation": auc})
    assert said.startswith("CKA of features has the largest AUC (0.95, levels taken out; 8 pairs within families)")
    mates = pd.DataFrame({"of": ["sat"] * 3 + ["affinity"], "mates": [0.8, 0.79, np.nan, 1.0]})
    assert "1 of 2 models by SAT and 1 of 1 models by affinity" in answer("membership", {"membership": mates})
    curve = pd.DataFrame({"of": ["sat", "sat"], "images": [20, 1000], "mean": [0.5, 0.93]})
    assert "1,000 images have a mean rank correlation of 0.93 for SAT" in answer(
        "stability_curve", {"stability_curve": curve}
    )
    k = pd.DataFrame({"of": "sat", "k": [2, 3], "largest_gap": [False, True], "silhouette": [0.5, 0.4]})
    assert "SAT: 2 by silhouette, 3 by the largest eigengap" in answer("choose_k", {"choose_k": k})
    assert answer("nothing", {}) == "" and answer("mine", {"mine": k}) == ""


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_an_empty_table_says_nothing(name: str):
    assert answer(name, {name: pd.DataFrame()}) == ""


def test_every_entry_of_a_page_starts_with_an_answer():
    results = made([f"m{k}" for k in range(9)], ["a", "b", "c"] * 3)
    found = statements(results.tables, results.config)
    for _, entries in sections(results, found):
        for entry in entries:
            assert entry.answers or entry.answer or entry.caption, entry.name
