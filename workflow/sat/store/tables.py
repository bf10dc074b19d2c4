"""Tables and matrices on disk."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def read_table(path: Path | str) -> pd.DataFrame:
    """Read a CSV table, numbers to the last bit, text as text."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def read_matrix(path: Path | str) -> pd.DataFrame:
    """Read a square matrix: model names are the header and the first column."""
    return read_table(path).set_index("model").rename_axis(None)
