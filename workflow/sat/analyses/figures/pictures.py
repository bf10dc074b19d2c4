"""The t-SNE pictures of the models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sat.report.labels import name_points
from sat.report.page import LETTER, area, dot, head, legends_below, nothing_to_draw, sheet, short, shorts
from sat.report.style import (
    FAMILIES,
    GREY,
    PALE,
    UNKNOWN,
    cluster_colours,
    family_colours,
    family_markers,
    family_words,
    narrow,
    page_width,
)

TOO_FEW = "Too few models: t-SNE needs at least 4."
CROWDED = 0.16
"""Largest share of the picture that names may cover; in a fuller one, only one model of each cluster is named."""


def tsne_figure(picture: pd.DataFrame, clusters: pd.DataFrame, families: Mapping[str, str]) -> Figure:
    """Draw the t-SNE picture: the colour shows the cluster, the shape the family given in the model table.

    Parameters
    ----------
    picture : DataFrame
        Columns model, x and y; without rows if there were too few models.
    clusters : DataFrame
        Columns model and cluster.
    families : mapping of str to str
        Family of every model.

    Returns
    -------
    Figure
    """
    if picture.empty:
        return nothing_to_draw(TOO_FEW)
    data = picture.merge(clusters[["model", "cluster"]], on="model").astype({"cluster": int})
    data["family"] = data["model"].map(families)
    colour, marker, words = cluster_colours(data["cluster"]), *_shapes(data["family"])
    height = 3.0 if narrow() else 4.4
    figure, ((axes,), (foot,)) = sheet(height, 2, 1, height_ratios=[1, 0.001])
    for (cluster, family), part in data.groupby(["cluster", "family"], dropna=False):
        shade, shape = colour[int(cluster)], marker[family]
        axes.scatter(part["x"], part["y"], s=1.6 * area(len(data)), c=shade, marker=shape, linewidths=0)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(True)
    axes.margins(0.1, 0.06)
    sizes = data["cluster"].value_counts()
    handles = [
        dot(shade, f"{number} ({sizes[number]} model{'' if sizes[number] == 1 else 's'})")
        for number, shade in colour.items()
    ]
    shapes = {words[family]: dot(GREY, words[family], marker[family]) for family in marker}
    legends_below(figure, foot, {"colour: cluster": handles, "shape: family": list(shapes.values())})
    head(
        figure,
        _agreement(data),
        "t-SNE of the spectral features; distances between clusters mean nothing. Tables of stability say whether "
        "clusters of SAT are reliable.",
    )
    size = 5.5 if len(data) <= 40 else 4.8
    room = 72**2 * page_width() * height
    names = shorts(data["model"], 24)
    if sum(map(len, names)) * LETTER * size * 1.2 * size < CROWDED * room:
        name_points(axes, names, data["x"], data["y"], size=size, radius=2.5)
    else:
        _name_clusters(axes, data, size)
    return figure


def _shapes(families: pd.Series) -> tuple[dict[str, str], dict[str, str]]:
    """Marker and name of every family."""
    return family_markers(families), family_words(families)


def _agreement(data: pd.DataFrame) -> str:
    """How well clusters and families agree."""
    from sklearn.metrics import adjusted_rand_score

    if data["family"].nunique() < 2 or data["cluster"].nunique() < 2:
        return f"{data['cluster'].nunique()} clusters of {len(data)} models"
    rand = adjusted_rand_score(data["family"], data["cluster"])
    how = "closely" if rand >= 0.8 else "in part" if rand >= 0.2 else "hardly"
    return f"Clusters {how} follow families: adjusted Rand {rand:.2f} (by chance 0, the same 1)"


def _name_clusters(axes: Axes, data: pd.DataFrame, size: float) -> None:
    """Name the model nearest to the middle of each cluster."""
    nearest, words = [], []
    for number, part in data.groupby("cluster"):
        distance = np.hypot(part["x"] - part["x"].median(), part["y"] - part["y"].median())
        nearest.append(distance.idxmin())
        others = f" and {len(part) - 1} more" if len(part) > 1 else ""
        words.append(f"{number}: {short(data.loc[nearest[-1], 'model'], 20)}{others}")
    name_points(axes, words, data["x"], data["y"], size=size + 0.5, radius=2.5, named=nearest)


def tsne_components_figure(picture: pd.DataFrame, columns: Mapping[str, Mapping[str, str]]) -> Figure:
    """Draw the t-SNE picture once for each component or grouping, coloured by its values.

    A word has the same colour in every panel.

    Parameters
    ----------
    picture : DataFrame
        Columns model, x and y; without rows if there were too few models.
    columns : mapping of str to mapping of str to str
        Value of each model, by component or grouping; empty where unknown.

    Returns
    -------
    Figure
    """
    if picture.empty or not columns:
        return nothing_to_draw("No component is known." if len(picture) else TOO_FEW)
    across = min(2 if narrow() else 3, len(columns))
    down = -(-len(columns) // across)
    values = {name: picture["model"].map(of).fillna("").replace("", UNKNOWN) for name, of in columns.items()}
    shades = {name: family_colours(value[value != UNKNOWN]) for name, value in values.items()}
    palette = _same_words(shades)
    lines = max(_legend_lines(shade) for shade in shades.values())
    figure, panels = sheet((1.5 + 0.11 * lines) * down if len(columns) > 1 else 3.2, down, across)
    for axes in panels.flat[len(columns) :]:
        axes.set_axis_off()
    found = {name: _neighbours(picture, value) for name, value in values.items()}
    for axes, (name, value) in zip(panels.flat, values.items(), strict=False):
        shown = value.map(palette[name] | {UNKNOWN: "#efefef"})
        axes.scatter(picture["x"], picture["y"], c=list(shown), s=0.8 * area(len(picture)), edgecolors=GREY, lw=0.2)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(True)
        share, chance = found[name]
        axes.set_title(f"{name.replace('_', ' ')}: {100 * share:.0f} % (by chance {100 * chance:.0f} %)", fontsize=6.5)
        axes.legend(
            handles=_entries(value, palette[name]),
            loc="upper left",
            bbox_to_anchor=(0, 0),
            ncols=2,
            fontsize=5,
            borderaxespad=0.2,
            handletextpad=0.2,
            labelspacing=0.3,
        )
    best = max(found, key=lambda name: found[name][0] - found[name][1])
    alike, random = (f"{100 * part:.0f} %" for part in found[best])
    head(
        figure,
        f"{best.replace('_', ' ').capitalize()} sorts the models best: "
        f"{alike} of nearest neighbours share it (by chance {random})"
        if len(columns) > 1
        else f"{alike} of nearest neighbours share the {best.replace('_', ' ')} (by chance {random})",
        "t-SNE of the spectral features, once for each column of the model table. In percent: models whose nearest "
        "neighbour in this picture has the same value.",
    )
    return figure


def _legend_lines(shade: Mapping[str, str]) -> int:
    return -(-min(len(shade), len(FAMILIES) + 1) // 2)


def _same_words(shades: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Give a word that is in several columns the colour that it has in the first of them, if this colour is free."""
    first: dict[str, str] = {}
    result = {}
    for name, shade in shades.items():
        named = [word for word, colour in shade.items() if colour != PALE]
        taken = {word: first[word] for word in named if word in first}
        # Two words that come from different columns may have one colour there; the second takes a free one.
        seen: set[str] = set()
        for word in list(taken):
            if taken[word] in seen:
                del taken[word]
            else:
                seen.add(taken[word])
        free = iter(colour for colour in FAMILIES if colour not in seen)
        result[name] = {word: taken[word] if word in taken else next(free) for word in named}
        result[name] |= dict.fromkeys((word for word in shade if word not in named), PALE)
        first = result[name] | first
    return result


def _entries(value: pd.Series, palette: Mapping[str, str]) -> list[Line2D]:
    """Legend of a panel; values without a colour of their own have one entry."""
    handles = [dot(colour, short(word, 16), size=3) for word, colour in palette.items() if colour != PALE]
    others = sum(colour == PALE for colour in palette.values())
    if others:
        handles.append(dot(PALE, f"{others} others", size=3))
    if (value == UNKNOWN).any():
        handles.append(dot("#efefef", UNKNOWN, size=3))
    return handles


def _neighbours(picture: pd.DataFrame, value: pd.Series) -> tuple[float, float]:
    """Share of models whose nearest neighbour in the picture has the same known value, and what chance would give."""
    known = (value != UNKNOWN).to_numpy()
    x, y, word = (column.to_numpy()[known] for column in (picture["x"], picture["y"], value))
    n = len(word)
    if n < 2:
        return 0.0, 0.0
    distance = np.hypot(x[:, None] - x, y[:, None] - y)
    np.fill_diagonal(distance, np.inf)
    counts = pd.Series(word).value_counts().to_numpy()
    return float((word == word[distance.argmin(axis=1)]).mean()), float((counts * (counts - 1)).sum() / (n * (n - 1)))
