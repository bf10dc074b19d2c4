"""Figure of shared mistakes: what happens to every target, and how much more than chance every pair shares."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sat.report.style import STYLE, nothing_to_draw
from sat.statistics.pairs import square_of

OUTCOMES = {"unfooled": "#d9d9d9", "different": "#7f9fb8", "same": "#c2452d"}


def mistakes_figure(pairs: pd.DataFrame, models: pd.DataFrame, pool: pd.DataFrame) -> Figure:
    """Draw shares of unfooled, different and same mistakes per target, and the excess of every pair.

    Parameters
    ----------
    pairs : DataFrame
        From `sat.analyses.mistakes.tables.compare`.
    models, pool : DataFrame
        From `model_table` and `pool_table` of the same module.

    Returns
    -------
    Figure
    """
    total = pool.set_index("quantity")["value"]
    if not total["fooled"]:
        return nothing_to_draw("No adversarial image fools both its source and another model.")
    ordered = models.sort_values(["family", "model"], ignore_index=True)
    names = list(ordered["model"])
    side = max(3.2, 0.19 * len(names))
    with matplotlib.rc_context(STYLE):
        figure, (bars, map_axes) = plt.subplots(
            1, 2, figsize=(side + 5.2, side + 1.4), width_ratios=[2.6, side], layout="constrained"
        )
        _bars(bars, ordered)
        _map(figure, map_axes, pairs, names)
        words = [
            f"{total[f'expected_by_{kind}'] / total['fooled']:.0%} {why}"
            for kind, why in (("class", "from the true class"), ("image", "from other models' mistakes on the image"))
            if np.isfinite(total[f"expected_by_{kind}"])
        ]
        expected = f"; expected: {', '.join(words)}" if words else ""
        figure.suptitle(
            f"{total['same'] / total['fooled']:.0%} of fooled targets make the source's mistake{expected}", fontsize=9
        )
    return figure


def _bars(axes: Axes, models: pd.DataFrame) -> None:
    """Stacked shares of one bar per target."""
    n = models["n"].where(models["n"] > 0)
    shares = {
        "same": models["same"] / n,
        "different": (models["fooled"] - models["same"]) / n,
        "unfooled": 1 - models["fooled"] / n,
    }
    start = np.zeros(len(models))
    for name, share in shares.items():
        width = share.fillna(0).to_numpy()
        axes.barh(range(len(models)), width, left=start, color=OUTCOMES[name], label=name, height=0.8)
        start += width
    axes.set_yticks(range(len(models)), models["model"], fontsize=7)
    axes.set_ylim(len(models) - 0.5, -0.5)
    # Most targets are mostly unfooled, and the rest is what is looked at.
    axes.set_xlim(0, min(1.0, 1.15 * float((models["fooled"] / n).max())))
    axes.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1, 0))
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlabel("share of the others' images\nthat fool their source", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, handlelength=1)


def _map(figure: Figure, axes: Axes, pairs: pd.DataFrame, names: list[str]) -> None:
    """Heat map: above the diagonal the excess beyond the true class, below it that beyond the image."""
    by_class = square_of(pairs, "excess", names).to_numpy(float)
    by_image = square_of(pairs, "excess_image", names).to_numpy(float)
    square = np.where(np.triu(np.ones_like(by_class, bool)), by_class, by_image)
    image = axes.imshow(square, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    axes.set_facecolor("#b5b5b5")
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks([])
    axes.set_title("excess beyond the true class (above), beyond the image (below)", fontsize=8, loc="left")
    bar = figure.colorbar(image, ax=axes, shrink=0.6)
    bar.ax.tick_params(labelsize=7)
