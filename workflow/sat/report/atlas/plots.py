"""The two plots of the page: the matrix and the map. The page's script fills them; here is how they look."""

from __future__ import annotations

from typing import Any

import numpy as np
from bokeh.core.types import ID
from bokeh.embed import json_item
from bokeh.models import (
    BasicTicker,
    ColumnDataSource,
    CustomJS,
    CustomJSTickFormatter,
    FixedTicker,
    HoverTool,
    InlineStyleSheet,
    LinearColorMapper,
    Range1d,
)
from bokeh.models.annotations import ColorBar
from bokeh.palettes import Cividis256, RdBu11, Viridis256, interp_palette
from bokeh.plotting import figure
from bokeh.resources import Resources

PALETTES = {"viridis": list(Viridis256), "cividis": list(Cividis256), "diverging": list(interp_palette(RdBu11, 256))}
"""All are readable with any colour vision, and the first two in grey. In the third, blue is below 0 and red above."""


def library() -> str:
    """Bokeh's script, which the page holds."""
    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)


def plots() -> dict[str, Any]:
    """The plots as JSON values for ``Bokeh.embed.embed_item``, the same in every process.

    Returns
    -------
    dict
        The items `matrix` and `map`.
    """
    return {
        "matrix": item(_matrix(), "matrix-plot"),
        "map": item(_map(), "map-plot"),
    }


def item(plot: Any, place: str = "") -> Any:
    """A plot as a JSON value, with ids that are the same in every process; `place` is the id of its element."""
    return _numbered(json_item(plot, ID(place) if place else None))


def tools_below(plot: Any) -> None:
    """Set up the buttons of a plot, which paper does not need."""
    plot.toolbar.logo = None
    plot.toolbar.autohide = False
    plot.toolbar.stylesheets = [InlineStyleSheet(css="@media print { :host { display: none !important; } }")]


def outline(plot: Any, marks: ColumnDataSource) -> None:
    """Draw boxes in black with a white edge: one of both is seen on every cell, with any colour vision."""
    for colour, width in (("#ffffff", 5), ("#000000", 2)):
        plot.quad("left", "right", "top", "bottom", source=marks, fill_alpha=0, line_color=colour, line_width=width)


def _matrix() -> Any:
    plot: Any = figure(
        name="matrix",
        width=760,
        height=740,
        sizing_mode="scale_width",
        toolbar_location="below",
        tools="box_zoom,pan,wheel_zoom,reset,save",
        active_drag="box_zoom",
        x_axis_location="above",
        x_range=Range1d(start=0, end=1, name="matrix-x"),
        # The first model stands at the top.
        y_range=Range1d(start=1, end=0, name="matrix-y"),
    )
    tools_below(plot)
    plot.grid.visible = False
    plot.background_fill_color = "#ffffff"
    for axis in (plot.xaxis, plot.yaxis):
        axis.ticker = FixedTicker(ticks=[])
        axis.major_label_text_font_size = "10px"
        axis.major_tick_in = 0
        axis.axis_label_text_font_style = "normal"
    plot.xaxis.major_label_orientation = np.pi / 2
    mapper = LinearColorMapper(palette=Viridis256, low=0, high=1, nan_color="#ffffff", name="matrix-colours")
    cells = ColumnDataSource(
        {"image": [np.zeros((1, 1), np.float32)], "x": [0], "y": [0], "dw": [1], "dh": [1]}, name="matrix-cells"
    )
    plot.image("image", "x", "y", "dw", "dh", source=cells, color_mapper=mapper)
    marks = ColumnDataSource({name: [] for name in ("left", "right", "top", "bottom")}, name="matrix-marks")
    outline(plot, marks)
    formatter = CustomJSTickFormatter(code="return window.satAtlas.tick(tick)")
    plot.add_layout(ColorBar(color_mapper=mapper, ticker=BasicTicker(), formatter=formatter, width=14), "right")
    where = {"mousemove": "hover(cb_obj.x, cb_obj.y, cb_obj.sx, cb_obj.sy)", "mouseleave": "leave()"}
    for event, call in {**where, "tap": "tap(cb_obj.x, cb_obj.y)"}.items():
        plot.js_on_event(event, CustomJS(code=f"window.satAtlas.{call}"))
    return plot


def _map() -> Any:
    plot: Any = figure(
        name="map",
        width=760,
        height=520,
        sizing_mode="stretch_width",
        toolbar_location="below",
        tools="tap,lasso_select,box_select,pan,wheel_zoom,reset,save",
        active_drag="box_select",
        x_range=Range1d(start=0, end=1),
        y_range=Range1d(start=0, end=1),
    )
    tools_below(plot)
    plot.grid.visible = False
    plot.axis.visible = False
    columns = ("x", "y", "name", "colour", "marker", "index")
    source = ColumnDataSource({name: [] for name in columns}, name="map-points")
    dots = plot.scatter(
        "x",
        "y",
        source=source,
        marker="marker",
        fill_color="colour",
        line_color="#333333",
        size=11,
        nonselection_fill_alpha=0.25,
        nonselection_line_alpha=0.25,
    )
    names = ColumnDataSource({name: [] for name in ("x", "y", "name", "dx", "dy")}, name="map-names")
    plot.text("x", "y", "name", source=names, x_offset="dx", y_offset="dy", text_font_size="11px")
    hover = HoverTool(renderers=[dots], tooltips=None, visible=False)
    hover.callback = CustomJS(code="window.satAtlas.pointed(cb_data)")
    plot.add_tools(hover)
    plot.js_on_event("mouseleave", CustomJS(code="window.satAtlas.leave()"))
    source.selected.js_on_change("indices", CustomJS(code="window.satAtlas.chosen(cb_obj.indices)"))
    return plot


def _numbered(item: Any) -> Any:
    """Number the ids of models anew, since Bokeh counts them over all plots of a process."""
    known: dict[str, str] = {}

    def find(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(name := value.get("id"), str):
                known.setdefault(name, f"p{len(known)}")
            for part in value.values():
                find(part)
        elif isinstance(value, list | tuple):
            for part in value:
                find(part)

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: known.get(part, part) if _names(key, part) else renamed(part) for key, part in value.items()}
        return [renamed(part) for part in value] if isinstance(value, list | tuple) else value

    def _names(key: str, part: Any) -> bool:
        return key in ("id", "root_id") and isinstance(part, str)

    find(item)
    return renamed(item)
