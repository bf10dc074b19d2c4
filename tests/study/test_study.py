import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import yaml

from conftest import ROOT, ROWS
from sat.errors import SatError
from sat.study import keys as reference
from sat.study.attack import AttackSettings, grey_levels
from sat.study.config import config_schema
from sat.study.forecast import Forecast
from sat.study.plan import Plan
from sat.study.study import build_study, load_study
from sat.study.table import document


def fault(path: Path) -> str:
    with pytest.raises(SatError) as caught:
        load_study([path])
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "key", "advice"),
    [
        ({"atack": {}}, "atack", "unknown key"),
        ({"attack": {"epsilon": "8/255"}}, "attack.epsilon", "unknown key"),
        ({"attack": {"eps": "7.5/255"}}, "attack.eps", "'7/255' or '8/255'"),
        ({"attack": {"eps": "128/255"}}, "attack.eps", "1 to 127"),
        ({"attack": {"eps": "8"}}, "attack.eps", "8/255"),
        ({"attack": {"eps": "eight"}}, "attack.eps", "8/255"),
        ({"attack": {"eps": "8/255", "step": "0.5/255"}}, "attack", "'1/255' or '2/255'"),
        ({"attack": {"steps": "many"}}, "attack.steps", "integer"),
        ({"attack": {"steps": 0}}, "attack.steps", "greater than or equal to 1"),
        ({"attack": {"random_start": "perhaps"}}, "attack.random_start", "boolean"),
        ({"tile_size": 0}, "tile_size", "greater than or equal to 1"),
        ({"tile_size": 1.5}, "tile_size", "integer"),
        ({"min_accuracy": 95}, "min_accuracy", "less than or equal to 1"),
        ({"study": "../elsewhere"}, "study", "file name"),
        ({"clusters": {"k": 4}}, "clusters.k", "3 models cannot form 4 clusters"),
        ({"compute": {"batch_size": 24}}, "compute.batch_size", "multiple of 16"),
        ({"images": None}, "images", "not None"),
        ({"images": {"source": "none"}}, "images", "is missing"),
        ({"models": []}, "models", "is missing"),
        ({"matrix": "nowhere.csv"}, "matrix", "there is no file"),
        ({"matrix": "models.csv"}, "matrix", "has neither 'models' nor 'images'"),
        ({"images": {"source": "imagenet"}}, "images.source", "hfds/ILSVRC/imagenet-1k"),
        ({"images": {"source": "folder"}}, "images", "root"),
        ({"images": {"source": "digits"}}, "images.train_fraction", "is to be trained"),
        ({"images": {"source": "digits", "class_map": "no.txt"}}, "images.class_map", "there is no file"),
        ({"images": {"source": "digits", "attack_images": "no.txt"}}, "images.attack_images", "there is no file"),
        ({"components": "guessed"}, "the whole file", "neither released nor inferred"),
        ({"on_low_accuracy": "ignore"}, "on_low_accuracy", "stop"),
        ({"images": {"source": "digits", "train_folder": "train"}}, "images", "goes with source 'folder'"),
        (
            {"images": {"source": "folder", "root": "x", "train_folder": "train", "train_fraction": 0.5}},
            "images",
            "in place of train_fraction",
        ),
        ({"distillation": {}}, "distillation.student", "is missing"),
        ({"distillation": {"student": "vitt"}}, "distillation.student", "did you mean vit?"),
        (
            {"distillation": {"student": "vit", "teachers": ["zzz"]}},
            "distillation.teachers",
            "there are byobnet, resnet",
        ),
        ({"distillation": {"student": "vit", "teachers": ["vit"]}}, "distillation.teachers", "is the student"),
        ({"distillation": {"student": "vit", "teachers": []}}, "distillation.teachers", "at least one"),
        ({"distillation": {"student": "vit", "teachers": "every"}}, "distillation.teachers", "all"),
        ({"distillation": {"student": "vit", "kind": "warm"}}, "distillation.kind", "'soft' or 'hard'"),
        ({"distillation": {"student": "vit", "temperature": 0}}, "distillation.temperature", "greater than 0"),
        ({"distillation": {"student": "vit", "weight": 1.5}}, "distillation.weight", "less than or equal to 1"),
        ({"distillation": {"student": "vit", "seeds": 0}}, "distillation.seeds", "greater than or equal to 1"),
    ],
)
def test_a_fault_of_the_config_names_file_and_key(write_study, change, key, advice):
    path = write_study(**change)
    message = fault(path)
    assert str(path) in message
    assert f"'{key}'" in message
    assert advice in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("row", "place", "advice"),
    [
        ({"model": "../x"}, "row 5, column 'model'", "file name"),
        ({"model": ".hidden"}, "row 5, column 'model'", "file name"),
        ({"model": "a/b"}, "row 5, column 'model'", "file name"),
        ({"model": "RESNET"}, "row 5, column 'model'", "row 2"),
        ({"model": "resnet"}, "row 5, column 'model'", "row 2"),
        ({"architecture": ""}, "row 5, column 'architecture'", "empty"),
        ({"cohort": "0"}, "row 5, column 'cohort'", "whole number"),
        ({"cohort": "two"}, "row 5, column 'cohort'", "whole number"),
        ({"use": "maybe"}, "row 5, column 'use'", "yes nor no"),
        ({"weights": "download"}, "row 5, column 'weights'", "neither train, nor hub"),
        ({"weights": "hub@"}, "row 5, column 'weights'", "hub@REVISION"),
        ({"weights": "hub"}, "row 5, column 'architecture'", "no tag"),
        ({"weights": "nowhere/w.pth"}, "row 5, column 'weights'", "relative to the table"),
        ({"published_top1": "0.8 %"}, "row 5, column 'published_top1'", "percentage"),
        ({"published_top1": "101"}, "row 5, column 'published_top1'", "percentage"),
        ({"mean": "124 116 104"}, "row 5, column 'mean'", "units of [0, 1]"),
        ({"std": "0.2 0.2"}, "row 5, column 'std'", "one number or three"),
        ({"std": "0"}, "row 5, column 'std'", "one number or three"),
        ({"activation": "GeLU"}, "row 5, column 'activation'", "GELU"),
        ({"activation": "SiLU+ReLU"}, "row 5, column 'activation'", "alphabetical order"),
        ({"stem": "3x3"}, "row 5, column 'stem'", "3s2/3/3"),
        ({"released.stem": "3x3"}, "row 5, column 'released.stem'", "3s2/3/3"),
    ],
)
def test_a_fault_of_the_table_names_file_row_and_column(write_study, row, place, advice):
    others = [{**dict.fromkeys(row, ""), **other} for other in ROWS]
    path = write_study([*others, {**ROWS[0], "model": "another", **row}])
    message = fault(path)
    assert f"models.csv, {place}" in message
    assert advice in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"min-accuracy": 0.5}, ["unknown key 'min-accuracy'", "write min_accuracy."]),
        ({"atack": {}}, ["unknown key 'atack'", "did you mean attack"]),
        ({"attack": {"step-size": 5}}, ["unknown key 'attack.step-size'", "did you mean step"]),
        ({"attack.steps": 5}, ["unknown key 'attack.steps'", "write attack: {steps: 5}."]),
        ({"attack.step-size": 5}, ["unknown key 'attack.step-size'", "write attack: {KEY: 5}", "steps"]),
        ({"images.canvass": 32}, ["unknown key 'images.canvass'", "did you mean canvas?"]),
        ({"atack.steps": 5}, ["unknown key 'atack.steps'", "did you mean attack"]),
        ({"training.fine_tune": True}, ["write training: {fine_tune: true}."]),
        ({"eps": "8/255"}, ["unknown key 'eps'", "eps is a key of attack: write attack: {eps: 8/255}."]),
        ({"training": {"epoch": 5}}, ["unknown key 'training.epoch'", "did you mean epochs?"]),
        ({"clusters": {"K": 2}}, ["unknown key 'clusters.K'", "did you mean k?"]),
        ({"variants": {"a-b": {"atack": {}}}}, ["unknown key 'variants.a-b.atack'", "did you mean attack"]),
        ({"something_else": 1}, ["unknown key 'something_else'", "remove it or correct its spelling."]),
        ({"images": {"source": "digits", "attack_images": 0}}, ["'images.attack_images'"]),
        ({"images": {"source": "digits", "eval_images": 0}}, ["'images.eval_images'"]),
        (
            {"images": {"source": "digits", "eval_images": 20, "attack_images": 21}},
            ["'images", "21 attack images of 20 evaluation images", "lower attack_images or raise eval_images"],
        ),
        ({"training": {"optimiser": "adamx"}}, ["key 'training.optimiser'", "did you mean adamax"]),
        ({"training": {"optimiser": "kron"}}, ["key 'training.optimiser'", "cannot be used"]),
        ({"training": {"schedule": "cosin"}}, ["key 'training.schedule'", "'cosine'", "not 'cosin'"]),
        ({"groups": ["familly"]}, ["key 'groups'", "models.csv has no column 'familly'", "did you mean family?"]),
        ({"groups": ["colour"]}, ["key 'groups'", "no column 'colour'", "there are model, architecture,"]),
        ({"groups": ["family", "stem"]}, ["key 'groups'", "column 'stem'", "is empty for all models in use"]),
        ({"groups": ["training.epochs"]}, ["key 'groups'", "column 'training.epochs'", "is empty"]),
        ({"groups": [], "compare_to": "models.csv"}, ["key 'compare_to'", "key 'groups' is empty"]),
        ({"compare_to": "model.csv"}, ["key 'compare_to'", "there is no file", "did you mean models.csv?"]),
        ({"reference": "nothing/at/all"}, ["key 'reference'", "there is no file"]),
        (
            {"reference": "models.csv", "reference_names": "realised_name"},
            ["key 'reference_names'", "column 'realised_name'", "is not there"],
        ),
    ],
)
def test_what_a_config_names_must_be_there(write_study, change, words):
    path = write_study(**change)
    message = fault(path)
    assert str(path) in message and "the whole file" not in message
    assert all(word in message for word in words), message


def test_a_model_that_is_not_in_the_study_is_named_beside_a_close_one(write_study):
    rows = [{**row, "model": f"{row['model']}.v1"} for row in ROWS]
    plan = Plan(load_study([write_study(rows)]))
    first = rows[0]["model"]
    assert plan.adversarial(first).path == f"adversarial/{first}.h5"
    with pytest.raises(SatError, match=f"study tiny has no model '{first}1'; did you mean .*{first}"):
        plan.adversarial(f"{first}1")
    with pytest.raises(SatError, match="no model 'q'; see the column 'model'"):
        Forecast(plan).attack("q")


def test_keys_given_by_a_command_are_explained_too(write_study):
    with pytest.raises(SatError, match=r"unknown key 'attack\.steps'; write attack: \{steps: 5\}\."):
        load_study([write_study()], {"attack.steps": 5})


def test_a_reference_without_a_column_of_names_goes_by_the_models_own(write_study):
    load_study([write_study(reference="models.csv")])
    load_study([write_study(reference="models.csv", reference_names="released_name")])
    rows = [{**row, "theirs": row["model"].upper()} for row in ROWS]
    load_study([write_study(rows, reference="models.csv", reference_names="theirs")])
    rows = [{**row, "theirs": ""} for row in ROWS]
    path = write_study(rows, reference="models.csv", reference_names="theirs")
    assert "column 'theirs'" in fault(path) and "is empty for all models in use" in fault(path)


def test_every_column_may_be_a_grouping(write_study):
    rows = [
        {
            **row,
            "stem": "3s2",
            "released.stem": "7s2" if row["model"] == "vit" else "",
            "training.fine_tune": "false" if row["model"] == "vit" else "",
            "mean": "0.5",
            "made_by": "us",
            "input_size": "32",
        }
        for row in ROWS
    ]
    columns = ["architecture", "cohort", "use", "stem", "released.stem", "training.fine_tune", "mean", "made_by"]
    study = load_study([write_study(rows, groups=[*columns, "input_size"])])
    assert {column: cells["vit"] for column, cells in study.groupings.items()} == {
        "architecture": "test_vit",
        "cohort": "1",
        "use": "yes",
        "stem": "3s2",
        "released.stem": "7s2",
        "training.fine_tune": "false",
        "mean": "0.5 0.5 0.5",
        "made_by": "us",
        "input_size": "32",
    }
    assert study.groupings["released.stem"]["resnet"] == ""
    study = load_study([write_study(rows, groups=["stem"], components="released")])
    assert study.groupings["stem"] == {"byobnet": "3s2", "resnet": "3s2", "vit": "7s2"}


def test_a_column_of_the_tables_own_may_be_empty_beside_others(write_study):
    rows = [{**row, "recipe": ""} for row in ROWS]
    assert set(load_study([write_study(rows, groups=["recipe", "family"])]).groupings) == {"family"}
    message = fault(write_study(rows, groups=["recipe"]))
    assert "column 'recipe'" in message and "is empty for all models in use" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("study: a\nattack: {steps: 3}\nseed: 1\nattack: {eps: 8/255}\n", ["lines 2 and 4", "key 'attack'"]),
        ("study: a\nattack:\n  steps: 3\n  step: 1\n  steps: 4\n", ["lines 3 and 5", "key 'attack.steps'"]),
        ("study: a\n'seed': 1\nseed: 2\n", ["lines 2 and 3", "key 'seed'"]),
        ("study: a\nvariants:\n  x: {}\n  x: {attack_images: 3}\n", ["lines 3 and 4", "key 'variants.x'"]),
    ],
)
def test_a_key_that_stands_twice(tmp_path, text, words):
    path = tmp_path / "twice.yaml"
    path.write_text(text)
    message = fault(path)
    assert all(word in message for word in [str(path), *words])


def test_snakemake_hands_over_a_merged_config_and_the_files_are_read_again(write_study):
    path = write_study()
    config = yaml.safe_load(path.read_text())
    build_study(config, [path])
    path.write_text(path.read_text() + "\ntile_size: 3\n")
    with pytest.raises(SatError, match="key 'tile_size' appears twice"):
        build_study(config, [path])


def test_anchors_and_merge_keys_are_no_keys_that_stand_twice(write_study):
    path = write_study()
    extra = "variants:\n  a: &a {attack_images: 3}\n  b: {<<: *a}\n  c: *a\n"
    path.write_text(path.read_text() + extra)
    assert set(load_study([path]).config.variants) == {"a", "b", "c"}


def test_a_date_is_a_name(write_study):
    path = write_study()
    path.write_text(path.read_text().replace("study: tiny", "study: 2024-05-01"))
    assert load_study([path]).name == "2024-05-01"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("inputsize", ["row 1: column 'inputsize'", "did you mean input_size?", "'groups'"]),
        ("Input size", ["column 'Input size'", "did you mean input_size?"]),
        ("familly", ["column 'familly'", "did you mean family?"]),
        ("normalization", ["column 'normalization'", "did you mean normalisation?"]),
        ("relesed.stem", ["column 'relesed.stem'", "did you mean released.stem?"]),
        ("released.stems", ["column 'released.stems'", "no such component", "did you mean released.stem?"]),
        ("released.colour", ["no such component", "they are base_architecture"]),
        ("training.epoch", ["column 'training.epoch'", "no such setting", "did you mean training.epochs or"]),
        ("training.speed", ["column 'training.speed'", "no such setting", "they are fine_tune, epochs,"]),
        ("check-point", ["column 'check-point'", "did you mean checkpoint?"]),
    ],
)
def test_a_column_that_is_spelled_like_a_known_one(write_study, header, words):
    message = fault(write_study([{**row, header: ""} for row in ROWS]))
    assert "models.csv, row 1" in message
    assert all(word in message for word in words), message


def test_a_column_that_the_study_names_is_no_slip(write_study):
    rows = [{**row, "mode": "fast", "initialisation": "a", "recipe": "b"} for row in ROWS]
    assert "did you mean model?" in fault(write_study(rows))
    assert set(load_study([write_study(rows, groups=["mode"])]).groupings) == {"mode"}


@pytest.mark.parametrize(
    ("row", "place", "advice"),
    [
        ({"architecture": "test_resnett"}, "row 5, column 'architecture'", "did you mean test_resnet"),
        ({"architecture": "hf-hub:timm/x.y", "weights": "hub"}, "row 5, column 'architecture'", "is a place"),
        (
            {"architecture": "test_resnet.r160", "weights": "hub"},
            "row 5, column 'architecture'",
            "did you mean test_resnet.r160_in1k?",
        ),
        ({"training.optimiser": "adamx"}, "row 5, column 'training.optimiser'", "did you mean adamax"),
        ({"training.schedule": "cosin"}, "row 5, column 'training.schedule'", "'cosine'"),
        ({"training.epochs": "0"}, "row 5, column 'training.epochs'", "greater than or equal to 1"),
        ({"training.epochs": "[1"}, "row 5, column 'training.epochs'", "expected ',' or ']'"),
        ({"mean": "0.1 much 0.3"}, "row 5, column 'mean'", "one number or three"),
        ({"gmacs": "nan"}, "row 5, column 'gmacs'", "'nan' is not a number above 0"),
        ({"gmacs": "-1"}, "row 5, column 'gmacs'", "'-1' is not a number above 0"),
        ({"n_parameters": "1.5"}, "row 5, column 'n_parameters'", "'1.5' is not a whole number from 1 on"),
        ({"input_size": "224px"}, "row 5, column 'input_size'", "'224px' is not a whole number"),
    ],
)
def test_a_fault_of_a_row_says_what_would_be_right(write_study, row, place, advice):
    others = [{**dict.fromkeys(row, ""), **other} for other in ROWS]
    message = fault(write_study([*others, {**ROWS[0], "model": "another", **row}]))
    assert f"models.csv, {place}" in message
    assert advice in message


def test_what_a_row_may_hold(write_study):
    retired = {**ROWS[0], "model": "old", "architecture": "of_another_timm", "use": "no"}
    tagged = {**ROWS[0], "model": "tagged", "architecture": "test_resnet.my_own_tag"}
    assert len(load_study([write_study([*ROWS, retired, tagged])]).used) == 4


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["is empty", "model, architecture, weights, family"]),
        (b"\n\n", ["is empty"]),
        (b"\nmodel,architecture,weights,family\na,test_vit,train,b\n", ["row 1: is empty"]),
        (b"model;architecture;weights;family\na;test_vit;train;b\n", ["row 1", "separated by semicolons", "commas"]),
        (b"model\tarchitecture\tweights\tfamily\na\ttest_vit\ttrain\tb\n", ["row 1", "separated by tabs"]),
        (
            "model,architecture,weights,family\na,test_vit,train,b\nc,test_vit,train,schön\n".encode("latin-1"),
            ["row 3", "byte 21 is 0xf6", "'ö' in Latin-1", "save the file as UTF-8"],
        ),
        ("model,architecture,weights,family\na,test_vit,train,b\n".encode("utf-16"), ["UTF-16", "as UTF-8"]),
        (b"modell,architecture,weights,family\n", ["missing column(s) model", "'modell' should be model"]),
    ],
)
def test_a_table_that_is_no_table(write_study, tmp_path, content, words):
    path = write_study()
    (tmp_path / "models.csv").write_bytes(content)
    message = fault(path)
    assert "models.csv" in message and "'utf-8' codec" not in message
    assert all(word in message for word in words), message


def test_a_config_in_latin_1(write_study):
    path = write_study()
    path.write_bytes(path.read_bytes() + "# schön\n".encode("latin-1"))
    assert "0xf6" in fault(path) and "UTF-8" in fault(path)


def folder_study(write_study, tmp_path, *files, **more):
    for file in files:
        (tmp_path / "pictures" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pictures" / file).touch()
    images = {"source": "folder", "root": "pictures", "canvas": 32, "train_fraction": 0.5, **more}
    return write_study(images=images)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["cat/1.png", "cat/2.png"], ["one class alone", "'cat'"]),
        (["cat/1.png", "notes.txt", "__MACOSX/x", ".git/x"], ["one class alone", "'cat'"]),
        (["1.png", "2.JPG"], ["without class folders", "2 files"]),
    ],
)
def test_images_that_are_no_classes(write_study, tmp_path, files, words):
    message = fault(folder_study(write_study, tmp_path, *files))
    assert "'images.root'" in message and all(word in message for word in [str(tmp_path / "pictures"), *words])


@pytest.mark.parametrize(
    "files",
    [
        [],
        ["cat/1.png", "dog/1.png", "stray.png"],
        ["val/cat/1.png", "val/dog/1.png"],
        ["cat.tar"],
        ["notes.txt"],
    ],
)
def test_images_that_may_be_classes(write_study, tmp_path, files):
    load_study([folder_study(write_study, tmp_path, *files)])


def test_a_class_map_may_name_one_class(write_study, tmp_path):
    (tmp_path / "map.txt").write_text("dog\ncat\n")
    load_study([folder_study(write_study, tmp_path, "cat/1.png", class_map="map.txt")])
    (tmp_path / "pictures/cat/1.png").rename(tmp_path / "pictures/1.png")
    (tmp_path / "pictures/cat").rmdir()
    assert "without class folders" in fault(folder_study(write_study, tmp_path, class_map="map.txt"))


def test_the_documentation_of_columns_is_in_step():
    assert (ROOT / "docs/columns.md").read_text() == document(), (
        "PYTHONPATH=workflow python -m sat.study.table > docs/columns.md"
    )


def test_missing_and_double_columns_are_named(write_study, tmp_path):
    path = write_study([{name: text for name, text in row.items() if name != "family"} for row in ROWS])
    assert "missing column(s) family" in fault(path)
    (tmp_path / "models.csv").write_text("model,architecture,weights,family,family\na,b,train,c,d\n")
    assert "'family'" in fault(path)
    (tmp_path / "models.csv").write_text("model,architecture,weights,family\na,b,train,c,d\n")
    assert "row 2: 5 cells under 4 columns" in fault(path)
    (tmp_path / "models.csv").write_text("model,architecture,weights,family,released.colour\na,b,train,c,red\n")
    assert "row 1: column 'released.colour': no such component" in fault(path)
    (tmp_path / "models.csv").unlink()
    assert "models.csv" in fault(path)


def test_training_columns_override_the_config_for_their_row(write_study):
    rows = [{**row, "training.epochs": "7" if row["model"] == "vit" else ""} for row in ROWS]
    study = load_study([write_study(rows)])
    assert study.model["vit"].training == {"epochs": 7}
    assert study.model["resnet"].training == {}
    rows[0]["training.epochs"] = "few"
    message = fault(write_study(rows))
    assert "row 2, column 'training.epochs': input should be a valid integer" in message


def test_components_released_and_inferred(write_study):
    rows = [
        {
            **row,
            "input_size": "32",
            "stem": "7s1/3/3s2",
            "activation": "ReLU",
            "released.stem": "7s1",
            "released.activation": "",
        }
        for row in ROWS
    ]
    row = load_study([write_study(rows)]).model["vit"]
    inferred = {"stem": "7s1/3/3s2", "activation": "ReLU", "input_size": "32"}
    assert row.component_values("inferred") == inferred
    assert row.component_values("released") == {**inferred, "stem": "7s1"}
    assert row.groups == {}


def test_where_weights_come_from(write_study, tmp_path):
    (tmp_path / "hub.pth").write_bytes(b"weights")
    rows = [
        {**ROWS[0], "model": "a", "weights": "train"},
        {**ROWS[0], "model": "b", "weights": "hub@abc", "architecture": "test_resnet.r160_in1k"},
        {**ROWS[0], "model": "c", "weights": "hub.pth"},
    ]
    study = load_study([write_study(rows)])
    assert [row.source for row in study.models] == ["train", "hub", "checkpoint"]
    assert [row.revision for row in study.models] == [None, "abc", None]
    assert study.files == {"c": tmp_path / "hub.pth"}
    # Where a file lies is nobody's business but this run's.
    assert "files" not in study.model_dump_json()


def test_fewer_than_two_models_in_use(write_study):
    rows = [{**row, "use": "yes" if row["model"] == "vit" else "no"} for row in ROWS]
    assert "at least two models" in fault(write_study(rows))


def test_no_file_and_no_yaml(tmp_path):
    assert "cannot be read" in fault(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    assert "not valid YAML" in fault(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- a")
    assert "key: value" in fault(tmp_path / "list.yaml")


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("8/255", 8),
        (8 / 255, 8),
        ("0.0313725", 8),
        ("0/255", 0),
        (0.1, Fraction(51, 2)),
        ("0.1", Fraction(51, 2)),
        (1, 255),
    ],
)
def test_grey_levels(text, levels):
    assert grey_levels(text) == levels


def test_a_step_that_pins_equals_twice_eps():
    # 0.1 is 25.5 grey levels, no whole number; from 16 on every step of an 8/255 ball pins.
    assert AttackSettings(eps="8/255", step=0.1).step_levels == 16
    assert AttackSettings(eps="8/255", step="16/255").step_levels == 16
    assert AttackSettings(eps="8/255", step="2/255").step_levels == 2


def test_later_files_and_overrides_win_key_by_key(write_study, tmp_path):
    first = write_study()
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("attack: {steps: 9}\ntile_size: 5\n")
    # Snakemake leaves values within --config's braces as text.
    study = load_study([first, overlay], {"tile_size": 7, "attack": {"step": "4/255", "steps": "11"}})
    assert (study.config.tile_size, study.config.attack.steps, study.config.attack.step) == (7, 11, "4/255")
    assert study.config.attack.eps == "24/255"


def test_default_study_is_valid_and_complete():
    study = load_study([ROOT / "config.yaml"])
    assert len(study.used) == 12
    assert len({model.family for model in study.models}) >= 5
    written = set(yaml.safe_load((ROOT / "config.yaml").read_text()))
    assert written == set(type(study.config).model_fields), "config.yaml shows every key"


def test_schema_is_in_step():
    assert json.loads((ROOT / "workflow/schema.json").read_text()) == config_schema(), (
        "python -m sat schema > workflow/schema.json"
    )


def test_the_page_of_keys_is_in_step_and_has_every_key_with_its_default():
    schema = config_schema()
    page = (ROOT / "docs/config.md").read_text()
    assert page == reference.document(schema), "sat schema --markdown > docs/config.md"
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    nested = [fields["properties"] for fields in schema["$defs"].values()]
    keys = {key for fields in nested for key in fields}
    plain = {key for key, field in schema["properties"].items() if "$ref" not in json.dumps(field)}
    assert set(rows) == keys | plain
    assert f"`{json.dumps(schema['properties']['tile_size']['default'])}`" in rows["tile_size"]
    sections = set(schema["properties"]) - plain
    assert sections == {line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")}


def test_the_study_needs_no_torch():
    code = """
import sys
sys.modules["torch"] = sys.modules["timm"] = None
from sat.study.plan import Plan
from sat.study.plan import Plan
from sat.study.study import build_study, load_study
from sat.study.table import document
print(len(Plan(load_study(["config.yaml"])).artefacts()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={"PYTHONPATH": "workflow"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_rows_settings_go_over_the_studys(write_study):
    rows = [{**row, "training.schedule": "cosine" if row["model"] == "vit" else ""} for row in ROWS]
    study = load_study([write_study(rows, training={"epochs": 4})])
    assert (study.training("vit").schedule, study.training("resnet").schedule) == ("cosine", "one_cycle")
    assert study.training("vit").epochs == 4


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"warmup_epochs": 2}, "one_cycle warms up by itself"),
        ({"epochs": 3, "warmup_epochs": 3, "schedule": "cosine"}, "3 of 3 epochs"),
        ({"mixup": 0.2, "batch_size": 31}, "even number"),
        ({"auto_augment": "random"}, "rand-m9"),
        ({"schedule": "linear"}, "cosine"),
    ],
)
def test_training_settings_that_cannot_be(write_study, training, words):
    with pytest.raises(SatError, match=words) as error:
        load_study([write_study(training=training)])
    assert "training" in str(error.value)


def test_fine_tuned_models_have_an_artefact_to_start_from(write_study):
    rows = [
        {**ROWS[0], "architecture": "test_resnet.r160_in1k", "weights": "hub"},
        {**ROWS[1], "architecture": "test_vit.r160_in1k", "weights": "hub", "training.fine_tune": "false"},
        ROWS[2],
    ]
    rows = [{"training.fine_tune": "", "published_top1": "50", **row} for row in rows]
    plan = Plan(load_study([write_study(rows, training={"fine_tune": True})]))
    artefacts = plan.artefacts()
    assert {name for name in artefacts if name.startswith("pretrained/")} == {"pretrained/resnet.safetensors"}
    stages = {row["model"]: artefacts[f"weights/{row['model']}.safetensors"].step.stage for row in rows}
    assert stages == {"resnet": "train", "vit": "hub", "byobnet": "train"}
    assert (
        artefacts["weights/resnet.safetensors"].step.inputs["pretrained"]
        == artefacts["pretrained/resnet.safetensors"].step.recipe
    )
    assert "images/train.h5" in artefacts
    assert plan.similarity("")[0].step.params["published_top1"] == {"vit": 50.0}, (
        "accuracies on other images are not compared"
    )
    assert all(
        Forecast(plan).needs(artefacts[name]) for name in artefacts if name.startswith(("pretrained/", "weights/"))
    )


def test_fine_tuning_needs_training_images(write_study):
    rows = [{**row, "architecture": f"{row['architecture']}.r160_in1k", "weights": "hub"} for row in ROWS]
    images = {"source": "digits", "canvas": 32}
    load_study([write_study(rows, images=images)])
    with pytest.raises(SatError, match=r"images\.train_fraction.*fine_tune"):
        load_study([write_study(rows, images=images, training={"fine_tune": True})])


def test_a_student_that_is_not_trained_here(write_study):
    rows = [{**ROWS[0], "architecture": "resnet18.a1_in1k", "weights": "hub"}, *ROWS[1:]]
    message = fault(write_study(rows, distillation={"student": "resnet"}))
    assert "'distillation.student'" in message and "column 'weights' is train" in message


def distilled(write_study, rows=None, **asked):
    plan = Plan(load_study([write_study(rows, distillation={"student": "vit", **asked})]))
    return {name: made.step.recipe for name, made in plan.artefacts().items() if name.startswith("distilled/")}


def test_what_makes_a_distilled_student(write_study):
    first = distilled(write_study, seeds=2)
    assert sorted(first) == [
        f"distilled/{name}/{k}.safetensors" for name in ("_alone", "byobnet", "resnet") for k in (0, 1)
    ]
    assert len(set(first.values())) == 6
    alone = {name for name in first if "_alone" in name}
    # Another seed, or another teacher, is none of the others' business.
    assert first.items() <= distilled(write_study, seeds=3).items()
    assert first.items() <= distilled(write_study, [*ROWS, {**ROWS[0], "model": "new"}], seeds=2).items()
    assert distilled(write_study, seeds=2, teachers=["resnet"]).items() <= first.items()
    # Nor is the teacher's part of the loss that of a student alone.
    for change in ({"temperature": 2.0}, {"weight": 0.2}, {"kind": "hard"}):
        other = distilled(write_study, seeds=2, **change)
        assert {name for name in first if other[name] == first[name]} == alone
    assert distilled(write_study, kind="hard") == distilled(write_study, kind="hard", temperature=9.0)


def test_without_distillation_nothing_is_distilled(write_study):
    plan = Plan(load_study([write_study()]))
    assert "distillation" not in plan.analyses and not plan.students
    assert not any("distil" in name for name in plan.artefacts())


def test_the_limit_of_pixels_enters_no_step(write_study):
    from sat.study.plan import Plan

    steps = [
        {path: artefact.step for path, artefact in Plan(load_study([write_study(**changes)])).artefacts().items()}
        for changes in ({}, {"compute": {"max_megapixels": 500}})
    ]
    assert len(steps[0]) > 20 and steps[0] == steps[1]
    with pytest.raises(SatError, match=r"compute\.max_megapixels"):
        load_study([write_study(compute={"max_megapixels": 0})])


@pytest.mark.parametrize(("models", "k"), [(2, 2), (3, 2), (8, 4), (9, 4), (10, 10), (12, 10)])
def test_the_default_number_of_clusters_fits_a_small_study(write_study, models, k):
    rows = [{**ROWS[0], "model": f"m{place}"} for place in range(models)]
    path = write_study([*rows, {**ROWS[0], "model": "gone", "use": "no"}])
    config = yaml.safe_load(path.read_text())
    del config["clusters"]["k"]
    path.write_text(yaml.safe_dump(config))
    assert load_study([path]).config.clusters.k == k
    # It is a default: what the user writes stays, and is checked.
    config["clusters"]["k"] = models
    path.write_text(yaml.safe_dump(config))
    assert load_study([path]).config.clusters.k == models
