"""The figures of a matrix and its clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from sat.report.heatmap import draw_tree, heat_map, name_blocks, tree_blocks
from sat.report.page import head, legend, map_side, name_rows, names_height, nothing_to_draw, sheet, short
from sat.report.style import TALLEST, family_colours, family_words, page_width
from sat.statistics.pairs import holm


def cluster_map(
    matrix: pd.DataFrame,
    families: Mapping[str, str],
    models: pd.DataFrame | None = None,
    most_similar: pd.DataFrame | None = None,
    confidence: float = 0.95,
    estimated: pd.DataFrame | None = None,
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
        most (1 - confidence) / 2.
    estimated : DataFrame, optional
        Pairs that were not measured: model_a, model_b, sat_low, sat_high. They are paler.

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
    notes, marked, mark = ["SAT = ln(mean transfer success in %)"], None, ""
    if most_similar is not None:
        notes.append(_half_widths(most_similar["sat_low"], most_similar["sat_high"], confidence))
        if below := _below_noise(most_similar, (1 - confidence) / 2):
            number = {name: place for place, name in enumerate(names)}
            marked = np.zeros(shown.shape, bool)
            for source, target in below:
                if source in number and target in number:
                    marked[number[source], number[target]] = True
            mark = (
                f"not above random noise from row to column: {len(below)} of {2 * len(most_similar)} directions "
                "(p adjusted by Holm for all of them)"
            )
    else:
        notes.append("Matrix from a file: no intervals available")
    return heat_map(
        shown.to_numpy(float),
        [flag[name] for name in names],
        [families[name] for name in names],
        dendrogram_linkage((shown + shown.T) / 2),
        answer=f"Most similar: {_extreme(shown, 'SAT', True)}; least: {_extreme(shown, 'SAT', False)}",
        notes=notes + _about_estimates(estimated, "sat", confidence) + _notes(failed, dropped),
        label="SAT",
        colours={"cmap": "viridis", "vmin": off.min(), "vmax": max(off.max(), off.min() + 1e-6)},
        marked=marked,
        mark=mark,
        pale=_cells(estimated, names),
    )


def affinity_map(
    affinity: pd.DataFrame,
    families: Mapping[str, str],
    pairs: pd.DataFrame | None = None,
    confidence: float = 0.95,
    estimated: pd.DataFrame | None = None,
) -> Figure:
    """Draw the affinities as a heat map whose colours change at 0, with models of high affinity side by side.

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
    estimated : DataFrame, optional
        Pairs that were not measured: model_a, model_b, affinity_low, affinity_high. They are paler.

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
        notes.append(_half_widths(pairs["affinity_low"], pairs["affinity_high"], confidence))
    notes.append("Each row sums to 0, so 0 does not mean unrelated.")
    return heat_map(
        shown.mask(np.eye(len(names), dtype=bool)).to_numpy(float),
        names,
        [families[name] for name in names],
        dendrogram_linkage(shown, off.max() + 0.1 * np.ptp(off)),
        answer=f"Most alike beyond their own levels: {_extreme(shown, 'affinity', True)}; "
        f"least: {_extreme(shown, 'affinity', False)}",
        notes=[note for note in notes if note]
        + _about_estimates(estimated, "affinity", confidence)
        + _notes(0, dropped),
        label="affinity",
        colours={"cmap": "RdBu_r", "vmin": -most, "vmax": most},
        pale=_cells(estimated, names),
    )


def _about_estimates(estimated: pd.DataFrame | None, name: str, confidence: float) -> list[str]:
    """Small print about the pairs that were not measured."""
    if estimated is None:
        return []
    widths = _half_widths(estimated[f"{name}_low"], estimated[f"{name}_high"], confidence)
    return [f"Paler: {len(estimated):,} pairs that were not measured, but estimated{widths}"]


def _cells(pairs: pd.DataFrame | None, names: list[str]) -> NDArray[np.bool_] | None:
    """Cells of a matrix that hold some pairs of models."""
    if pairs is None:
        return None
    number = {name: place for place, name in enumerate(names)}
    known = pairs[pairs["model_a"].isin(number) & pairs["model_b"].isin(number)]
    a, b = known["model_a"].map(number), known["model_b"].map(number)
    found = np.zeros((len(names), len(names)), bool)
    found[a, b] = found[b, a] = True
    return found


def _extreme(matrix: pd.DataFrame, measure: str, largest: bool) -> str:
    """Name the pair of different models with the largest or the smallest value."""
    a, b = np.triu_indices(len(matrix), 1)
    values = matrix.to_numpy(float)[a, b]
    found = values.argmax() if largest else values.argmin()
    names = f"{short(matrix.index[a[found]])} and {short(matrix.index[b[found]])}"
    return f"{names} ({measure} {round(values[found], 2) + 0.0:.2f})"


def _half_widths(low: pd.Series, high: pd.Series, confidence: float) -> str:
    """Say how wide the intervals are, from the narrowest to the widest; nothing where there are none."""
    half = ((high - low) / 2).dropna()
    if half.empty:
        return ""
    return f"Half-widths of the {100 * confidence:.0f} % intervals: {half.min():.2f} to {half.max():.2f}"


def _below_noise(pairs: pd.DataFrame, alpha: float) -> list[tuple[str, str]]:
    """Directions (source, target) that are not above random noise, with p-values adjusted for all directions."""
    adjusted = holm(pd.concat([pairs["noise_p_ab"], pairs["noise_p_ba"]]).to_numpy(float))
    a, b = pairs["model_a"].to_list(), pairs["model_b"].to_list()
    directions = [*zip(a, b, strict=True), *zip(b, a, strict=True)]
    return [direction for direction, p in zip(directions, adjusted, strict=True) if not p <= alpha]


def _flags(names: Sequence[str], models: pd.DataFrame | None) -> tuple[dict[str, str], int]:
    """Label each model, with a star where its attack fails on itself; count the stars."""
    failed = set() if models is None else set(models.index[models["low_whitebox"]])
    return {name: f"{name} *" if name in failed else name for name in names}, len(failed.intersection(names))


def _notes(failed: int, dropped: Sequence[str]) -> list[str]:
    """Explain the star, and name the models that were left out."""
    models = "1 model" if failed == 1 else f"{failed} models"
    star = f"* low white-box success ({models}): rates as a source depend on the attack's settings"
    notes = [star] if failed else []
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
    of = [families[name] for name in names]
    colour, words = family_colours(of), family_words(of)
    tree = dendrogram_linkage((shown + shown.T) / 2)
    # Blocks need fewer lines than names.
    pitch = min(9.0, 72 * (TALLEST - 1.6) / len(names))
    figure, ((axes, strip),) = sheet(
        max(1.0, pitch * len(names) / 72) + 0.4, 1, 2, width_ratios=[1, 0.015], gridspec_kw={"wspace": 0.0}
    )
    order = draw_tree(axes, tree)
    strip.imshow([[to_rgb(colour[of[leaf]])] for leaf in order], aspect="auto", interpolation="nearest")
    strip.set(xticks=[])
    strip.spines[:].set_visible(False)
    strip.tick_params(length=0, pad=2, labelright=True, labelleft=False)
    most = np.log(100)
    # Ticks stand at round values of SAT. The axis begins at 100 % transfer beside the names, so that trees of two
    # studies can be compared.
    ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(most - tree[:, 2].max(), most)
    levels = [level for level in ticks if most - 1.02 * tree[:, 2].max() <= level <= most]
    axes.set_xticks([most - level for level in levels], labels=[f"{level:g}" for level in levels])
    axes.set(xlabel="SAT at which two branches join: the mean over all pairs across them", yticks=[])
    axes.spines["left"].set_visible(False)
    first = tree[0]
    joined = " and ".join(short(names[int(leaf)]) for leaf in first[:2])
    present = {words[one]: one for one in colour}
    legend(figure, [Patch(color=colour[one], label=word) for word, one in present.items()], "family")
    head(
        figure,
        f"{joined} join first, at SAT {most - first[2]:.2f}",
        "A tree always shows a hierarchy, even if there is none.",
        *_notes(failed, dropped),
    )
    if not name_rows(strip, [flag[names[leaf]] for leaf in order], pitch):
        # The names of blocks lie outside of the axes, where the layout does not see them.
        engine: Any = figure.get_layout_engine()
        left, low, width, height = engine.get()["rect"]
        engine.set(rect=(left, low, width - 1.5 / page_width(), height))
        figure.canvas.draw()
        name_blocks(strip, tree_blocks(tree, order, of), len(names), reach=6.0, square=False)
    return figure


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
    names = list(distance.index)
    side = map_side(names)
    figure, ((axes,),) = sheet(side + 0.35 + names_height(names, side))
    image = axes.imshow(
        distance.to_numpy(float),
        # Light means near, as it means similar in the SAT matrix. Unrelated features are at right angles.
        cmap="viridis_r",
        vmin=0,
        vmax=max(float(np.sqrt(2)), float(distance.max(axis=None))),
        interpolation="nearest",
        aspect="auto",
    )
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, pad=2)
    figure.colorbar(image, ax=axes, label="distance of spectral features (0 to 2)", shrink=0.6, aspect=30)
    name_rows(axes, names, 72 * side / len(names))
    name_rows(axes, names, 72 * side / len(names), "x")
    found, first, count = np.unique(numbers, return_index=True, return_counts=True)
    for border in first[1:]:
        axes.axhline(border - 0.5, color="white", linewidth=1)
        axes.axvline(border - 0.5, color="white", linewidth=1)
    above = axes.secondary_xaxis("top")
    above.set_xticks(first + (count - 1) / 2, labels=[str(number) for number in found])
    above.tick_params(length=0)
    above.spines[:].set_visible(False)
    above.set_xlabel("cluster")
    same = numbers[:, None] == numbers
    other = ~np.eye(len(names), dtype=bool)
    values = distance.to_numpy(float)
    parts = [(values[mask], words) for mask, words in ((same & other, "within"), (~same, "across")) if mask.any()]
    means = ", ".join(f"{part.mean():.2f} {words}" for part, words in parts)
    head(
        figure,
        f"Mean distance of two models: {means} clusters",
        "A dark block off the diagonal means that the two clusters differ. K-means makes distances within clusters "
        "small, so a difference of the means does not show clusters.",
    )
    return figure
