"""Figure of the groups' mean SAT."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sat.report.style import BLUE, GREY, STYLE, nothing_to_draw


def groups_figure(table: pd.DataFrame, compared: bool = False) -> Figure:
    """Draw the mean SAT within groups, one panel per column.

    Parameters
    ----------
    table : DataFrame
        From `sat.analyses.groups.means.group_means`, with `column`.
    compared : bool
        Whether the other matrix is known to come from the same images and
        attack. If it is not, its bar is hatched.

    Returns
    -------
    Figure
    """
    columns = list(dict.fromkeys(table["column"]))
    drawn = table[table["mean"].notna()]
    if not len(drawn[drawn["kind"] != "all"]):
        return nothing_to_draw("No group has two models with a SAT.")
    heights = [max(1, int((drawn["column"] == column).sum())) for column in columns]
    with matplotlib.rc_context(STYLE):
        figure, panels = plt.subplots(
            len(columns),
            1,
            figsize=(7.5, 0.8 * len(columns) + 0.32 * sum(heights)),
            height_ratios=heights,
            squeeze=False,
            layout="constrained",
        )
    for panel, column in zip(panels[:, 0], columns, strict=True):
        rows = drawn[(drawn["column"] == column) & (drawn["kind"] != "all")]
        rows = rows.sort_values(["kind", "mean"], ascending=[True, False])
        labels = []
        for number, row in enumerate(rows.itertuples()):
            labels.append(
                {"within": "all groups", "compare": "other study" if compared else "other matrix"}.get(
                    row.kind, row.group
                )
                + f"  ({row.n_models} models)"
            )
            panel.barh(
                -number,
                row.mean,
                color=GREY if row.kind == "compare" else BLUE if row.p <= 0.05 else "none",
                edgecolor="white" if row.kind == "compare" else BLUE,
                hatch="///" if row.kind == "compare" and not compared else None,
            )
            if np.isfinite(row.low):
                panel.plot([row.low, row.high], [-number] * 2, color="black", lw=1)
        overall = drawn[(drawn["column"] == column) & (drawn["kind"] == "all")]["mean"]
        if len(overall):
            panel.axvline(overall.iloc[0], color="black", ls="--", lw=1)
        panel.set_yticks(-np.arange(len(labels)), labels, fontsize=8)
        panel.set_title(column, fontsize=9, loc="left")
    panels[-1, 0].set_xlabel("mean SAT of pairs within the group; dashed: all pairs; hollow: p > 0.05")
    return figure
