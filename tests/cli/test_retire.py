"""sat retire: what it writes into which table, and what it refuses."""

import pytest

from conftest import ROWS
from sat.store.artefact import sidecar_path, write_sidecar
from sat.study.plan import Plan
from sat.study.study import load_study

TABLE = (
    '﻿"model","architecture",weights,family,use,"note"\r\n'
    'resnet,test_resnet,train,conv,yes,"a comma, a ""quote"" and more"\r\n'
    "\r\n"
    'byobnet,"test_byobnet",train, conv ,"yes",plain\r\n'
    "vit,test_vit,train,vit,yes,"
)
"""As spreadsheets and people write tables: with a byte order mark, needless quotation marks, and an empty line."""
WEAK = {"weak": {"attack": {"eps": "12/255", "step": "4/255"}}, "few": {"attack_images": 16}}


def pretend(folder, artefact):
    """Make a file that looks finished."""
    path = folder / "results/tiny" / artefact.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    write_sidecar(sidecar_path(path), {"recipe": artefact.step.recipe, "inputs": {}, "facts": {}})


def cells(study):
    return {row.model: (row.use, row.retired) for row in load_study([study]).models}


@pytest.mark.parametrize(("model", "held"), [("resnet", ["", "weak"]), ("vit", [""]), ("other", [])])
def test_it_writes_the_recipe_of_each_set_that_a_finished_tile_holds(sat, write_study, tmp_path, model, held):
    study = write_study([*ROWS, {**ROWS[0], "model": "other", "cohort": "2"}], variants=WEAK)
    plan = Plan(load_study([study]))
    # In the first tile, resnet is only a target and vit only a source.
    for tile in (plan.tile("c1-000", "c1-001"), plan.tile("c1-000", "c1-000", "weak")):
        pretend(tmp_path, tile)
    done = sat(tmp_path, "retire", model, "--study", "study.yaml")
    assert done.returncode == 0, done.stderr
    assert ("hold it until" if held else "nothing to keep") in done.stdout
    recipes = tuple(plan.adversarial(model, variant).step.recipe for variant in held)
    assert {name: cell for name, cell in cells(study).items() if name != model} == {
        name: (True, ()) for name in plan.study.model if name != model
    }
    assert cells(study)[model] == (False, recipes or ("none",))
    # What was finished still is as the study asks.
    after = Plan(load_study([study]))
    assert after.tile("c1-000", "c1-001").step == plan.tile("c1-000", "c1-001").step
    assert after.tile("c1-000", "c1-000", "weak").step == plan.tile("c1-000", "c1-000", "weak").step


def test_a_stale_tile_and_none_at_all_keep_nothing(sat, write_study, tmp_path):
    study = write_study()
    pretend(tmp_path, Plan(load_study([study])).tile("c1-000", "c1-000"))
    write_study(attack={"eps": "8/255", "step": "2/255", "steps": 1})
    done = sat(tmp_path, "retire", "resnet", "--study", "study.yaml")
    assert done.returncode == 0 and "nothing to keep" in done.stdout
    assert cells(study)["resnet"] == (False, ("none",))
    assert "resnet" not in Plan(load_study([study])).needed


def test_the_rest_of_the_table_stays_as_it_was_and_undo_brings_it_back(sat, write_study, tmp_path):
    study = write_study()
    table = tmp_path / "models.csv"
    table.write_bytes(TABLE.encode())
    table.rename(tmp_path / "real.csv")
    table.symlink_to("real.csv")
    assert sat(tmp_path, "retire", "byobnet", "--study", "study.yaml").returncode == 0
    expected = (
        TABLE.replace('"note"', '"note","retired"')
        .replace('and more"', 'and more",')
        .replace('conv ,"yes",plain', 'conv ,"no",plain,none')
    )
    assert table.read_bytes().decode() == expected + ","
    assert table.is_symlink()
    assert sat(tmp_path, "retire", "byobnet", "--undo", "--study", "study.yaml").returncode == 0
    assert table.read_bytes().decode() == expected.replace('"no",plain,none', '"yes",plain,') + ","
    assert set(cells(study).values()) == {(True, ())}


def test_a_table_is_found_where_the_study_finds_it(sat, write_study, tmp_path, monkeypatch):
    """In the user's home, and for a study that is called from the folder of its table."""
    home, beside = tmp_path / "home", tmp_path / "beside"
    monkeypatch.setenv("HOME", str(home))
    for folder, written in ((home, "~/models.csv"), (beside, "models.csv")):
        study = write_study(models=written)
        folder.mkdir()
        table = (tmp_path / "models.csv").rename(folder / "models.csv")
        assert sat(folder, "check", str(study)).returncode == 0
        for words in (["retire", "byobnet"], ["add", "test_convnext", "--weights", "train"]):
            before = table.read_text()
            done = sat(folder, *words, "--study", str(study))
            assert done.returncode == 0, done.stderr
            assert table.read_text() != before


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["resnett"], "resnett: study tiny has no such model; did you mean resnet?"),
        (["zzz"], "its models are byobnet, gone, other, resnet, vit."),
        (["gone"], "gone: is retired already; 'sat retire gone --undo' brings it back."),
        (["resnet", "--undo"], "resnet: is in use, so there is nothing to undo."),
        (["resnet", "byobnet", "vit"], "a study compares at least two models"),
    ],
)
def test_what_cannot_be_retired_changes_no_table(sat, write_study, tmp_path, words, advice):
    """The rows stand in two tables, and the second has no column `use`."""
    study = write_study([{**ROWS[0], "retired": ""}, {**ROWS[1], "model": "gone", "use": "no", "retired": "none"}])
    rows = [",".join([row["model"], row["architecture"], "train", row["family"]]) for row in ROWS[1:]]
    (tmp_path / "more.csv").write_text(
        "\n".join(["model,architecture,weights,family", *rows, "other,test_vit,train,v", ""])
    )
    study.write_text(study.read_text().replace("models: models.csv", "models: [models.csv, more.csv]"))
    files = [tmp_path / "models.csv", tmp_path / "more.csv"]
    before = [path.read_bytes() for path in files]
    done = sat(tmp_path, "retire", *words, "--study", "study.yaml")
    if words == ["resnet", "byobnet", "vit"]:
        # One model is left. Two may be retired, from both tables at once.
        assert done.returncode == 1 and advice in done.stderr
        assert [path.read_bytes() for path in files] == before
        done = sat(tmp_path, "retire", "resnet", "byobnet", "--study", "study.yaml")
        assert done.returncode == 0 and "models.csv, more.csv: 2 model(s) retired" in done.stdout
        assert [name for name, (use, _) in cells(study).items() if use] == ["other", "vit"]
        return
    assert done.returncode == 1 and advice in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert [path.read_bytes() for path in files] == before


def test_a_read_only_table_and_a_matrix(sat, write_study, tmp_path):
    write_study()
    table = tmp_path / "models.csv"
    before = table.read_bytes()
    table.chmod(0o444)
    for words in (["retire", "resnet"], ["add", "test_vit2"]):
        done = sat(tmp_path, *words, "--study", "study.yaml")
        assert done.returncode == 1 and "models.csv: is read-only" in done.stderr
    assert table.read_bytes() == before
    (tmp_path / "sat.csv").write_text(",a,b\na,1,2\nb,2,1\n")
    (tmp_path / "matrix.yaml").write_text("study: published\nmatrix: sat.csv\nclusters: {k: 2}\n")
    done = sat(tmp_path, "retire", "a", "--study", "matrix.yaml")
    assert done.returncode == 1 and "starts from a matrix and has no model table" in done.stderr


def test_plan_says_what_a_model_retired_by_hand_costs(sat, write_study, tmp_path):
    write_study([{**row, "use": "no" if row["model"] == "resnet" else "yes"} for row in ROWS])
    said = sat(tmp_path, "plan", "study.yaml").stdout
    assert "Retired by hand: resnet. " in said and "4 of their own jobs are left, limits " in said
    assert sat(tmp_path, "retire", "resnet", "--study", "study.yaml").returncode == 0
    said = sat(tmp_path, "plan", "study.yaml").stdout
    assert "2 models in 1 cohort(s) and 1 retired" in said and "by hand" not in said
    write_study([{**row, "retired": "none"} for row in ROWS])
    assert "column 'retired' is ignored: byobnet, resnet, vit." in sat(tmp_path, "plan", "study.yaml").stdout
