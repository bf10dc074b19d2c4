"""Names beside points, without overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
ANGLES = np.deg2rad([20, 160, -20, -160, 90, -90, 50, 130, -50, -130, 0, 180, 70, 110, -70, -110])
DISTANCES = (3, 9, 17, 27, 39, 53, 69, 87, 107, 129)
"""Points between a marker and its name, tried in this order."""
LEADER = 6
"""A line leads from a name to its marker from this distance on."""


def name_points(
    axes: Axes,
    names: list[str],
    x: ArrayLike,
    y: ArrayLike,
    obstacles: ArrayLike = (),
    size: float = 6,
    radius: float = 3,
    named: Sequence[int] | None = None,
) -> None:
    """Write each name near its point, where it covers no other name, no point, and as little else as possible.

    Names in crowds are placed first. A name that stands farther off, or as near to another point, is joined to its own
    by a thin line. Limits of the axes must be final; the layout of the figure is fixed here.

    Parameters
    ----------
    axes : Axes
    names : list of str
    x, y : array_like, shape (n,)
        In units of the data.
    obstacles : array_like, shape (m, 4), optional
        Line segments to be left free, each as x0, y0, x1, y1 in units of the data.
    size : float
        Font size in points.
    radius : float
        Radius of the markers in points.
    named : sequence of int, optional
        Places of the points that have a name, in the order of the names; all points by default.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.canvas.draw()
    figure.set_layout_engine("none")
    scale = figure.dpi / 72
    points = axes.transData.transform(np.column_stack([x, y]))
    lines = np.asarray(obstacles, float).reshape(-1, 4)
    ends = [axes.transData.transform(lines[:, at : at + 2]) for at in (0, 2)]
    # Segments become rows of dots, since a box covers a dot or does not.
    share = np.linspace(0, 1, 24)[:, None, None]
    dots = (ends[0] * (1 - share) + ends[1] * share).reshape(-1, 2)
    frame = axes.get_window_extent()
    crowd = (np.hypot(*(points[:, None] - points).transpose(2, 0, 1)) < 60 * scale).sum(axis=1)
    taken = np.empty((0, 4))
    leaders = np.empty((0, 2))
    word = dict(zip(range(len(points)) if named is None else named, names, strict=True))
    for place in np.argsort(-crowd, kind="stable"):
        if place not in word:
            continue
        label = axes.annotate(word[place], points[place], xycoords="figure pixels", fontsize=size, va="bottom")
        box = label.get_window_extent()
        boxes, distances = _candidates(points[place], box.width, box.height, radius * scale, scale)
        gaps = _gaps(boxes, points)
        own = gaps[:, place].copy()
        gaps[:, place] = np.inf
        unclear = gaps.min(axis=1) < own + radius * scale
        cost = (
            1e6 * _overlaps(boxes, taken, scale)
            + 1e4 * _covered(boxes, points, radius * scale)
            + 40 * _covered(boxes, leaders, scale)
            + 8 * _covered(boxes, dots, scale)
            + distances / scale
            + 20 * unclear
            + 1e6 * _outside(boxes, np.array(frame.extents))
        )
        best = boxes[cost.argmin()]
        taken = np.vstack([taken, best])
        label.remove()
        left, low = axes.transData.inverted().transform(best[:2])
        axes.annotate(word[place], (left, low), fontsize=size, va="bottom", ha="left", annotation_clip=False)
        if distances[cost.argmin()] >= LEADER * scale or unclear[cost.argmin()]:
            near = np.clip(points[place], best[:2], best[2:])
            leaders = np.vstack([leaders, near + (points[place] - near) * share[:, 0]])
            line = axes.transData.inverted().transform([near, points[place]])
            axes.plot(line[:, 0], line[:, 1], color="0.6", linewidth=0.5, zorder=1)


def _candidates(point: Floats, width: float, height: float, radius: float, scale: float) -> tuple[Floats, Floats]:
    """Boxes around a marker, shape (candidates, 4), and how far each is off, in pixels."""
    angle, distance = (part.ravel() for part in np.meshgrid(ANGLES, np.array(DISTANCES) * scale))
    dx, dy = np.cos(angle), np.sin(angle)
    # The box touches the end of the arm with the side that faces the point.
    left = point[0] + dx * (radius + distance) - np.where(dx < -0.1, width, np.where(dx > 0.1, 0, width / 2))
    low = point[1] + dy * (radius + distance) - height * (1 - dy) / 2
    return np.column_stack([left, low, left + width, low + height]), distance


def _gaps(boxes: Floats, points: Floats) -> Floats:
    """Distance of every box to every point, 0 within, shape (boxes, points)."""
    outside = np.maximum(boxes[:, None, :2] - points, points - boxes[:, None, 2:])
    return np.asarray(np.hypot(*np.maximum(outside, 0).transpose(2, 0, 1)))


def _overlaps(boxes: Floats, taken: Floats, margin: float) -> NDArray[np.intp]:
    """Number of taken boxes that each box overlaps, or is nearer to than a margin."""
    over = (boxes[:, None, :2] < taken[None, :, 2:] + margin) & (taken[None, :, :2] < boxes[:, None, 2:] + margin)
    return np.asarray(over.all(axis=2).sum(axis=1))


def _covered(boxes: Floats, dots: Floats, margin: float) -> NDArray[np.intp]:
    """Number of dots in each box."""
    dots = dots[((dots > boxes[:, :2].min(axis=0) - margin) & (dots < boxes[:, 2:].max(axis=0) + margin)).all(axis=1)]
    inside = (boxes[:, None, :2] - margin < dots) & (dots < boxes[:, None, 2:] + margin)
    return np.asarray(inside.all(axis=2).sum(axis=1))


def _outside(boxes: Floats, frame: Floats) -> NDArray[np.bool_]:
    """Whether a box leaves the frame."""
    return np.asarray(((boxes[:, :2] < frame[:2]) | (boxes[:, 2:] > frame[2:])).any(axis=1))
