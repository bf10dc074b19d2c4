"""What files hold is declared in one place, and real files hold nothing else."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest

from analysed import check_columns, check_texts
from conftest import ROOT
from sat import units
from sat.results.files import columns_of, document, tables, undeclared
from sat.store import hdf5, layout
from sat.store.columns import TEXTS, Table
from sat.units.analysis import wildcards_of


def test_the_page_of_files_and_columns_is_up_to_date():
    assert (ROOT / "docs/files.md").read_text() == document(), (
        "PYTHONPATH=workflow python -m sat.results.files > docs/files.md"
    )


def test_every_array_of_a_study_is_as_declared_and_says_so(finished):
    kinds = {
        path.replace("{target tile}", "{t}").replace("{source tile}", "{s}"): kind
        for path, kind in layout.ARRAYS.items()
    }
    seen = set()
    for path in finished.results.rglob("*.h5"):
        (kind,) = [kind for pattern, kind in kinds.items() if wildcards_of(pattern, str(path)) is not None]
        with h5py.File(path, "r") as file:
            assert file.attrs["description"] == kind.description
            for name, data in file.items():
                declared = kind.arrays[name]
                dtype = "text" if data.dtype == object else str(data.dtype).replace("|", "")
                assert dtype in declared.dtype.split(" or "), f"{path}: {name}"
                assert data.ndim == len(declared.axes)
                assert data.attrs["axes"].tolist() == list(declared.axes)
                assert (data.attrs["unit"], data.attrs["description"]) == (declared.unit, declared.description)
                seen.add((kind.description, name))
    assert len(seen) == 4 + 4 + 2 + 5, "every array but those of image files and of gradients"


def test_every_column_of_a_study_is_declared(finished):
    declared = tables()
    paths = [*finished.results.glob("similarity/*.csv"), finished.results / "images/manifest.csv"]
    for path in paths:
        columns = list(pd.read_csv(path, nrows=0))
        assert undeclared(declared[path.relative_to(finished.results).as_posix()], columns) == []
    assert list(pd.read_parquet(finished.results / "similarity/pairs.parquet")) == list(
        declared["similarity/pairs.parquet"].columns
    ), "in their order"
    for name, unit in units.declarations("analyses").items():
        if all((finished.results / f"analysis/{table}.csv").exists() for table in unit.tables):
            check_columns(name, finished.results)


def test_every_column_with_words_is_declared_as_text(finished):
    paths = list(finished.results.rglob("*.csv"))
    assert len(paths) > 20
    for path in paths:
        check_texts(path)


def test_every_column_of_text_is_one_of_a_table():
    declared = {column for table in tables().values() for column in table.columns}
    assert declared >= TEXTS


@pytest.mark.parametrize("name", units.names("analyses"))
def test_every_table_of_an_analysis_is_declared(name):
    assert set(columns_of(name)) == set(units.declarations("analyses")[name].tables)


def test_a_column_that_is_not_declared_is_found():
    table = Table("One row.", {"model": "", "rate_{}": "", "{measure}_low": ""})
    assert undeclared(table, ["model", "rate_ab", "cka_low", "modell", "rate_", "_low", "low"]) == [
        "modell",
        "rate_",
        "_low",
        "low",
    ]


def test_attributes_change_no_digest_and_an_array_that_is_not_declared_is_a_mistake(tmp_path):
    for path, kind in ((tmp_path / "plain.h5", None), (tmp_path / "told.h5", layout.CLEAN)):
        with hdf5.writing(path, kind) as file:
            file["eval_prediction"] = np.arange(3, dtype=np.int16)
    assert hdf5.stored_digest(tmp_path / "plain.h5") == hdf5.stored_digest(tmp_path / "told.h5")
    again = tmp_path / "again.h5"
    with hdf5.writing(again, layout.CLEAN) as file:
        file["eval_prediction"] = np.arange(3, dtype=np.int16)
    assert again.read_bytes() == (tmp_path / "told.h5").read_bytes(), "the same bytes every time"
    with pytest.raises(KeyError, match="surprise"), hdf5.writing(tmp_path / "other.h5", layout.CLEAN) as file:
        file["surprise"] = np.arange(3)
    assert not (tmp_path / "other.h5").exists()
