"""Tables and matrices on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sat.store.artefact import Job
from sat.store.files import replacing


def read_table(path: Path | str) -> pd.DataFrame:
    """Read a CSV or Parquet table, numbers to the last bit, text as text."""
    if Path(path).suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def read_matrix(path: Path | str) -> pd.DataFrame:
    """Read a square matrix, whose header and first column are model names."""
    return read_table(path).set_index("model").rename_axis(None)


def stacked(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of the same columns one below the other, with their names in a first column `of`."""
    return pd.concat(dict(tables), names=["of"]).reset_index("of").reset_index(drop=True)


def write_tables(job: Job, tables: Mapping[str, pd.DataFrame], **facts: Any) -> None:
    """Write tables as CSV, or as Parquet if the path says so, each with its sidecar.

    Parameters
    ----------
    job : Job
    tables : mapping of path to DataFrame
        Tables by path; the index is not written.
    **facts
        See `Job.finish`.
    """
    for path, table in tables.items():
        with replacing(path) as temporary:
            if Path(path).suffix == ".parquet":
                table.to_parquet(temporary, index=False)
            else:
                table.to_csv(temporary, index=False)
        job.finish(path, **facts)
