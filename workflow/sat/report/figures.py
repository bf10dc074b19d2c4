"""Figures as SVG, the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

matplotlib.use("Agg")
STYLE: Any = {
    "svg.hashsalt": "sat",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "figure.dpi": 100,
}


def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG without a date."""
    with matplotlib.rc_context(STYLE):
        figure.savefig(path, format="svg", metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def colours(groups: pd.Series) -> dict[str, tuple[float, float, float]]:
    """A colour for each value, by alphabet."""
    names = sorted(groups.unique())
    return dict(zip(names, sns.color_palette("tab10" if len(names) <= 10 else "husl", len(names)), strict=True))


def cluster_map(
    matrix: pd.DataFrame,
    families: Mapping[str, str],
    models: pd.DataFrame | None = None,
    most_similar: pd.DataFrame | None = None,
) -> Figure:
    """Draw the SAT matrix as a heat map, similar models side by side.

    Parameters
    ----------
    matrix : DataFrame, shape (n, n)
        SAT; models with NaN are left out and named.
    families : mapping of str to str
        By model.
    models : DataFrame, optional
        Model table of the similarity stage by model: low_whitebox. A matrix
        that was given has none.
    most_similar : DataFrame, optional
        Unordered pairs with intervals: model_a, model_b, sat, sat_low,
        sat_high, above_noise. A matrix that was given has none.

    Returns
    -------
    Figure
    """
    from sat.analysis.clusters import without_nan

    shown, dropped = without_nan(matrix)
    names = list(shown.index)
    if len(names) < 2:
        return _nothing_to_draw("No two models are left that classify an image in common.")
    failed = set() if models is None else set(models.index[models["low_whitebox"]])
    flag = {name: f"{name} *" if name in failed else name for name in names}
    family = colours(pd.Series([families[name] for name in names]))
    # The most similar any two models can be is 100 % transfer.
    distance = np.log(100) - shown.to_numpy(float)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(np.maximum((distance + distance.T) / 2, 0), checks=False), "average")
    size = max(6.0, 0.34 * len(names) + 3)
    off = shown.to_numpy(float)[~np.eye(len(names), dtype=bool)]
    grid = sns.clustermap(
        shown.rename(index=flag, columns=flag),
        row_linkage=tree,
        col_linkage=tree,
        row_colors=[family[families[name]] for name in names],
        cmap="rocket",
        vmin=off.min(),
        vmax=np.log(100),
        annot=_annotations(shown, most_similar) if len(names) <= 24 else None,
        fmt="",
        annot_kws={"size": 7},
        linewidths=0.3 if len(names) <= 40 else 0,
        figsize=(size, size),
        dendrogram_ratio=0.12,
        colors_ratio=0.02,
        cbar_pos=(0.02, 0.86, 0.025, 0.12),
        xticklabels=True,
        yticklabels=True,
    )
    grid.ax_heatmap.set(xlabel="", ylabel="")
    grid.ax_cbar.set_title("SAT", fontsize=9)
    grid.ax_row_colors.set_xticks([])
    # Below the names of the models, however long they are.
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
    notes = ["SAT = ln(mean transfer success in %)"]
    if most_similar is not None:
        pairs = most_similar[most_similar["model_a"] != most_similar["model_b"]]
        half = ((pairs["sat_high"] - pairs["sat_low"]) / 2).median()
        notes[0] += f"; median half-width of the intervals: {half:.2f}"
        if (~pairs["above_noise"]).any():
            notes.append(f"n: not above random noise of the same size ({int((~pairs['above_noise']).sum())} pairs)")
    else:
        notes[0] += "; a matrix that was given: without intervals"
    if failed & set(names):
        notes.append("*: the attack fails on the model itself; its row and column are too low")
    if dropped:
        notes.append(f"left out, no image in common: {', '.join(dropped)}")
    grid.figure.suptitle("\n".join(notes), x=0.12, y=1.0, ha="left", va="bottom", fontsize=9)
    figure: Figure = grid.figure
    return figure


def _annotations(matrix: pd.DataFrame, most_similar: pd.DataFrame | None) -> pd.DataFrame:
    text = matrix.map(lambda value: f"{value:.1f}")
    if most_similar is None:
        return text
    for pair in most_similar.itertuples():
        if (
            not pair.above_noise
            and pair.model_a in text.index
            and pair.model_b in text.index
            and pair.model_a != pair.model_b
        ):
            text.loc[pair.model_a, pair.model_b] += "n"
            text.loc[pair.model_b, pair.model_a] += "n"
    return text


def tsne_figure(picture: pd.DataFrame, clusters: pd.DataFrame, families: Mapping[str, str]) -> Figure:
    """Draw the t-SNE picture: colour is the cluster found, shape the family written down before.

    Parameters
    ----------
    picture : DataFrame
        model, x, y; without rows where there were too few models.
    clusters : DataFrame
        model, cluster.
    families : mapping of str to str
        By model.

    Returns
    -------
    Figure
    """
    if picture.empty:
        return _nothing_to_draw("Too few models: t-SNE needs at least 4.")
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7.5, 6), layout="constrained")
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
    for row in data.itertuples():
        axes.annotate(row.model, (row.x, row.y), xytext=(6, 5), textcoords="offset points", fontsize=7)
    axes.set(
        xticks=[],
        yticks=[],
        ylabel="",
        xlabel="t-SNE of the spectral features; distances between clusters mean nothing",
    )
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
    sns.despine(figure, left=True, bottom=True)
    return figure


def _nothing_to_draw(reason: str) -> Figure:
    figure, axes = plt.subplots(figsize=(6, 2), layout="constrained")
    axes.set_axis_off()
    axes.text(0.5, 0.5, reason, ha="center", transform=axes.transAxes)
    return figure
