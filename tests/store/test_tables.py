"""Tables that spreadsheets open, and that read back as they were."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest

from sat.store import columns
from sat.store.tables import as_written, read_matrix, read_table, write_csv

FORMULAS = [
    "=1+1",
    "=cmd|' /C calc'!A0",
    "+cmd",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\uff1d1",
    "\uff20x",
]
TEXTS = [
    "'=1",
    "''=1",
    "'",
    "''",
    "'a",
    "it's",
    "-",
    "",
    "a,b",
    'a"b',
    "NA",
    "nan",
    "None",
    "-a",
    "'-0.3",
    " =1",
    "0x1",
]


@pytest.mark.parametrize("text", [*FORMULAS, *TEXTS])
def test_what_is_read_is_what_was_written(tmp_path, text):
    table = pd.DataFrame({"family": [text, "other"], f"{text}?": [-0.3, 2.0]})
    write_csv(table, tmp_path / "t.csv")
    found = read_table(tmp_path / "t.csv")
    assert list(found.columns) == list(table.columns)
    assert found["family"].fillna("").tolist() == table["family"].tolist()
    assert found.iloc[:, 1].tolist() == [-0.3, 2.0] and found.dtypes.iloc[1] == "float64"


def test_any_text_reads_back(tmp_path):
    random = np.random.default_rng(0)
    texts = ["".join(random.choice(list("'=+-@1.ea \t,\""), random.integers(1, 6))) for _ in range(3000)]
    texts = [*texts, *(f"{text}\r{text}" for text in texts[:9]), "\n=1", "word"]
    # Lines of spaces alone are skipped, so there is a second column, as in all our tables.
    write_csv(pd.DataFrame({"text": texts, "n": range(len(texts))}), tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv")["text"].tolist() == texts


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_and_no_header_starts_as_a_formula(tmp_path, text):
    write_csv(pd.DataFrame({text: [text, 1, None]}), tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as stream:
        header, first, *_ = csv.reader(stream)
    assert header == first == [f"'{text}"]


def test_numbers_stay_numbers_and_other_tables_keep_their_bytes(tmp_path):
    table = pd.DataFrame(
        {
            "model": ["vit", "a-b"],
            "family": ["-0.3", "+1e-5"],
            "rate": [-0.3, np.nan],
            "n": pd.Series([1, None], dtype=object),
            "low": [True, False],
            "kind": pd.Categorical(["x", "y"]),
        }
    )
    write_csv(table, tmp_path / "t.csv")
    table.to_csv(tmp_path / "plain.csv", index=False)
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()


def test_a_category_and_a_matrix_are_guarded_too(tmp_path):
    write_csv(pd.DataFrame({"kind": pd.Categorical(["=x", "y"])}), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "kind\n'=x\ny\n"
    names = ["=x", "y"]
    matrix = pd.DataFrame([[1.0, -0.5], [-0.5, 1.0]], names, names)
    write_csv(matrix.rename_axis("model").reset_index(), tmp_path / "m.csv")
    assert "'=x" in (tmp_path / "m.csv").read_text()
    found = read_matrix(tmp_path / "m.csv")
    assert list(found.index) == list(found.columns) == names and np.array_equal(found, matrix)


LOOK_ALIKES = [
    *(["18", "34", "50"], ["001", "1", "01"], ["1e5", "1E5", "100000.0"], ["true", "True", "TRUE"]),
    *(["NA", "nan", "None"], ["inf", "-inf", "Infinity"], ["0x10", "1_000", "1.50"], ["False", "null", "NULL"]),
    ["123456789012345678901234567890", "12345678901234567890123456789", "0.1000000000000000055"],
]


@pytest.mark.parametrize("names", LOOK_ALIKES)
def test_names_that_look_like_numbers_or_truth_values_stay_text(tmp_path, names):
    table = pd.DataFrame({**dict.fromkeys(sorted(columns.TEXTS), names), "sat": [0.5, np.nan, -1]})
    write_csv(table, tmp_path / "groups.csv")
    found = read_table(tmp_path / "groups.csv")
    assert all(found[column].tolist() == names for column in columns.TEXTS) and found["sat"].dtype == float
    square = np.random.default_rng(0).normal(size=(3, 3))
    write_csv(pd.DataFrame(square, names, names).rename_axis("model").reset_index(), tmp_path / "sat.csv")
    matrix = read_matrix(tmp_path / "sat.csv")
    assert list(matrix.index) == list(matrix.columns) == names and np.array_equal(matrix, square)
    assert read_table(tmp_path / "sat.csv")["model"].tolist() == names


@pytest.mark.parametrize(
    ("table", "texts"),
    [("measures_pairs", ["model_a", "model_b"]), ("components_null", ["of"]), ("ablation", ["variant", "of"])],
)
def test_columns_that_the_user_names_like_columns_of_text_hold_numbers(table, texts):
    written = pd.DataFrame({**{text: ["1", "2"] for text in texts}, "family": [0.25, np.nan], "kind": [1, 2]})
    found = as_written(written, table)
    assert found[texts].to_numpy().tolist() == written[texts].to_numpy().tolist()
    assert np.array_equal(found["family"], written["family"], equal_nan=True) and found["kind"].tolist() == [1, 2]


def test_a_component_s_values_stay_text_though_other_tables_have_numbers_there():
    assert as_written(pd.DataFrame({"value": ["18", "034"]}), "components_values")["value"].tolist() == ["18", "034"]
    assert as_written(pd.DataFrame({"value": [18.5, 34]}), "stability")["value"].tolist() == [18.5, 34]
