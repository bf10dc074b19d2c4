"""The figures of a matrix and its clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.cluster.hierarchy import dendrogram

from sat.report.labels import name_points
from sat.report.style import STYLE, colours, nothing_to_draw
from sat.statistics.pairs import holm

ANNOTATED = 24
"""Models up to which a heat map writes its values into its cells."""


def cluster_map(
    matrix: pd.DataFrame,
    families: Mapping[str, str],
    models: pd.DataFrame | None = None,
    most_similar: pd.DataFrame | None = None,
    confidence: float = 0.95,
) -> Figure:
    """Draw the SAT matrix as a heat map, with similar models side by side.

    Parameters
    ----------
    matrix : DataFrame, shape (n, n)
        SAT matrix. Models with NaN are left out, and the figure names them.
    families : mapping of str to str
        Family of every model.
    models : DataFrame, optional
        Model table of the similarity stage, indexed by model, with low_whitebox. A
        matrix from a file has none.
    most_similar : DataFrame, optional
        Unordered pairs with intervals and a p-value of each direction: model_a, model_b, sat, sat_low,
        sat_high, noise_p_ab, noise_p_ba. A matrix from a file has none.
    confidence : float
        Level of the intervals. A direction is above noise if its p-value, adjusted for the number of directions, is at
        most half of the rest.

    Returns
    -------
    Figure
    """
    from sat.analyses.clusters.spectral import dendrogram_linkage, without_nan

    shown, dropped = without_nan(matrix)
    names = list(shown.index)
    if len(names) < 2:
        return nothing_to_draw("No two models are left that classify an image in common.")
    flag, failed = _flags(names, models)
    off = shown.to_numpy(float)[~np.eye(len(names), dtype=bool)]
    text = shown.map(lambda value: f"{value:.1f}")
    notes = ["SAT = ln(mean transfer success in %)"]
    if most_similar is not None:
        pairs = most_similar[most_similar["model_a"] != most_similar["model_b"]]
        notes[0] += _half_widths(pairs["sat_low"], pairs["sat_high"], confidence)
        below = _below_noise(pairs, (1 - confidence) / 2)
        for source, target in below:
            if source in text.index and target in text.index:
                text.loc[source, target] += "n"
        if below:
            mark = "n: " if len(names) <= ANNOTATED else ""
            notes.append(
                f"{mark}not above random noise from row to column ({len(below)} of {2 * len(pairs)} directions)"
            )
            notes.append("p of the directions are adjusted by Holm for all of them")
    else:
        notes[0] += "; matrix from a file: no intervals available"
    return _heat_map(
        shown.rename(index=flag, columns=flag),
        [families[name] for name in names],
        dendrogram_linkage((shown + shown.T) / 2),
        text,
        "SAT",
        notes + _notes(failed, dropped),
        {"cmap": "rocket", "vmin": off.min(), "vmax": np.log(100)},
    )


def affinity_map(
    affinity: pd.DataFrame,
    families: Mapping[str, str],
    pairs: pd.DataFrame | None = None,
    confidence: float = 0.95,
) -> Figure:
    """Draw the affinities as a heat map whose colours part at 0, with models of high affinity side by side.

    Parameters
    ----------
    affinity : DataFrame, shape (n, n)
        NaN on the diagonal. Models with other NaN are left out, and the figure names them.
    families : mapping of str to str
        Family of every model.
    pairs : DataFrame, optional
        Unordered pairs with affinity_low and affinity_high, which are NaN for a matrix from a file.
    confidence : float
        Level of the intervals.

    Returns
    -------
    Figure
    """
    from sat.analyses.clusters.spectral import dendrogram_linkage, without_nan

    own = np.eye(len(affinity), dtype=bool)
    shown, dropped = without_nan(affinity.mask(own, 0.0))
    names = list(shown.index)
    if len(names) < 4:
        return nothing_to_draw("No affinity: it needs 4 models, and images that they have in common.")
    off = shown.to_numpy(float)[~np.eye(len(names), dtype=bool)]
    most = float(np.abs(off).max())
    notes = ["Affinity: log-odds of transfer beyond what the two models' own levels predict, within this pool"]
    if pairs is not None:
        notes.append(_half_widths(pairs["affinity_low"], pairs["affinity_high"], confidence).removeprefix("; "))
    notes.append("each row sums to 0, so 0 does not mean unrelated")
    own = np.eye(len(names), dtype=bool)
    return _heat_map(
        shown.mask(own),
        [families[name] for name in names],
        dendrogram_linkage(shown, off.max() + 0.1 * np.ptp(off)),
        shown.map(lambda value: f"{value:.1f}".replace("-0.0", "0.0")).mask(own, ""),
        "affinity",
        [note for note in notes if note] + _notes(False, dropped),
        {"cmap": "vlag", "vmin": -most, "vmax": most, "center": 0},
    )


def _heat_map(
    shown: pd.DataFrame,
    families: Sequence[str],
    tree: NDArray[np.float64],
    text: pd.DataFrame,
    name: str,
    notes: Sequence[str],
    colouring: Mapping[str, Any],
) -> Figure:
    """Draw a matrix in the order of a tree, with families beside the rows and notes on top."""
    size = max(6.0, 0.34 * len(shown) + 3)
    family = colours(pd.Series(families))
    grid = sns.clustermap(
        shown,
        row_linkage=tree,
        col_linkage=tree,
        row_colors=[family[one] for one in families],
        annot=text if len(shown) <= ANNOTATED else None,
        fmt="",
        annot_kws={"size": 7},
        linewidths=0.3 if len(shown) <= 40 else 0,
        figsize=(size, size),
        dendrogram_ratio=0.12,
        colors_ratio=0.02,
        cbar_pos=(0.02, 0.86, 0.025, 0.12),
        xticklabels=True,
        yticklabels=True,
        **colouring,
    )
    grid.ax_heatmap.set(xlabel="", ylabel="")
    grid.ax_cbar.set_title(name, fontsize=9)
    grid.ax_row_colors.set_xticks([])
    # The legend and the notes stand below the names of the models, so the length of the names must be known.
    grid.figure.canvas.draw()
    names_end = grid.ax_heatmap.get_tightbbox().transformed(grid.ax_heatmap.transAxes.inverted()).y0
    grid.ax_heatmap.legend(
        handles=[Patch(color=colour, label=name) for name, colour in family.items()],
        title="family",
        loc="upper left",
        bbox_to_anchor=(0, names_end - 0.02),
        ncols=min(6, len(family)),
        frameon=False,
        fontsize=8,
    )
    grid.figure.suptitle("\n".join(notes), x=0.12, y=1.0, ha="left", va="bottom", fontsize=9)
    figure: Figure = grid.figure
    return figure


def _half_widths(low: pd.Series, high: pd.Series, confidence: float) -> str:
    """Say how wide the intervals are, from the narrowest to the widest; nothing where there are none."""
    half = ((high - low) / 2).dropna()
    if half.empty:
        return ""
    return f"; half-widths of the {confidence:.0%} intervals: {half.min():.2f} to {half.max():.2f}"


def _below_noise(pairs: pd.DataFrame, alpha: float) -> list[tuple[str, str]]:
    """Directions (source, target) that are not above random noise, with p-values adjusted for all directions."""
    adjusted = holm(pd.concat([pairs["noise_p_ab"], pairs["noise_p_ba"]]).to_numpy(float))
    a, b = pairs["model_a"].to_list(), pairs["model_b"].to_list()
    directions = [*zip(a, b, strict=True), *zip(b, a, strict=True)]
    return [direction for direction, p in zip(directions, adjusted, strict=True) if not p <= alpha]


def _flags(names: Sequence[str], models: pd.DataFrame | None) -> tuple[dict[str, str], bool]:
    """Label each model, with a star where its attack fails on itself; say whether there is a star."""
    failed = set() if models is None else set(models.index[models["low_whitebox"]])
    return {name: f"{name} *" if name in failed else name for name in names}, not failed.isdisjoint(names)


def _notes(failed: bool, dropped: Sequence[str]) -> list[str]:
    """Explain the star, and name the models that were left out."""
    notes = ["*: low white-box success; a stronger attack would raise its rates as a source"] if failed else []
    return notes + ([f"left out, no image in common: {', '.join(dropped)}"] if dropped else [])


def dendrogram_figure(matrix: pd.DataFrame, families: Mapping[str, str], models: pd.DataFrame | None = None) -> Figure:
    """Draw the average-linkage tree of ln(100) - SAT.

    Parameters
    ----------
    matrix : DataFrame, shape (n, n)
        SAT matrix. Models with NaN are left out, and the figure names them.
    families : mapping of str to str
        Family of every model; it gives the colour of the name.
    models : DataFrame, optional
        See `cluster_map`.

    Returns
    -------
    Figure
    """
    from sat.analyses.clusters.spectral import dendrogram_linkage, without_nan

    shown, dropped = without_nan(matrix)
    names = list(shown.index)
    if len(names) < 2:
        return nothing_to_draw("No two models are left that classify an image in common.")
    flag, failed = _flags(names, models)
    family = colours(pd.Series([families[name] for name in names]))
    most = np.log(100)
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(8, 1.5 + 0.24 * len(names)), layout="constrained")
    tree = dendrogram_linkage((shown + shown.T) / 2)
    order = dendrogram(
        tree,
        orientation="left",
        labels=[flag[name] for name in names],
        # All links have one colour, because the tree itself does not show where to cut it into clusters.
        link_color_func=lambda node: "#444444",
        leaf_font_size=8,
        ax=axes,
    )["leaves"]
    for label, leaf in zip(axes.get_yticklabels(), order, strict=True):
        label.set_color(family[families[names[leaf]]])
    axes.set_xlabel("SAT at which two branches join: the mean over all pairs across them")
    levels = [level for level in MaxNLocator(8).tick_values(most - tree[:, 2].max(), most) if level <= most]
    axes.set_xticks([most - level for level in levels], labels=[f"{level:g}" for level in levels])
    axes.tick_params(axis="y", length=0)
    # The axis begins at 100 % transfer beside the names, so that trees of two studies can be compared.
    axes.set_xlim(1.03 * tree[:, 2].max(), 0)
    sns.despine(figure, left=True)
    axes.legend(
        handles=[Patch(color=colour, label=name) for name, colour in family.items()],
        title="family",
        loc="center left",
        # The legend stands to the right of the names of the models, however long they are.
        bbox_to_anchor=(_right_of_names(figure, axes), 0.5),
        frameon=False,
        fontsize=8,
    )
    if notes := _notes(failed, dropped):
        axes.set_title("\n".join(notes), loc="left", fontsize=9)
    return figure


def _right_of_names(figure: Figure, axes: Axes) -> float:
    """Find where the names to the right of the axes end, in units of the width of the axes."""
    figure.canvas.draw()
    ends = max(label.get_window_extent().x1 for label in axes.get_yticklabels())
    return float(axes.transAxes.inverted().transform((ends, 0))[0]) + 0.02


def distances_figure(features: pd.DataFrame, clusters: pd.DataFrame) -> Figure:
    """Draw the distances of spectral features as a heat map, with models sorted by cluster.

    Parameters
    ----------
    features : DataFrame, shape (n, k)
        Spectral features, by model.
    clusters : DataFrame
        Columns model and cluster.

    Returns
    -------
    Figure
    """
    from sat.analyses.clusters.spectral import feature_distances

    if len(features) < 2:
        return nothing_to_draw("One model has no distance to others.")
    distance = feature_distances(features, clusters)
    numbers = clusters.set_index("model")["cluster"].loc[distance.index].to_numpy()
    size = max(5.0, 0.24 * len(distance) + 2.5)
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(size + 1, size), layout="constrained")
    sns.heatmap(
        distance,
        # Light means near, as it means similar in the SAT matrix. Unrelated features are at right angles.
        cmap="rocket_r",
        vmin=0,
        vmax=max(float(np.sqrt(2)), float(distance.max(axis=None))),
        square=True,
        xticklabels=True,
        yticklabels=True,
        cbar_kws={"label": "distance of spectral features (0 to 2)", "shrink": 0.6},
        ax=axes,
    )
    axes.tick_params(labelsize=8)
    found, first, count = np.unique(numbers, return_index=True, return_counts=True)
    for border in first[1:]:
        axes.axhline(border, color="white", linewidth=1.5)
        axes.axvline(border, color="white", linewidth=1.5)
    above = axes.secondary_xaxis("top")
    above.set_xticks(first + count / 2, labels=[str(number) for number in found], fontsize=9)
    above.tick_params(length=0)
    above.spines[:].set_visible(False)
    above.set_xlabel("cluster", fontsize=9)
    return figure


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
        return nothing_to_draw("Too few models: t-SNE needs at least 4.")
    with matplotlib.rc_context(STYLE):
        side = 6 + 0.04 * max(0, len(picture) - 12)
        figure, axes = plt.subplots(figsize=(1.25 * side, side), layout="constrained")
    data = picture.merge(clusters, on="model")
    data["family"] = data["model"].map(families)
    data["cluster"] = data["cluster"].astype(str)
    order = sorted(data["cluster"].unique(), key=int)
    sns.scatterplot(
        data,
        x="x",
        y="y",
        hue="cluster",
        hue_order=order,
        palette="tab10" if len(order) <= 10 else "husl",
        style="family",
        style_order=sorted(data["family"].unique()),
        s=110,
        ax=axes,
    )
    axes.set(
        xticks=[],
        yticks=[],
        ylabel="",
        xlabel="t-SNE of the spectral features; distances between clusters mean nothing",
    )
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
    axes.margins(0.12, 0.06)
    name_points(axes, list(data["model"]), data["x"], data["y"], size=7 if len(data) < 40 else 6, radius=6)
    return figure


def tsne_components_figure(picture: pd.DataFrame, columns: Mapping[str, Mapping[str, str]]) -> Figure:
    """Draw the t-SNE picture once for each component or grouping, coloured by its values.

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
        return nothing_to_draw("No component is known." if len(picture) else "Too few models: t-SNE needs at least 4.")
    across = min(3, len(columns))
    down = -(-len(columns) // across)
    # A single panel would be too small for a page.
    scale = 1.4 if len(columns) == 1 else 1.0
    with matplotlib.rc_context(STYLE):
        figure, panels = plt.subplots(
            down, across, figsize=(5.2 * scale * across, 3.4 * scale * down), layout="constrained", squeeze=False
        )
    for axes in panels.flat[len(columns) :]:
        axes.set_axis_off()
    for axes, (column, values) in zip(panels.flat, columns.items(), strict=False):
        value = picture["model"].map(values).fillna("").replace("", "unknown")
        # Readers cannot tell more colours than these apart.
        common = sorted(value.value_counts().drop("unknown", errors="ignore").index[:9])
        rest = {"unknown": "unknown"} | dict.fromkeys(set(value) - {*common, "unknown"}, "others")
        palette: dict[str, Any] = dict(zip(common, sns.color_palette("tab10", len(common)), strict=True))
        palette |= {"others": "#9a9a9a", "unknown": "#dddddd"}
        shown = value.replace(rest)
        order = [word for word in palette if (shown == word).any()]
        sns.scatterplot(
            x=picture["x"], y=picture["y"], hue=shown, hue_order=order, palette=palette, s=45, ax=axes, linewidth=0.4
        )
        axes.set(xticks=[], yticks=[], xlabel="", ylabel="")
        axes.set_title(column.replace("_", " "), fontsize=10, loc="left")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=7)
    return figure
