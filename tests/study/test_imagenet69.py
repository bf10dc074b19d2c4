"""The table of the ImageNet study: its vocabulary, and what the paper's authors released."""

import ast
import csv
import os
import re
from pathlib import Path

import pytest

from projects import ROOT
from sat.study.components import COMPONENTS, check_component, join

TABLE = ROOT / "studies" / "imagenet69.csv"
REVIEWED = ROOT / "studies" / "imagenet69_reviewed.csv"
REFERENCE = Path(os.environ.get("SAT_REFERENCE", ROOT.parent / "shared" / "reference"))

needs_reference = pytest.mark.skipif(
    not (REFERENCE / "Model_Feature_release.csv").is_file(),
    reason="the authors' release is not in SAT_REFERENCE; see https://github.com/J-H-Hwang/SAT",
)

# Where the checkpoint is another, the accuracy is that of the one in the table.
TOP1_NOT_IN_THE_MAP = {"regnetx_320": 80.26, "xception65": 79.56, "tnt_s_legacy_patch16_224": 81.536}
# timm 1.0 keeps the checkpoint of timm 0.6 (tnt_s_patch16_224.pth.tar, says its tnt.py) and its 23.76 million
# parameters under this name; tnt_s_patch16_224.in1k, which the map pins, is another training with 23.77 million.
KEPT_UNDER_ANOTHER_NAME = {"tnt_s_patch16_224": "tnt_s_legacy_patch16_224.in1k"}

COLUMN_OF_THE_RELEASE = {
    "base_architecture": "Base architecture",
    "hierarchical": "Hierarchical structure",
    "stem": "Stem layer",
    "input_size": "Input resolution",
    "normalisation": "Normalization",
    "activation": "Activation",
    "stem_pooling": "Pooling (stem)",
    "final_pooling": "Pooling (final)",
    "self_attention_2d": "2D SA",
    "channel_attention": "CW attention",
    "channel_attention_location": "Location of CW attention",
    "depthwise_convolution": "DW conv",
    "group_convolution": "Group conv",
}
WORDS_OF_THE_RELEASE = {
    "NAS (CNN)": "NAS-CNN",
    "NAS (TFM)": "NAS-Transformer",
    "Yes": "yes",
    "No": "no",
    "~": "none",
    "Middle": "middle",
    "End": "end",
    "GAP": "average",
    "CLS token": "class-token",
    "BN": "BatchNorm",
    "LN": "LayerNorm",
    "GN": "GroupNorm",
    "Affine transform": "Affine",
    "GeLU": "GELU",
    "Leaky ReLU": "LeakyReLU",
    "HardSwish": "Hardswish",
}


def translated(component, value):
    """A cell of the release in the words of the table."""
    if component == "input_size":
        side, other = value.split(" x ")
        assert side == other
        return side
    if component in ("normalisation", "activation"):
        words = [] if value in ("Norm-free", "-") else value.split(" + ")
        return join(WORDS_OF_THE_RELEASE.get(word, word) for word in words)
    if component in ("self_attention_2d", "channel_attention"):
        if value == "No":
            return "none"
        # One channel attention has no name in the release: the split attention of ResNeSt.
        return join(value.removeprefix("Yes (").removesuffix(")").split(", ")) if value != "Yes" else "Split"
    return WORDS_OF_THE_RELEASE.get(value, value)


def read(path):
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def rows():
    return read(TABLE)


def in_reference(name):
    return read(REFERENCE / name)


def test_columns_stand_in_their_order():
    components = [name for name in COMPONENTS if name != "input_size"]
    header = list(rows()[0])
    first = ["model", "architecture", "weights", "family", "cohort", "use", "input_size", "n_parameters", "gmacs"]
    expected = [*first, "published_top1", "released_name", "checkpoint", *components]
    assert header[: len(expected)] == expected
    released = header[len(expected) :]
    assert released == [f"released.{name}" for name in COMPONENTS if f"released.{name}" in released]


def test_69_different_models_sorted_by_name():
    names = [row["model"] for row in rows()]
    assert len(names) == 69
    assert len({name.casefold() for name in names}) == 69
    assert names == sorted(names)
    assert len({row["released_name"] for row in rows()}) == 69


def test_every_cell_is_in_the_vocabulary():
    for row in rows():
        assert row["model"] == row["architecture"].split(".")[0]
        assert (row["weights"], row["cohort"], row["use"]) == ("hub", "1", "yes")
        assert row["checkpoint"] in ("same", "unproven", "other")
        assert 79 < float(row["published_top1"]) < 83 or row["model"] == "nf_regnet_b1"
        for name in COMPONENTS:
            check_component(name, row[name])
        for column, cell in row.items():
            if column.startswith("released.") and cell:
                check_component(column.removeprefix("released."), cell)


def test_a_released_value_is_given_only_where_it_differs():
    columns = [column for column in rows()[0] if column.startswith("released.")]
    for column in columns:
        cells = [(row[column], row[column.removeprefix("released.")]) for row in rows()]
        assert any(released for released, _ in cells), f"{column} is empty"
        assert all(released != own for released, own in cells)


def test_reviewed_list_names_models_of_the_table_and_gives_reasons():
    table = {row["model"]: row for row in rows()}
    cells = []
    for entry in read(REVIEWED):
        assert len(entry["reason"]) > 40
        for model in entry["models"].split(" "):
            cells.append((entry["component"], model))
            own = table[model][entry["component"]]
            assert entry["table"] == own
            assert entry["released"] == (table[model].get(f"released.{entry['component']}") or own)
            assert len({entry["described"], entry["table"], entry["released"]}) > 1, f"{cells[-1]} is not needed"
    assert len(set(cells)) == len(cells)
    differing = {
        (column.removeprefix("released."), row["model"])
        for row in table.values()
        for column, cell in row.items()
        if column.startswith("released.") and cell
    }
    assert differing <= set(cells)


@needs_reference
def test_components_with_the_released_ones_over_them_are_those_of_the_release():
    release = {row["Model name"]: row for row in in_reference("Model_Feature_release.csv")}
    table = {row["released_name"]: row for row in rows()}
    assert table.keys() == release.keys()
    for name, row in table.items():
        for component, column in COLUMN_OF_THE_RELEASE.items():
            effective = row.get(f"released.{component}") or row[component]
            assert effective == translated(component, release[name][column]), f"{name}, {component}"


@needs_reference
def test_architectures_and_accuracies_are_those_of_the_map():
    pinned = {row["name_2022"]: row for row in in_reference("sat69_timm_map.csv")}
    table = {row["released_name"]: row for row in rows()}
    assert table.keys() == pinned.keys()
    for name, row in table.items():
        entry = pinned[name]
        assert row["architecture"] == KEPT_UNDER_ANOTHER_NAME.get(name, entry["pin_this_tag"] or "xception65.tf_in1k")
        assert row["input_size"] == (entry["native_size"] or "299")
        if entry["params_M"] and name not in KEPT_UNDER_ANOTHER_NAME:
            assert abs(int(row["n_parameters"]) / 1e6 - float(entry["params_M"])) <= 0.051
        by_size = dict(ast.literal_eval(entry["timm_top1(size,top1)"] or "[]"))
        top1 = TOP1_NOT_IN_THE_MAP.get(row["model"]) or by_size[int(row["input_size"])]
        assert float(row["published_top1"]) == top1


@needs_reference
def test_a_checkpoint_is_called_the_same_only_where_that_is_known():
    known = {row["old_name"]: row for row in in_reference("timm_0.6.12_to_1.0.31.csv")}
    for row in rows():
        entry = known[row["released_name"]]
        if entry["status"] == "MISSING":
            assert row["checkpoint"] == "other"
            continue
        if row["released_name"] in KEPT_UNDER_ANOTHER_NAME:
            assert row["checkpoint"] == "same"
            continue
        same = entry["same_checkpoint_now"]
        assert row["checkpoint"] == ("same" if same else "unproven")
        # The old checkpoint may be known under another tag than the one in the table.
        if "." in same:
            assert row["architecture"] == same


@pytest.mark.parametrize(
    ("component", "released", "ours"),
    [
        ("input_size", "256 x 256", "256"),
        ("normalisation", "LN + BN", "BatchNorm+LayerNorm"),
        ("normalisation", "Norm-free", "none"),
        ("activation", "ReLU + SiLU + ReLU6", "ReLU+ReLU6+SiLU"),
        ("self_attention_2d", "Yes (Lambda, Halo, BoT)", "BoT+Halo+Lambda"),
        ("channel_attention", "Yes", "Split"),
        ("channel_attention_location", "~", "none"),
    ],
)
def test_translation_of_the_release(component, released, ours):
    assert translated(component, released) == ours


def test_reasons_are_sentences_without_line_breaks():
    for entry in read(REVIEWED):
        assert re.fullmatch(r"[A-Z0-9][^\n]*\.", entry["reason"])
