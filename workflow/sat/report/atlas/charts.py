"""The interactive figures of the results: which can be drawn, and the plots that the page's script fills."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import (
    BasicTicker,
    ColumnDataSource,
    CustomJS,
    CustomJSTickFormatter,
    FixedTicker,
    HoverTool,
    LinearColorMapper,
    Range1d,
    TapTool,
)
from bokeh.models.annotations import ColorBar
from bokeh.palettes import Cividis256
from bokeh.plotting import figure

from sat.report.atlas.plots import item, outline, tools_below
from sat.report.atlas.results import Results
from sat.units.chart import Chart, Column, Points, Rows, as_json

View = Mapping[str, Any]
OWN: Mapping[str, Chart] = {
    "models": (
        Rows(
            label=("model",),
            values=(
                Column("accuracy", share=True),
                Column("whitebox", "white-box success", "whitebox_low", "whitebox_high", share=True),
                Column("noise_rate", "errors under random noise", share=True),
            ),
            axis="share of images (1 is 100 %)",
        ),
    ),
    "most_similar": (
        Rows(
            title="SAT and its interval",
            label=("model_a", "model_b"),
            values=(Column("sat", "SAT", "sat_low", "sat_high"),),
        ),
        Points(
            title="both directions",
            name=("model_a", "model_b"),
            x=Column("rate_ab", "rate from model_a to model_b", share=True),
            y=Column("rate_ba", "rate from model_b to model_a", share=True),
            diagonal=True,
        ),
    ),
}
"""Charts of the pipeline's tables; those of the analyses are in their declarations."""


def charts(results: Results, measures: Collection[str]) -> dict[str, list[View]]:
    """Select the views that these results have numbers for.

    Parameters
    ----------
    results : Results
    measures : collection of str
        Keys of what is known of each pair; see `sat.report.atlas.data.pairs`.

    Returns
    -------
    dict of str to list of mapping
        Views by the name of the table or figure, each with its `table` filled in. A name without any is missing.
    """
    declared = {**{name: as_json(one) for name, one in OWN.items()}, **results.charts}
    keys = [*measures, *(["distance"] if "spectral_features" in results.tables else [])]
    found: dict[str, list[View]] = {}
    for name, views in declared.items():
        if not isinstance(views, Sequence):
            continue
        ready: list[View] = [whole for view in views if (whole := _whole(name, view, results.tables, keys))]
        if ready:
            found[name] = ready
    return found


def _whole(name: str, view: View, tables: Mapping[str, pd.DataFrame], measures: Sequence[str]) -> dict[str, Any] | None:
    """A view with its table, and only the numbers that there are; None if nothing can be drawn."""
    kind = view["kind"]
    if kind == "tree":
        return dict(view)
    if kind == "pairs" or "measure" in view:
        axes = {key: _measure(view[key], measures) for key in ("x", "y", "measure") if key in view}
        return {**view, **axes} if all(axes.values()) else None
    table = view.get("table", name)
    frame = tables.get(table)
    if frame is None or frame.empty:
        return None
    whole: dict[str, Any] = {**view, "table": table}
    if "values" in view:
        whole["values"] = [one for one in view["values"] if _known(frame, one)]
        asked = [*view.get("label", ()), *view.get("by", ())] + ([view["x"]["name"]] if "x" in view else [])
    else:
        numbers = [view[key] for key in ("x", "y", "value") if key in view]
        whole["values"] = numbers if all(_known(frame, one) for one in numbers) else []
        asked = [*view.get("name", ()), *view.get("by", ()), *(view[key] for key in ("row", "column") if key in view)]
    return whole if whole["values"] and set(asked) <= set(frame) else None


def _known(frame: pd.DataFrame, column: Mapping[str, Any]) -> bool:
    name = column["name"]
    return name in frame and bool(pd.to_numeric(frame[name], errors="coerce").notna().any())


def _measure(asked: str, measures: Sequence[str]) -> str:
    """A key, or the first of those that start with it."""
    return next((key for key in measures if key == asked or key.startswith(f"{asked}:")), "")


def used_tables(views: Mapping[str, Sequence[View]]) -> set[str]:
    """Names of the tables that charts are drawn from."""
    found = {view["table"] for each in views.values() for view in each if "table" in view}
    distances = any(view.get("measure") == "distance" for each in views.values() for view in each)
    return found | ({"spectral_features"} if distances else set())


def templates() -> dict[str, Any]:
    """Plots without data, by kind: rows, numbers on both axes (or logarithms below), heat maps (or rates)."""
    return {
        "rows": item(_numbers("linear", rows=True)),
        "numbers": item(_numbers("linear")),
        "logarithms": item(_numbers("log")),
        "heat": item(_heat()),
        "rates": item(_heat(logarithms=True)),
    }


def _plot(**options: Any) -> Any:
    plot: Any = figure(
        name="chart",
        width=720,
        height=420,
        sizing_mode="stretch_width",
        toolbar_location="below",
        x_range=Range1d(start=0, end=1),
        **options,
    )
    tools_below(plot)
    for axis in (plot.xaxis, plot.yaxis):
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = "12px"
        axis.major_label_text_font_size = "11px"
    return plot


def _source(name: str, *columns: str) -> ColumnDataSource:
    return ColumnDataSource({column: [] for column in columns}, name=name)


def _numbers(scale: str, rows: bool = False) -> Any:
    """Bands, lines, guides, intervals, points and names, each from a source of its own, in this order."""
    plot = _plot(
        tools="pan,wheel_zoom,box_zoom,box_select,reset,save",
        active_drag=None,
        x_axis_type=scale,
        y_range=Range1d(start=0, end=1),
    )
    if scale == "log":
        plot.xaxis.ticker = FixedTicker(ticks=[part * 10**power for power in range(7) for part in (1, 2, 5)])
    if rows:
        plot.yaxis.ticker = FixedTicker(ticks=[])
        plot.ygrid.visible = False
    bands = _source("chart-bands", "xs", "ys", "colour")
    plot.patches("xs", "ys", source=bands, fill_color="colour", fill_alpha=0.2, line_color=None)
    guides = _source("chart-guides", "xs", "ys")
    plot.multi_line("xs", "ys", source=guides, line_color="#777777", line_dash="dashed", line_width=1)
    lines = _source("chart-lines", "xs", "ys", "colour")
    plot.multi_line("xs", "ys", source=lines, line_color="colour", line_width=1.5)
    ends = _source("chart-ends", "x0", "y0", "x1", "y1", "colour")
    plot.segment("x0", "y0", "x1", "y1", source=ends, line_color="colour", line_width=1.5, line_alpha=0.7)
    points = _source("chart-points", "x", "y", "colour", "fill", "marker", "size")
    dots = plot.scatter(
        "x",
        "y",
        source=points,
        marker="marker",
        size="size",
        fill_color="fill",
        line_color="colour",
        selection_line_color="#000000",
        selection_line_width=2,
        nonselection_fill_alpha=0.25,
        nonselection_line_alpha=0.25,
    )
    names = _source("chart-names", "x", "y", "name", "dx", "dy")
    plot.text("x", "y", "name", source=names, x_offset="dx", y_offset="dy", text_font_size="11px", text_color="#1b1f24")
    hover = HoverTool(
        renderers=[dots],
        tooltips=None,
        callback=CustomJS(code="window.satAtlas.charts.pointed(cb_data)"),
        visible=False,
    )
    plot.add_tools(hover, TapTool(renderers=[dots], visible=False))
    plot.js_on_event("mouseleave", CustomJS(code="window.satAtlas.leave()"))
    points.selected.js_on_change("indices", CustomJS(code="window.satAtlas.charts.chosen(cb_obj)"))
    plot.ygrid.grid_line_color = plot.xgrid.grid_line_color = "#e8e8e8"
    return plot


def _heat(logarithms: bool = False) -> Any:
    """Cells with a scale of colours; of logarithms to base 10, the scale names the rates."""
    plot = _plot(
        tools="pan,wheel_zoom,box_zoom,reset,save",
        active_drag=None,
        x_axis_location="above",
        y_range=Range1d(start=1, end=0),
    )
    plot.grid.visible = False
    plot.xaxis.ticker = plot.yaxis.ticker = FixedTicker(ticks=[])
    plot.xaxis.major_label_orientation = np.pi / 2
    mapper = LinearColorMapper(palette=Cividis256, low=0, high=1, nan_color="#ffffff", name="chart-colours")
    cells = {"image": [np.zeros((1, 1), np.float32)], "x": [0], "y": [0], "dw": [1], "dh": [1]}
    plot.image("image", "x", "y", "dw", "dh", source=ColumnDataSource(cells, name="chart-cells"), color_mapper=mapper)
    marks = _source("chart-marks", "left", "right", "top", "bottom")
    outline(plot, marks)
    named: dict[str, Any] = (
        {"formatter": CustomJSTickFormatter(code="return window.satAtlas.percent(tick)")} if logarithms else {}
    )
    plot.add_layout(ColorBar(color_mapper=mapper, ticker=BasicTicker(), width=12, **named), "right")
    for event, call in {"mousemove": "moved(cb_obj)", "tap": "tapped(cb_obj)"}.items():
        plot.js_on_event(event, CustomJS(code=f"window.satAtlas.charts.{call}"))
    plot.js_on_event("mouseleave", CustomJS(code="window.satAtlas.leave()"))
    return plot
