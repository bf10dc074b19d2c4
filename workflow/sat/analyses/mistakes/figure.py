"""Figure of shared mistakes: what happens to every target, and how much more than chance every pair shares."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from sat.report.page import head, legend, name_rows, nothing_to_draw, sheet
from sat.report.style import TALLEST, narrow, page_width
from sat.statistics.pairs import square_of

OUTCOMES = {"different": "#7f9fb8", "same": "#c2452d"}


def mistakes_figure(pairs: pd.DataFrame, models: pd.DataFrame, pool: pd.DataFrame) -> Figure:
    """Draw shares of different and same mistakes per target, and the excess of every pair.

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
    side = min(TALLEST - 2.4, max(1.6, 0.11 * len(names)), page_width() - (0.9 if narrow() else 3.0))
    if narrow():
        figure, ((bars,), (square,)) = sheet(2 * side + 1.0, 2, 1)
    else:
        figure, ((bars, square),) = sheet(side + 1.0, 1, 2, width_ratios=[1.2, side])
    _bars(bars, ordered, 72 * side / len(names))
    _map(figure, square, pairs, names, 72 * side / len(names))
    expected = [
        f"{100 * total[f'expected_by_{kind}'] / total['fooled']:.0f} % {why}"
        for kind, why in (("class", "from the true class"), ("image", "from other models' mistakes on the image"))
        if np.isfinite(total[f"expected_by_{kind}"])
    ]
    words = {"same": "the source's mistake", "different": "another mistake"}
    legend(
        figure,
        [Patch(color=OUTCOMES[kind], label=word) for kind, word in words.items()],
        "the others' images on a model",
    )
    head(
        figure,
        f"{100 * total['same'] / total['fooled']:.0f} % of fooled targets make the source's mistake",
        f"Expected: {', '.join(expected)}." if expected else "",
        "Map: excess of pairs over what is expected, above the diagonal from the true class, below it from the image. "
        "1 is the largest possible excess, 0 is as expected.",
    )
    return figure


def _bars(axes: Axes, models: pd.DataFrame, pitch: float) -> None:
    """Stacked shares of one bar per target."""
    n = models["n"].where(models["n"] > 0)
    shares = {
        "same": models["same"] / n,
        "different": (models["fooled"] - models["same"]) / n,
    }
    start = np.zeros(len(models))
    for name, share in shares.items():
        width = share.fillna(0).to_numpy()
        axes.barh(range(len(models)), width, left=start, color=OUTCOMES[name], height=0.8)
        start += width
    if not name_rows(axes, list(models["model"]), pitch):
        axes.set_ylabel(f"{len(models)} models, by family and name")
    axes.set_ylim(len(models) - 0.5, -0.5)
    # Most targets are fooled on few images, so the axis ends soon after the largest share of fooled ones.
    axes.set_xlim(0, min(1.0, 1.15 * float((models["fooled"] / n).max())))
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.set_xlabel("share of the others' images\nthat fool their source")


def _map(figure: Figure, axes: Axes, pairs: pd.DataFrame, names: list[str], pitch: float) -> None:
    """Heat map: above the diagonal the excess beyond the true class, below it that beyond the image."""
    by_class = square_of(pairs, "excess", names).to_numpy(float)
    by_image = square_of(pairs, "excess_image", names).to_numpy(float)
    square = np.where(np.triu(np.ones_like(by_class, bool)), by_class, by_image)
    image = axes.imshow(square, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
    axes.set_facecolor("0.88")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, pad=2)
    name_rows(axes, names, pitch, "x")
    axes.set_yticks([])
    figure.colorbar(image, ax=axes, shrink=0.6, aspect=30, label="excess of the same mistake")
