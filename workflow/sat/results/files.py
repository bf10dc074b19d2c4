"""What every file of a study holds, as a page for people: `python -m sat.results.files > docs/files.md`."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from sat import units
from sat.store.columns import TABLES, Table
from sat.store.layout import ARRAYS
from sat.text import opening
from sat.units.analysis import Analysis

HEAD = """# Files and columns

What lies in `results/<study>/`. Written from the declarations in workflow/sat/store/layout.py,
workflow/sat/store/columns.py and the `COLUMNS` of each analysis by:

    PYTHONPATH=workflow python -m sat.results.files > docs/files.md

[python.md](python.md) shows how to read all of it in Python. Beside every file `x` is `x.json`, the record of how it
was made.

## Arrays

HDF5 files. The attributes of each array (`axes`, `unit`, `description`) say the same; files that an earlier version
made lack them. `import hdf5plugin` lets h5py read images and perturbations. The files of a variant lie below
`variants/<name>/`.
"""
OTHERS = """
## Other files

| file | what it is |
|---|---|
| `study.json` | the effective study: config and model table, in `params` |
| `weights/{model}.safetensors` | weights; the metadata hold architecture, classes, input size, mean and std |
| `clean/{model}.gate.json` | whether the model is accurate enough to be attacked, in `facts` |
| `distilled/{teacher}/{seed}.safetensors` | weights of a student; `_alone` stands for no teacher |
| `code/{digest}/` | copies of the study's own code files |
| `figures/*.svg`, `report/` | figures, and the report |
| `provenance/ro-crate-metadata.json` | all files and how they were made, as an RO-Crate; its sidecar is beside it |
| `provenance/Snakefile` | copy of the Snakefile, which the crate names as the workflow |
| `provenance/history.jsonl` | a line of JSON for every start and end of a run; `sat history` reads it |
| `logs/`, `benchmarks/` | a log and a benchmark for every job |
"""


def columns_of(analysis: str) -> Mapping[str, Table]:
    """What the tables of an analysis hold, by name: `COLUMNS` of its module, or of a module `columns` in its package.

    Parameters
    ----------
    analysis : str

    Returns
    -------
    mapping of str to Table
        Empty if the analysis declares none.
    """
    place = f"sat.analyses.{analysis}"
    module = importlib.import_module(place)
    if hasattr(module, "__path__") and find_spec(f"{place}.columns"):
        module = importlib.import_module(f"{place}.columns")
    found: Mapping[str, Table] = getattr(module, "COLUMNS", {})
    return found


def tables() -> dict[str, Table]:
    """What every table of a study holds, by its path below results/<study>/."""
    declared: Mapping[str, Analysis] = units.declarations("analyses")
    found = dict(TABLES)
    for name in declared:
        found |= {f"analysis/{table}.csv": told for table, told in columns_of(name).items()}
    return found


def undeclared(table: Table, columns: list[str]) -> list[str]:
    """Columns of a real table that are not declared. A part in braces stands for any text."""
    patterns = [re.sub(r"\\{[^}]*\\}", ".+", re.escape(name)) for name in table.columns]
    return [column for column in columns if not any(re.fullmatch(pattern, column) for pattern in patterns)]


def document() -> str:
    """Write the page, in Markdown."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    yield HEAD
    for path, kind in ARRAYS.items():
        yield f"### {path}\n\n{_sentence(kind.description)}\n"
        yield "| array | axes | type | unit | what it holds |\n|---|---|---|---|---|"
        for name, array in kind.arrays.items():
            yield f"| `{name}` | {', '.join(array.axes)} | {array.dtype} | {array.unit} | {array.description} |"
        yield ""
    yield "## Tables of the pipeline\n"
    yield "CSV files, and Parquet for pairs. A missing value is an empty cell.\n"
    yield from _tables(TABLES)
    yield "## Tables of the analyses\n"
    yield "A study has those that its config file asks for.\n"
    for name in units.names("analyses"):
        yield from _tables({f"analysis/{table}.csv": told for table, told in columns_of(name).items()})
    yield OTHERS.strip() + "\n"


def _tables(declared: Mapping[str, Table]) -> Iterator[str]:
    for path, table in declared.items():
        yield f"### {path}\n\n{table.description}\n\n| column | what it holds |\n|---|---|"
        for name, told in table.columns.items():
            yield f"| `{name}` | {told} |"
        yield ""


def _sentence(text: str) -> str:
    return f"{opening(text)}."


if __name__ == "__main__":
    print(document(), end="")
