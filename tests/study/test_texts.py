"""Names and texts of a study: what is refused, where the message points, and that the rest does no harm."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import platform
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from snakemake.io import contains_wildcard

from conftest import ROOT, ROWS
from sat.errors import SatError
from sat.store.files import replacing
from sat.store.step import Step
from sat.study.section import LONGEST
from sat.study.study import load_study


@pytest.fixture
def matrix_study(tmp_path):
    """Write a study of a matrix of two models, and a cell of its table."""

    def write(name: str, cell: str = "conv", column: str = "Stem") -> Path:
        names = ["ViT-B/16", name]
        pd.DataFrame(np.eye(2) + 1, names, names).to_csv(tmp_path / "m.csv")
        with (tmp_path / "c.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([["name", column], ["ViT-B/16", "vit"], [name, cell]])
        config = {"study": "tiny", "matrix": "m.csv", "components": "c.csv", "clusters": {"k": 2}}
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(config))
        return tmp_path / "study.yaml"

    return write


@pytest.mark.parametrize("name", ["ResNet-50 (A1, 224²)", "$x$ & 'y' \"z\"", "nét=+-@", "n" * LONGEST])
def test_a_matrix_may_name_its_models_freely(matrix_study, name):
    if not name[0].isalnum():
        name = f"n{name}"
    assert load_study([matrix_study(name)]).used == tuple(sorted(["ViT-B/16", name]))


@pytest.mark.parametrize(
    "name",
    ["a</script><script>", "a<b", "a>b", "a{x}", "a}", "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\uff1d1", "_a"],
)
def test_names_of_a_matrix_that_others_would_run_are_refused_with_their_place(matrix_study, name):
    with pytest.raises(SatError) as error:
        load_study([matrix_study(name)])
    start = f"{matrix_study(name).parent / 'm.csv'}, row 1, column 3: {name!r} cannot be the name"
    assert str(error.value).startswith(start)


@pytest.mark.parametrize(
    ("character", "what"),
    [("\x00", "control character"), ("\x1b", "control"), ("\n", "control"), ("\u202e", "right-to-left override")],
)
def test_characters_that_do_not_print_are_refused_with_their_place(matrix_study, write_study, character, what):
    faults = {
        "c.csv, row 3, column 2": lambda: load_study([matrix_study("net", f"con{character}v")]),
        "c.csv, row 1, column 2": lambda: load_study([matrix_study("net", column=f"St{character}em")]),
        "m.csv, row 1, column 3": lambda: load_study([matrix_study(f"n{character}et")]),
        "models.csv, row 2, column 4": lambda: load_study([write_study([{**ROWS[0], "family": f"a{character}b"}])]),
    }
    for place, load in faults.items():
        with pytest.raises(SatError) as error:
            load()
        # A line break within a quoted cell counts as a line of the file.
        found = str(error.value)
        if character != "\n":
            assert place in found
        assert f"U+{ord(character):04X}" in found and what in found and found.count("\n") == 0


def test_spaces_that_do_not_break_are_no_fault(matrix_study):
    assert load_study([matrix_study("net", "a\u00a0b")]).model["net"].family == "a\u00a0b"


def test_too_long_names_are_refused_with_place_length_and_limit(matrix_study, write_study):
    long = "n" * (LONGEST + 1)
    for load, place in (
        (lambda: load_study([write_study([{**ROWS[0], "model": long}])]), "models.csv, row 2, column 'model'"),
        (lambda: load_study([write_study(study=long)]), "key 'study'"),
        (lambda: load_study([write_study(variants={long: {}})]), "key 'variants"),
        (lambda: load_study([matrix_study(long)]), "m.csv, row 1, column 3"),
        # Two bytes each.
        (lambda: load_study([matrix_study("é" * 61)]), "m.csv, row 1, column 3"),
    ):
        with pytest.raises(SatError) as error:
            load()
        found = str(error.value)
        assert place in found and f"{LONGEST}" in found and len(found) < 500
        assert f"{LONGEST + 1} bytes" in found or "122 bytes" in found
    load_study([write_study([{**ROWS[0], "model": long[1:]}, ROWS[1]], study=long[1:], variants={long[1:]: {}})])


def test_the_longest_name_fits_a_file_system_with_all_that_is_added(tmp_path, monkeypatch):
    # Linux: names of hosts have up to 64 characters, numbers of processes up to 7 digits.
    monkeypatch.setattr(platform, "node", lambda: "h" * 64)
    monkeypatch.setattr(os, "getpid", lambda: 4194304)
    name = "n" * LONGEST
    with replacing(tmp_path / f"{name}.safetensors.json") as temporary:
        temporary.write_text("{}")
    (tmp_path / f".{name}.safetensors.checkpoint-0123456789abcdef").mkdir()
    # The SLURM plugin joins the values of wildcards, here of a variant's folder and of a model.
    (tmp_path / "_".join([f"variants/{name}/", name]).replace("/", "_")).mkdir()


def test_variants_whose_folders_are_one_on_some_systems_are_refused(write_study):
    with pytest.raises(SatError, match=r"key 'variants': weak: and 'Weak' are one folder"):
        load_study([write_study(variants={"Weak": {"attack_images": 8}, "weak": {"attack_images": 16}})])


def test_a_cohort_that_would_be_too_long_for_a_file_name_is_refused(write_study):
    with pytest.raises(SatError, match=r"row 2, column 'cohort': '1{300}' is not a whole number from 1 to 999999"):
        load_study([write_study([{**ROWS[0], "cohort": "1" * 300}, ROWS[1]])])


def test_steps_hold_any_text_without_markup_or_wildcards_and_mean_the_same():
    random = np.random.default_rng(0)
    alphabet = [*"{}<>&\"\\,:/ $%\n'x1", "</script>", "{x}", '"{', '{"', "{ x , .* }", "é", "\u2028", "\\u007b"]
    for _ in range(2000):
        texts = ["".join(random.choice(alphabet, random.integers(8))) for _ in range(3)]
        step = Step("clusters", 2, {texts[0]: {"a": texts[1], "b": [texts[2], {}, 1.5]}, "c": {}}, {"x": texts[1]})
        assert Step.parse(step.json) == step
        assert not set("<>&\n") & set(step.json) and not contains_wildcard(step.json)
        # What it always was: nothing reruns for the way in which the text is written.
        plain = {"stage": "clusters", "version": 2, "params": step.params, "inputs": step.inputs}
        assert step.recipe == hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
        if not set("<>&{") & set("".join(texts)):
            assert step.json == json.dumps(plain, sort_keys=True)


def test_captions_hold_nothing_of_a_study():
    # Snakemake fills captions by Jinja2, with the whole config at hand, and the report holds the result as HTML.
    for caption in (ROOT / "workflow/report").glob("*.rst"):
        text = caption.read_text()
        if caption.stem == "own":
            # The caption of a unit of the study's own; the rules take all markup out of it.
            assert text == "{{ snakemake.params.caption }}\n"
            continue
        assert "{{" not in text and ".. raw::" not in text and ".. include::" not in text, caption


def test_names_of_a_study_json_are_checked_too(write_study, tmp_path):
    study = json.loads(load_study([write_study()]).model_dump_json())
    study["models"][0]["model"] = "../../x"
    (tmp_path / "study.json").write_text(json.dumps(study))
    with pytest.raises(SatError, match=r"study\.json: .*'\.\./\.\./x' is not a usable name"):
        load_study([tmp_path / "study.json"])
