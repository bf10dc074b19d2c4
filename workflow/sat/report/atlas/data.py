"""The numbers of the page, as JSON with packed arrays: a study of 500 models has 124,750 pairs."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sat.report.atlas.charts import charts, used_tables
from sat.report.atlas.results import Results
from sat.report.wording import measure_words
from sat.statistics.correlation import spearman
from sat.units.analysis import Shown

PIPELINE = {
    "similarity/models.csv": Shown("Models", "accuracy and white-box success"),
    "similarity/most_similar.csv": Shown("Similarity", "most similar pairs"),
    "similarity/estimated.csv": Shown("Similarity", "pairs that were not measured"),
    "similarity/landmarks.csv": Shown("Similarity", "errors of the estimates by model"),
}
"""Tables of the pipeline; those of the analyses are in their declarations."""
Floats = NDArray[np.float64]
MOST_ROWS = 2000
"""Rows of a table that the page holds. The file holds them all."""
MOST_SVG = 1_500_000
"""Largest figure that the page holds, in bytes."""
HIDDEN = ("_low", "_high", "_rest")
"""Ends of the names of columns of a table of pairs that are no measure of their own."""


def payload(results: Results) -> dict[str, Any]:
    """Collect all that the page's script needs.

    Parameters
    ----------
    results : Results

    Returns
    -------
    dict
        JSON values; see the functions of this module.
    """
    known = pairs(results)
    drawn = charts(results, [one["key"] for one in known])
    shown = {Path(path).stem for path in (*PIPELINE, *results.shown)} | used_tables(drawn)
    return {
        "study": results.config["study"],
        "confidence": results.config["confidence"],
        "models": results.models,
        "columns": columns(results),
        "pairs": known,
        "charts": drawn,
        **tree(results.tables["sat"]),
        "maps": maps(results),
        "tables": {name: table(frame) for name, frame in results.tables.items() if name in shown - {"sat", "affinity"}},
        "examples": examples(results.examples),
    }


def to_json(value: Any) -> str:
    """Write JSON for a script element: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


# --- models


def columns(results: Results) -> list[dict[str, Any]]:
    """What is known of each model: a list of columns with `key`, `title`, `values`, and `low` and `high` if known.

    Values are text, or numbers with None where there is none.
    """
    names, tables = results.models, results.tables
    found: list[dict[str, Any]] = []

    def add(key: str, title: str, values: Sequence[Any], **more: Any) -> None:
        if any(value not in (None, "") for value in values):
            found.append({"key": key, "title": title, "values": list(values), **more})

    def of_row(read: Any) -> list[Any]:
        return [read(results.rows.get(name, {})) for name in names]

    add("family", "family", of_row(lambda row: row.get("family") or ""))
    for column, cells in results.columns.items():
        if column != "family":
            add(f"column:{column}", column, [cells.get(name) or "" for name in names])
    for key, of, source in (
        ("cluster", "SAT", "sat"),
        ("cluster_affinity", "affinity", "affinity"),
    ):
        if "clusters" in tables:
            values = _by_model(tables["clusters"], key, names)
            add(key, f"cluster by {of}", [None if value is None else str(int(value)) for value in values])
            add(f"firm_{source}", f"stays with its cluster by {of}", _firmness(results, source), share=True)
    for key, title, share in (
        ("accuracy", "accuracy", True),
        ("whitebox", "white-box success", True),
        ("noise_rate", "errors under random noise", True),
        ("published_top1", "published accuracy, %", False),
    ):
        _add_numbers(add, tables.get("models"), key, title, names, share)
    for key in ("strength", "fragility"):
        _add_numbers(add, tables.get("effects"), key, f"{key}, log-odds", names, False)
    _add_numbers(add, tables.get("mistakes_models"), "same_share", "makes its source's mistake", names, True)
    add("architecture", "architecture", of_row(lambda row: row.get("architecture") or ""))
    add("weights", "weights", of_row(_origin))
    add("cohort", "cohort", of_row(lambda row: str(row.get("cohort") or "")))
    return found


def _add_numbers(add: Any, frame: pd.DataFrame | None, key: str, title: str, names: Sequence[str], share: bool) -> None:
    """Add a column of numbers, with the ends of its interval if the table has them."""
    if frame is None or key not in frame:
        return
    ends = {end: _by_model(frame, f"{key}_{end}", names) for end in ("low", "high") if f"{key}_{end}" in frame}
    add(key, title, _by_model(frame, key, names), share=share, **ends)


def _by_model(frame: pd.DataFrame, column: str, names: Sequence[str]) -> list[Any]:
    values = frame.set_index("model")[column].reindex(names)
    return [None if pd.isna(value) else _short(value) for value in values]


def _firmness(results: Results, of: str) -> list[Any]:
    """Least share of draws in which a model stays with the members of its cluster."""
    draws = [results.tables[name] for name in ("membership", "stability_membership") if name in results.tables]
    if not draws:
        return [None] * len(results.models)
    mates = pd.concat([draw[draw["of"] == of].set_index("model")["mates"] for draw in draws], axis=1)
    least = mates.min(axis=1, skipna=False).reindex(results.models)
    return [None if pd.isna(value) else _short(value) for value in least]


def _origin(row: Mapping[str, Any]) -> str:
    """Where a model's weights came from."""
    weights = str(row.get("weights") or "")
    hub, _, revision = weights.partition("@")
    if weights == "train":
        return "trained on the study's own images"
    if hub == "hub":
        return f"from the hub{f', revision {revision}' if revision else ''}"
    if weights == "code":
        return "made by the user's code file"
    return f"checkpoint {weights}" if weights else ""


# --- pairs


def pairs(results: Results) -> list[dict[str, Any]]:
    """What is known of each pair: a list with `key`, `title`, `directed`, `shown` and packed values.

    Values of a directed measure fill a square, the source's row and the target's column. Others fill the triangle
    above the diagonal, row by row.
    """
    names, tables = results.models, results.tables
    found: list[dict[str, Any]] = []

    def add(key: str, title: str, square: Floats, *, directed: bool = False, shown: bool = True, **more: Any) -> None:
        values = square.ravel() if directed else square[np.triu_indices(len(names), 1)]
        if not np.isnan(values).all():
            found.append({"key": key, "title": title, "directed": directed, "shown": shown, **pack(values), **more})

    def from_pairs(frame: pd.DataFrame, column: str) -> Floats:
        return _square(frame, "model_a", "model_b", column, names, symmetric=True)

    add("sat", "SAT", tables["sat"].to_numpy(float))
    similar = tables.get("most_similar")
    if similar is not None:
        # An estimate has an interval too.
        both = similar if "estimated" not in tables else pd.concat([similar, tables["estimated"]])
        low, high = (from_pairs(both, f"sat_{end}") for end in ("low", "high"))
        add("sat_low", "SAT, lower end", low, shown=False)
        add("sat_high", "SAT, upper end", high, shown=False)
        add("above_noise", "above random noise (1) or not (0)", from_pairs(similar, "above_noise"))
        add("at_floor", "at the floor", from_pairs(similar, "at_floor"), shown=False)
        add("n_both_correct", "images that both classify correctly", from_pairs(similar, "n_both_correct"))
    if (estimated := tables.get("estimated")) is not None:
        mark = from_pairs(estimated.assign(estimated=1.0), "estimated")
        add("estimated", "estimated (1) or measured (0)", np.nan_to_num(mark))
    if "affinity" in tables:
        add("affinity", "affinity", tables["affinity"].loc[names, names].to_numpy(float), scale="diverging")
    if (effects := tables.get("effects_pairs", estimated)) is not None and "affinity_low" in effects:
        for end, word in (("low", "lower"), ("high", "upper")):
            add(f"affinity_{end}", f"affinity, {word} end", from_pairs(effects, f"affinity_{end}"), shown=False)
    directed = tables.get("pairs")
    if directed is not None:
        for column, title, shown, share in (
            ("rate", "rate from source to target", True, True),
            ("rate_low", "rate, lower end", False, True),
            ("rate_high", "rate, upper end", False, True),
            ("n_fooled", "images that fool the target", False, False),
            ("noise_rate", "errors of the target under random noise", False, True),
            ("above_noise", "direction above random noise (1) or not (0)", True, False),
        ):
            square = _square(directed, "source", "target", column, names)
            scale = "log" if column == "rate" else ""
            add(f"directed_{column}", title, square, directed=True, shown=shown, share=share, scale=scale)
    for name in ("measures_pairs", "mistakes"):
        frame = tables.get(name)
        for column in () if frame is None else _measures(name, frame):
            words = {"same_share": "same wrong class", "excess": "same wrong class, beyond chance"}
            scale = "diverging" if column == "excess" else ""
            title = words.get(column) or measure_words(column)
            add(f"{name}:{column}", title, from_pairs(frame, column), measure=True, scale=scale)
    return found


def _measures(name: str, frame: pd.DataFrame) -> list[str]:
    """Columns of a table of pairs that are measures to look at."""
    if name == "mistakes":
        return [column for column in ("same_share", "excess") if column in frame]
    given = ("model_a", "model_b", "sat", "affinity")
    return [str(column) for column in frame if column not in given and not str(column).endswith(HIDDEN)]


def _square(
    frame: pd.DataFrame, rows: str, cells: str, column: str, names: Sequence[str], symmetric: bool = False
) -> Floats:
    """Spread a column of a table of pairs over a square; NaN where the table has no pair."""
    place = {name: number for number, name in enumerate(names)}
    first, second = (frame[key].map(place).to_numpy(float) for key in (rows, cells))
    known = ~(np.isnan(first) | np.isnan(second))
    one, other = first[known].astype(int), second[known].astype(int)
    found = np.full((len(names), len(names)), np.nan)
    found[one, other] = frame[column].to_numpy(float)[known]
    if symmetric:
        found[other, one] = found[one, other]
    return found


def pack(values: ArrayLike) -> dict[str, Any]:
    """Pack numbers: small whole ones as 1 or 2 bytes with the largest value for NaN, all others as float32.

    Parameters
    ----------
    values : array_like, shape (n,)

    Returns
    -------
    dict
        `type` (u1, u2 or f4) and `data`, little-endian bytes in base64.
    """
    given = np.asarray(values, float)
    known = given[~np.isnan(given)]
    for kind in ("u1", "u2"):
        missing = np.iinfo(kind).max
        if (known == np.floor(known)).all() and (known >= 0).all() and (known < missing).all():
            whole = np.where(np.isnan(given), missing, given).astype(f"<{kind}")
            return {"type": kind, "data": base64.b64encode(whole.tobytes()).decode()}
    return {"type": "f4", "data": base64.b64encode(given.astype("<f4").tobytes()).decode()}


def tree(sat: pd.DataFrame) -> dict[str, Any]:
    """The dendrogram of SAT.

    Returns
    -------
    dict
        `tree`, the models in its order, of which those without some similarity come last; and `joins`, for each node
        the two that it joins and its height. Nodes are models by number, and then the joins in their order.
    """
    from scipy.cluster.hierarchy import leaves_list

    from sat.analyses.clusters.spectral import dendrogram_linkage, without_nan

    shown, _ = without_nan(_filled(sat))
    place = {name: number for number, name in enumerate(sat.index)}
    joined = dendrogram_linkage((shown + shown.T) / 2)
    leaves = leaves_list(joined) if len(joined) else range(len(shown))
    order = [place[shown.index[leaf]] for leaf in leaves]

    def node(number: float) -> int:
        inner = int(number) - len(shown)
        return len(sat) + inner if inner >= 0 else place[shown.index[int(number)]]

    return {
        "tree": [*order, *(number for number in range(len(sat)) if number not in set(order))],
        "joins": [[node(one), node(other), _short(height)] for one, other, height, _ in joined],
    }


def _filled(sat: pd.DataFrame) -> pd.DataFrame:
    """The matrix with the largest SAT on its diagonal, where a matrix from a file may have none."""
    return sat.mask(np.eye(len(sat), dtype=bool), np.log(100))


def maps(results: Results) -> list[dict[str, Any]]:
    """Coordinates of the models on each map, None for a model that is not on it; and in words what the map keeps."""
    sat = results.tables["sat"]
    frames = {"MDS of SAT": scaled(sat)}
    if "tsne" in results.tables:
        frames["t-SNE of spectral features"] = results.tables["tsne"]
    return [
        {"title": title, "kept": kept(frame, sat), **_places(frame, results.models)} for title, frame in frames.items()
    ]


def kept(places: pd.DataFrame, sat: pd.DataFrame) -> str:
    """Say how much of SAT a map keeps.

    Parameters
    ----------
    places : DataFrame
        Columns model, x, y.
    sat : DataFrame, shape (n, n)

    Returns
    -------
    str
    """
    names, (x, y) = list(places["model"]), places[["x", "y"]].to_numpy(float).T
    if len(names) < 3:
        return "A map of so few models says nothing."
    similar = sat.loc[names, names].to_numpy(float)
    similar = (similar + similar.T) / 2
    apart = np.hypot(x[:, None] - x, y[:, None] - y)
    first, second = np.triu_indices(len(names), 1)
    r = spearman(apart[first, second], -similar[first, second])
    similar[np.isnan(similar) | np.eye(len(names), dtype=bool)] = -np.inf
    np.fill_diagonal(apart, np.inf)
    same = int((apart.argmin(1) == similar.argmax(1)).sum())
    order = f"the order of its distances agrees with SAT by a rank correlation of {r:.2f}, and " if r == r else ""
    return (
        f"A map keeps only part of the similarities: {order}for {same} of {len(names)} models, the nearest one on this "
        "map is the most similar one. Use the matrix to compare pairs."
    )


def _places(frame: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    return {axis: _by_model(frame, axis, names) for axis in ("x", "y")}


def scaled(sat: pd.DataFrame) -> pd.DataFrame:
    """Place models by classical multidimensional scaling of the distance ln 100 - SAT.

    Parameters
    ----------
    sat : DataFrame, shape (n, n)

    Returns
    -------
    DataFrame
        model, x, y. The sign of an axis is such that its largest coordinate is positive.
    """
    from sat.analyses.clusters.spectral import without_nan

    shown, _ = without_nan(_filled(sat))
    distance = np.maximum(np.log(100) - (shown + shown.T).to_numpy(float) / 2, 0)
    np.fill_diagonal(distance, 0)
    centre = np.eye(len(shown)) - 1 / len(shown)
    values, vectors = np.linalg.eigh(-centre @ distance**2 @ centre / 2)
    places = vectors[:, ::-1][:, :2] * np.sqrt(np.maximum(values[::-1][:2], 0))
    if places.shape[1] < 2:
        places = np.column_stack([places, np.zeros(len(places))])
    for axis in range(2):
        if places[np.abs(places[:, axis]).argmax(), axis] < 0:
            places[:, axis] *= -1
    return pd.DataFrame({"model": list(shown.index), "x": places[:, 0], "y": places[:, 1]})


# --- tables and examples


def table(frame: pd.DataFrame) -> dict[str, Any]:
    """A table for the page: `columns` with names and values, and `total`, the number of rows of the file."""
    head = frame.head(MOST_ROWS)
    return {
        "total": len(frame),
        "columns": [
            {"name": str(name), "values": [_cell(value) for value in head.iloc[:, place]]}
            for place, name in enumerate(head.columns)
        ],
    }


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA:
        return None
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else _short(value)
    return str(value)


def _short(value: Any) -> float | str:
    """A number with six digits, which is more than any figure of the page shows."""
    number = float(f"{float(value):.6g}")
    return number if np.isfinite(number) else str(number)


def examples(frame: pd.DataFrame | None) -> dict[str, Any]:
    """Adversarial examples. Each image is held once, in base64; rows name it by number."""
    if frame is None:
        return {"images": [], "rows": []}
    images: dict[bytes, int] = {}
    rows = []
    for record in frame.to_dict("records"):
        row = {key: _cell(value) for key, value in record.items() if not key.endswith("_png")}
        for key in ("clean_png", "adversarial_png"):
            row[key.removesuffix("_png") + "_image"] = images.setdefault(bytes(record[key]), len(images))
        rows.append(row)
    return {"images": [base64.b64encode(image).decode() for image in images], "rows": rows}
