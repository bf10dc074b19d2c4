"""What commands print fits a terminal of 80 columns, however long the models' names are."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from conftest import ROWS, TINY
from sat.analyses.distillation.gains import Choice
from sat.cli import calls
from sat.report.tables import latex, markdown, plain, readable
from sat.status.outlook import outlook
from sat.status.progress import JobProgress, Progress, StageProgress
from sat.status.recommendation import describe_teachers
from sat.status.summary import summarise
from sat.study.plan import Plan
from sat.study.study import load_study
from sat.text import WIDTH, columns, shortened, wrapped

NAMES = [
    f"{word}_base_patch16_clip_{'x' * 30}_{number}_224.openai_ft_in12k_in1k" for number, word in enumerate("abcde")
]


def fits(text: str) -> None:
    wide = [line for line in text.splitlines() if len(line) > WIDTH]
    assert not wide, wide[0]


def long_study(folder: Path, **changes: object) -> Plan:
    rows = [{**ROWS[0], "model": name[:64]} for name in NAMES]
    pd.DataFrame(rows).to_csv(folder / "models.csv", index=False)
    (folder / "study.yaml").write_text(yaml.safe_dump({**TINY, **changes}))
    return Plan(load_study([folder / "study.yaml"]))


def test_a_summary_fits_says_first_how_far_to_trust_it_and_aligns_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = long_study(tmp_path).config
    monkeypatch.chdir(tmp_path)
    tmp_path = Path("results/tiny")  # as the command has it
    analysis = tmp_path / "analysis"
    (tmp_path / "similarity").mkdir(parents=True)
    analysis.mkdir()
    random = np.random.default_rng(0)
    square = pd.DataFrame(random.normal(2, 0.1, (5, 5)), NAMES, NAMES)
    square.rename_axis("model").to_csv(tmp_path / "similarity/sat.csv")
    pairs = pd.DataFrame(itertools.combinations(NAMES, 2), columns=["model_a", "model_b"])
    pairs = pairs.assign(sat=2.0, sat_low=-1.5, sat_high=2.5, above_noise=False, directions_above=0, noise_p_holm=1.0)
    pairs.to_csv(tmp_path / "similarity/most_similar.csv", index=False)
    models = pd.DataFrame({"model": NAMES, "whitebox": 0.5, "low_whitebox": True, "accuracy": 0.9})
    models.to_csv(tmp_path / "similarity/models.csv", index=False)
    pd.DataFrame({"model": NAMES, "cluster": [1, 1, 1, 2, 2], "cluster_affinity": 1}).to_csv(
        analysis / "clusters.csv", index=False
    )
    choice = pd.DataFrame({"of": ["sat", "affinity"], "k": [2, 1], "largest_gap": True, "silhouette": 0.3})
    choice.assign(start_agreement=[0.4, 1.0]).to_csv(analysis / "choose_k.csv", index=False)
    mates = pd.DataFrame([(of, name, 0.5) for of in ("sat", "affinity") for name in NAMES])
    mates.set_axis(["of", "model", "mates"], axis=1).to_csv(analysis / "membership.csv", index=False)
    agreement = pd.DataFrame([("sat", "affinity", 0.5), ("sat", "sat_per_mille", 0.25)])
    agreement.set_axis(["first", "second", "adjusted_rand"], axis=1).to_csv(
        analysis / "clusters_agreement.csv", index=False
    )
    pd.DataFrame(
        {
            "quantity": ["accuracy_difference", "at_ceiling"],
            "warning": ["SAT goes with accuracy (r = 0.90 over pairs)", None],
        }
    ).to_csv(analysis / "caveats.csv", index=False)
    text = summarise(tmp_path, config, {NAMES[0]: 0.1})
    fits(text)
    trust, similar = text.split("Most similar pairs")
    joined = " ".join(trust.split())
    assert "clusters of SAT are not firm (start agreement 0.40; the place of 5 of 5 models is unsure)" in joined
    assert "0 in one and 10 in none" in joined and "SAT goes with accuracy" in joined
    lines = [line for line in similar.splitlines() if line.endswith("not above noise")]
    assert len(lines) == 5 and len({line.index("[-1.50, 2.50]") for line in lines}) == 1
    assert all(line.count("\u2026") == 2 for line in lines), "names are shortened, numbers are not"


def test_a_plan_fits(tmp_path: Path) -> None:
    text = outlook(long_study(tmp_path), tmp_path / "results/tiny")
    fits(text)
    table = [line for line in text.splitlines() if line.startswith(("stage ", "train ", "total "))]
    end = table[0].index("jobs") + len("jobs")
    ends = {len(line[:end].rstrip()) for line in table}
    assert len(table) == 3 and ends == {end}, "numbers end below the heads of their columns"


def test_a_status_fits_and_its_logs_can_be_found(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("x" * 300 + "\nError: " + "word " * 60 + "\n")
    jobs = [
        JobProgress(f"attack/{name[:64]}", "attack", state, log, "a long remark about it" * 2)
        for name, state in zip(NAMES, ["running", "failed"] * 3, strict=False)
    ]
    text = str(Progress("tiny", [StageProgress("components_null"), StageProgress("attack")], jobs, None, 0.0))
    fits(text)
    assert f"  attack/{NAMES[0][:64]}.log" in text.splitlines(), "a path is not broken"
    assert text.partition("Failed")[2].count("word") == 2 * 60, "an error is shown whole"


def test_a_recommendation_fits_and_ends_in_one_sentence_of_advice() -> None:
    candidates = pd.DataFrame(
        {f"{key}{end}": 0.5 for key in ("sat", "affinity", "accuracy") for end in ("", "_low", "_high")}, NAMES[1:]
    )
    choice = Choice("accurate", "all", NAMES[1], (NAMES[2], NAMES[3]))
    text = describe_teachers(
        "tiny", NAMES[0], [choice], candidates, None, None, 0.95, "family", [NAMES[1]], "not distilled"
    )
    fits(text)
    advice = " ".join(text.split("\n\n")[-1].split())
    assert advice.startswith("Advice: distil a_base") and advice.count(". ") == 0
    assert advice.endswith("it is not shown that similarity to the student matters.")


@pytest.mark.parametrize("letters", [5, 12, 30])
def test_a_shortened_name_keeps_both_ends(letters: int) -> None:
    text = shortened(NAMES[0], letters)
    assert len(text) == letters and text.startswith("a_") and text[-1] == "k" and shortened("vit", 3) == "vit"


def test_columns_stay_below_each_other() -> None:
    rows = [("name", "value"), ("x" * 100, "1.25"), ("short", "-10.00")]
    lines = columns(rows, names=(0,), right=(1,))
    assert {len(line) for line in lines} == {WIDTH} and [line[-6:] for line in lines] == [" value", "  1.25", "-10.00"]
    assert wrapped("a" * 200, "  ")[0].startswith("  aaa") and len(wrapped("a" * 200, "  ")[0]) == WIDTH


def test_digits_for_people() -> None:
    table = pd.DataFrame(
        {
            "model": ["a_b", "50%|"],
            "sat": [4.605170185988092, -0.0004],
            "sat_low": [4.5, np.nan],
            "n": [699, 7],
            "noise_p": [5.5e-145, 0.04567],
            "flag": [True, False],
        }
    )
    found = readable(table)
    assert found.to_numpy().tolist() == [
        ["a_b", "4.61", "4.50", "699", "< 0.001", "yes"],
        ["50%|", "0.00", "", "7", "0.046", "no"],
    ]
    assert r"a\_b & 4.61 & 4.50 & 699 & $< 0.001$ & yes \\" in latex(found) and r"50\%| &" in latex(found)
    assert latex(found, "x").splitlines()[2] == r"\caption{x}" and r"\begin{tabular}{lrrrrl}" in latex(found)
    assert "| 50%\\| | 0.00 |  | 7 | 0.046 | no |" in markdown(found)
    assert len({line.rstrip().rfind("yes") for line in plain(found).splitlines()[1:2]}) == 1


def test_the_live_display_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    assert calls.live_display([]) == [], "the output of tests is no terminal"
    monkeypatch.setattr("sys.stderr", Terminal())
    assert calls.live_display(["--cores", "2"]) == ["--logger", "rich"]
    assert calls.live_display(["--logger", "snkmt"]) == calls.live_display(["--quiet"]) == []


def test_an_absolute_path_is_never_shortened():
    path = f"/{'deep-er/' * 20}results"
    lines = wrapped(f"The study has results in {path}: call sat there ({path}), and not {'x' * 100}.", "", "  ")
    assert [line.strip() for line in lines if path in line] == [f"{path}:", f"({path}),"]
    assert all(len(line) <= WIDTH for line in lines if path not in line) and "x" * 100 not in "".join(lines)
