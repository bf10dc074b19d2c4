"""Figure of the ablation: how far the matrix and the clusters depend on the attack."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sat.report.page import LETTER, SMALLEST, dot, head, legend, name_rows, sheet, short
from sat.report.style import GREY, INK, OF, TALLEST, narrow, page_width
from sat.units.analysis import SIMILARITIES

STUDY = "(study)"
"""Name of the study's own attack in the tables."""
PITCH = 12.0
"""Height of a row in points, where a page has room for it."""


def ablation_figure(table: pd.DataFrame, pairs: pd.DataFrame) -> Figure:
    """Draw each variant's agreement with the study and its white-box success, beside all rank correlations.

    Parameters
    ----------
    table : DataFrame
        From `sat.analyses.ablation.agreement.ablation_table`, the study first.
    pairs : DataFrame
        From `ablation_pairs`.

    Returns
    -------
    Figure
    """
    rows = {of: part.set_index("variant") for of, part in table.groupby("of", sort=False)}
    names = table["variant"].unique().tolist()
    place = np.arange(len(names))
    # Names below the map, axes, titles and the legend need the rest of a page.
    pitch = min(PITCH, 72 * (TALLEST - (4.4 if narrow() else 2.6)) / (len(names) * (2 if narrow() else 1)))
    side = pitch / 72 * len(names)
    if narrow():
        figure, grid = sheet(2 * side + 2.6, 2, 2, height_ratios=[side + 0.5, side + 1.0])
        (left, middle), (right, blank) = grid
        blank.remove()
        right.set_subplotspec(grid[1, 0].get_gridspec()[1, :])
    else:
        figure, ((left, middle, right),) = sheet(side + 1.2, 1, 3, width_ratios=[1.3, 0.9, 1.8])
    for of, part in rows.items():
        # Where both agree, the smaller marker stays visible within the larger one.
        size = 5.5 if of == "sat" else 3
        known = part[part.index != STUDY]
        at = place[[names.index(name) for name in known.index]]
        left.plot(known["spearman"], at, "o", color=OF[of], ms=size, zorder=3)
        middle.plot(known["rand"], at, "s", color=OF[of], ms=size, zorder=3)
    if STUDY in names:
        own = names.index(STUDY)
        left.plot(1, own, "|", color=INK, ms=7, mew=1.5)
        middle.plot(1, own, "|", color=INK, ms=7, mew=1.5)
    whitebox = table.groupby("variant", sort=False)["mean_whitebox"].first()
    low = (table.groupby("variant", sort=False)["n_low_whitebox"].first() > 0).to_numpy()
    left.plot(whitebox, place, "D", color="none", mec=GREY, ms=4)
    left.plot(whitebox[low], place[low], "D", color=GREY, ms=4)
    known = pd.concat([table["spearman"], table["mean_whitebox"]]).dropna()
    left.set(xlim=(min(0.0, known.min()) - 0.05, 1.06), xlabel="rank correlation,\nor white-box\nsuccess")
    middle.set(xlim=(min(0.0, table["rand"].min()) - 0.05, 1.08), xlabel="adjusted Rand\nindex of clusters", yticks=[])
    left.set_title("agreement with the study")
    for axis in (left, middle):
        axis.grid(axis="x", lw=0.3)
        axis.set_ylim(len(names) - 0.5, -0.5)
    name_rows(left, names, pitch)
    values = _both_triangles(pairs, names)
    image = right.imshow(values, vmin=min(0.0, np.nanmin(values)), vmax=1, cmap="viridis", aspect="auto")
    cell = 72 * (page_width() - 1.0 if narrow() else 0.38 * page_width()) / len(names)
    # Room for five characters, such as -0.05, and a margin.
    size = min(5.5, 0.9 * cell / (5 * LETTER))
    if size < SMALLEST:
        figure.colorbar(image, ax=right, label="rank correlation", fraction=0.05, pad=0.02, aspect=30)
    else:
        for (row, column), value in np.ndenumerate(values):
            if row != column and np.isfinite(value):
                shade = INK if value > 0.6 else "white"
                text = f"{round(value, 2) + 0.0:.2f}"
                right.text(column, row, text, ha="center", va="center", fontsize=size, color=shade)
    right.spines[:].set_visible(False)
    right.tick_params(length=0)
    if narrow():
        name_rows(right, names, pitch)
    else:
        right.set_yticks([])
    name_rows(right, names, cell, "x")
    right.set_title("rank correlation with each other\n(upper right: SAT; lower left: affinity)")
    handles = [dot(OF[of], f"rank correlation of {SIMILARITIES[of]}") for of in rows]
    handles += [dot(OF[of], f"clusters of {SIMILARITIES[of]}", "s") for of in rows]
    handles.append(dot(GREY, "white-box success", "D", hollow=True))
    if low.any():
        handles.append(dot(GREY, "white-box success, too low for some models", "D"))
    if STUDY in names:
        handles.append(dot(INK, "the study itself: 1", "|", size=7))
    legend(figure, handles)
    head(figure, _answer(rows))
    return figure


def _answer(rows: dict[str, pd.DataFrame]) -> str:
    """Name the variants whose matrices agree least and most with the study's."""
    for of in ("sat", "affinity"):
        if of in rows:
            known = rows[of].loc[rows[of].index != STUDY, "spearman"].dropna()
            least, most = (
                (
                    f"{short(str(name), 20)} (rank correlation {round(known[name], 2) + 0.0:.2f})"
                    for name in (known.idxmin(), known.idxmax())
                )
                if len(known)
                else ("", "")
            )
            if len(known) > 1:
                return f"{SIMILARITIES[of]} of the study agrees least with {least}, and most with {most}"
            if len(known):
                return f"{SIMILARITIES[of]} of the study against {least}"
    return "No variant can be compared with the study"


def _both_triangles(pairs: pd.DataFrame, names: list[str]) -> NDArray[np.float64]:
    """Rank correlations of SAT above the diagonal, of affinity below, and 1 on it."""
    number = {name: place for place, name in enumerate(names)}
    values = np.full((len(names), len(names)), np.nan)
    np.fill_diagonal(values, 1.0)
    for pair in pairs.itertuples():
        a, b = number[pair.variant_a], number[pair.variant_b]
        values[(a, b) if pair.of == "sat" else (b, a)] = pair.spearman
    return values
