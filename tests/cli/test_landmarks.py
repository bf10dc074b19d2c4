"""sat landmarks: what it writes into which table, how a study grows, and what it refuses."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter

import pytest
import yaml

from conftest import ROWS
from projects import unwrapped
from sat.study.plan import Plan
from sat.study.study import load_study

FAMILIES = {"a": 8, "b": 4}


def table(**cells: dict[str, str]) -> list[dict[str, str]]:
    """Twelve models of two families, and one that is not in use."""
    names = [(f"{family}{place}", family) for family, count in FAMILIES.items() for place in range(count)]
    rows = [{**ROWS[0], "model": name, "family": family, "note": 'a "quote", kept'} for name, family in names]
    rows.append({**rows[0], "model": "gone", "use": "no"})
    return [{**row, **cells.get(row["model"], {})} for row in rows]


def draws(text: str) -> dict[str, str]:
    """The column of each model, read in another way than a study reads it."""
    return {row["model"]: row.get("landmark", "") for row in csv.DictReader(io.StringIO(text))}


def test_the_draw_is_written_into_the_table_in_proportion_and_grows_by_a_second_draw(sat, write_study, tmp_path):
    study, rows = write_study(table()), tmp_path / "models.csv"
    before = list(csv.DictReader(rows.open()))
    done = sat(tmp_path, "landmarks", "6", "--study", "study.yaml")
    assert done.returncode == 0, done.stderr
    first = draws(rows.read_text())
    drawn = sorted(name for name, number in first.items() if number)
    assert set(first.values()) == {"", "1"} and first["gone"] == ""
    # 6 of 12: half of each family.
    assert Counter(name[0] for name in drawn) == {"a": 4, "b": 2}
    assert load_study([study]).landmarks == tuple(drawn)
    said = done.stdout.splitlines()
    assert said[0] == "models.csv: 6 landmarks drawn in proportion to the families, draw 1"
    assert said[1:] == [", ".join(drawn), "What will run: sat plan study.yaml"]
    after = list(csv.DictReader(rows.open()))
    assert [{key: value for key, value in row.items() if key != "landmark"} for row in after] == before

    made = {path: artefact.step.recipe for path, artefact in Plan(load_study([study])).artefacts().items()}
    assert sat(tmp_path, "landmarks", "8", "--study", "study.yaml").returncode == 0
    second = draws(rows.read_text())
    assert Counter(second.values()) == {"": 5, "1": 6, "2": 2} and second["gone"] == ""
    assert {name for name, number in second.items() if number == "1"} == set(drawn)
    # What was attacked and tried for the first draw stays.
    grown = {path: artefact.step.recipe for path, artefact in Plan(load_study([study])).artefacts().items()}
    finished = {path for path in made if path.startswith(("weights/", "adversarial/", "tiles/"))}
    assert finished and {path: grown.get(path) for path in finished} == {path: made[path] for path in finished}


def test_the_seed_of_the_study_decides_who_is_drawn(sat, write_study, tmp_path):
    found = []
    for seed in (0, 0, 1, 2):
        write_study(table(), seed=seed)
        assert sat(tmp_path, "landmarks", "6", "--study", "study.yaml").returncode == 0
        found.append(draws((tmp_path / "models.csv").read_text()))
    assert found[0] == found[1] and found[0] not in found[2:]


@pytest.mark.parametrize(
    ("rows", "count", "advice"),
    [
        (table(), "5", "5 landmarks of 12 models: write 6 to 10."),
        (table(), "11", "11 landmarks of 12 models: write 6 to 10."),
        (table()[:7], "6", "landmarks need 8 models, 6 of them landmarks; measure every pair."),
        (table(**{f"a{n}": {"landmark": "1"} for n in range(7)}), "7", "study tiny has 7 landmarks already."),
        (table(**{f"a{n}": {"landmark": "1"} for n in range(7)}), "6", "empty cells of the column 'landmark'"),
    ],
)
def test_what_cannot_be_drawn_changes_no_table(sat, write_study, tmp_path, rows, count, advice):
    write_study([{"landmark": "", **row} for row in rows])
    before = (tmp_path / "models.csv").read_bytes()
    done = sat(tmp_path, "landmarks", count, "--study", "study.yaml")
    assert done.returncode == 1 and advice in " ".join(done.stderr.split())
    assert (tmp_path / "models.csv").read_bytes() == before


def test_a_matrix_has_no_table_to_write_to(sat, tmp_path):
    (tmp_path / "matrix.csv").write_text("model,a,b,c\na,4.6,1,2\nb,1,4.6,3\nc,2,3,4.6\n")
    (tmp_path / "given.yaml").write_text(
        yaml.safe_dump({"study": "given", "matrix": "matrix.csv", "clusters": {"k": 2}})
    )
    done = sat(tmp_path, "landmarks", "6", "--study", "given.yaml")
    assert done.returncode == 1 and "study given starts from a matrix" in done.stderr
    assert sat(tmp_path, "landmarks", "many", "--study", "given.yaml").returncode == 2


def test_plan_says_how_many_landmarks_a_wanted_error_needs_and_what_they_will_cost(sat, write_study, tmp_path):
    cells = {"n_parameters": "400000", "gmacs": "0.01"}
    rows = [{**ROWS[0], **cells, "model": f"m{place:02d}", "family": "ab"[place % 2]} for place in range(60)]
    write_study(rows, tile_size=4)
    said = unwrapped(sat(tmp_path, "plan", "study.yaml", "--sat-error", "0.13").stdout)
    # No estimate is made, so the figures of docs/landmarks.md are continued: 0.13 had 24 landmarks.
    count = int(re.search(r"An error of 0.13 needs about (\d+) landmarks \(from the paper's 69", said)[1])
    assert 20 <= count <= 28
    assert "As the study is: 3,600 ordered pairs; 225 of 225 tiles are left" in said
    promised = re.search(
        rf"With {count} landmarks: ([\d,]+) ordered pairs; ([\d,]+) of \2 tiles are left, .*?time limits of (\S+) h",
        said,
    )
    assert promised, said
    assert promised[1] == f"{60**2 - (60 - count) * (59 - count):,}"
    assert sat(tmp_path, "landmarks", str(count), "--study", "study.yaml").returncode == 0
    plan = sat(tmp_path, "plan", "study.yaml").stdout
    assert f"{promised[1]} ordered pairs of 3,600" in unwrapped(plan)
    assert f"in {promised[2]} tiles" in unwrapped(plan)
    line = re.search(r"^evaluate .*$", plan, re.MULTILINE)[0].split()
    assert line[1] == promised[2] and promised[3] in line


@pytest.mark.parametrize(
    ("wanted", "answer"),
    [
        ("0.05", "estimates yet), and the study has 12 models. Measure every pair: leave the column 'landmark' empty."),
        ("0.01", "How many landmarks an error of 0.01 needs cannot be told"),
        ("-1", "--sat-error -1.0: write a number above 0, such as 0.1."),
        ("nan", "--sat-error nan: write a number above 0, such as 0.1."),
    ],
)
def test_a_wanted_error_that_no_landmarks_reach_is_answered(sat, write_study, tmp_path, wanted, answer):
    write_study(table())
    done = sat(tmp_path, "plan", "study.yaml", "--sat-error", wanted)
    assert answer in unwrapped(done.stdout + done.stderr)
    assert "Traceback" not in done.stderr
