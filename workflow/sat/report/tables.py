"""Tables for people: as many digits as one reads, in plain text, Markdown or LaTeX. The files keep full precision."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from sat.text import columns

DIGITS = 3
"""Significant digits of the largest value of a column; all its values have as many decimals."""
P = re.compile(r"(^|_)p(_|$)")
"""Columns of p-values."""
ENDS = re.compile(r"_(low|high|best|worst)$")
"""Ends of the names of columns that belong to another one, and get its decimals."""
SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}
"""How LaTeX writes letters that mean something to it."""


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Turn every cell into text with sensible digits.

    Numbers get three significant digits of the largest value in their column, intervals as many decimals as what they
    are of, whole numbers none, and p-values three decimals or ``< 0.001``. A missing value is empty.

    Parameters
    ----------
    table : DataFrame

    Returns
    -------
    DataFrame
        Texts.
    """
    groups: dict[str, list[str]] = {}
    for name in table.columns:
        base = ENDS.sub("", str(name))
        groups.setdefault(_value_of(base, table) if base in ("low", "high") else base, []).append(name)
    decimals = {name: _decimals(table[names]) for names in groups.values() for name in names}
    return pd.DataFrame({name: [_cell(value, str(name), decimals[name]) for value in table[name]] for name in table})


def _value_of(name: str, table: pd.DataFrame) -> str:
    """The column that a plain `low` or `high` is the end of: the number just before it."""
    before = list(table.columns)[: list(table.columns).index(name)]
    numbers = [one for one in before if pd.api.types.is_float_dtype(table[one]) and one not in ("low", "high")]
    return str(numbers[-1]) if numbers else name


def _decimals(part: pd.DataFrame) -> int:
    numbers = part.select_dtypes("number").to_numpy(float)
    known = np.abs(numbers[np.isfinite(numbers)])
    if not known.size or (known == np.round(known)).all():
        return 0
    largest = known.max()
    return int(np.clip(DIGITS - 1 - np.floor(np.log10(largest)), 0, 6)) if largest > 0 else 0


def _cell(value: object, name: str, decimals: int) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA:
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if not isinstance(value, int | float | np.number):
        return str(value)
    number = float(value)
    if P.search(name):
        return "< 0.001" if number < 0.001 else f"{number:.3f}"
    # Minus nothing is nothing.
    return f"{round(number, decimals) + 0.0:.{decimals}f}"


def plain(table: pd.DataFrame) -> str:
    """A table of texts as lines with aligned columns."""
    rows = [list(map(str, table.columns)), *table.to_numpy().tolist()]
    numbers = [place for place, name in enumerate(table) if _is_number(table[name])]
    return "\n".join(line.removeprefix("  ") for line in columns(rows, right=numbers))


def markdown(table: pd.DataFrame) -> str:
    """A table of texts in Markdown."""
    rule = ["---:" if _is_number(table[name]) else "---" for name in table]
    lines = [list(map(str, table.columns)), rule, *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def latex(table: pd.DataFrame, caption: str = "") -> str:
    """A table of texts in LaTeX, for the package booktabs.

    Parameters
    ----------
    table : DataFrame
    caption : str
        The tabular stands alone if it is empty.
    """
    kinds = "".join("r" if _is_number(table[name]) else "l" for name in table)
    rows = [" & ".join(_escaped(str(cell)) for cell in row) + r" \\" for row in table.to_numpy().tolist()]
    head = " & ".join(_escaped(str(name).replace("_", " ")) for name in table) + r" \\"
    body = [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}"]
    if not caption:
        return "\n".join(body)
    start = [r"\begin{table}", r"\centering", rf"\caption{{{_escaped(caption)}}}"]
    return "\n".join([*start, *body, r"\end{table}"])


def _is_number(cells: pd.Series) -> bool:
    """Whether a column of texts holds numbers."""
    return all(re.fullmatch(r"(< )?-?\d+(\.\d+)?|", cell) for cell in cells) and any(cells)


def _escaped(text: str) -> str:
    """A text as LaTeX prints it: minus signs and comparisons are mathematics."""
    if re.fullmatch(r"(< )?-?\d+(\.\d+)?", text):
        return f"${text}$" if text.startswith(("-", "<")) else text
    return "".join(SPECIAL.get(letter, letter) for letter in text)
