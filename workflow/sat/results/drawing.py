"""Draw examples of a pair."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from sat.results.pair import told

if TYPE_CHECKING:
    from sat.results.pair import PairExamples


class Picture(Figure):
    """A figure that notebooks show, whether pyplot was imported or not."""

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=100)
        return stream.getvalue()


def draw_examples(examples: PairExamples) -> Figure:
    """Draw a row for each example; see `Pair.plot`."""
    count = max(len(examples), 1)
    figure = Picture(figsize=(6.6, 2.1 * count + 0.4), layout="constrained")
    figure.suptitle(f"Attacked: {examples.source}. Shown to {examples.other} too.", fontsize=10)
    if not len(examples):
        figure.text(0.5, 0.4, "No image fools both models, or only its source.", ha="center", fontsize=9)
        return figure
    most = max(int(np.abs(examples.perturbation.astype(int)).max()), 1)
    grid = figure.subplots(count, 3, squeeze=False)
    for row, axes in enumerate(grid):
        label = int(examples.label[row])
        said = [
            f"{model}: {told(examples.classes, int(found[row]), label, float(sure[row]))}"
            for model, found, sure in (
                (examples.source, examples.prediction_source, examples.confidence_source),
                (examples.other, examples.prediction_other, examples.confidence_other),
            )
        ]
        shown = (
            (examples.clean[row], f"clean: {told(examples.classes, label, label)}"),
            (127.5 + examples.perturbation[row].astype(float) * (127.5 / most), f"perturbation, x {127.5 / most:.1f}"),
            (examples.adversarial[row], "\n".join(said)),
        )
        for axis, (image, title) in zip(axes, shown, strict=True):
            axis.imshow(np.moveaxis(np.clip(image, 0, 255).astype(np.uint8), 0, -1), interpolation="nearest")
            # A dollar sign in the name of a class would start a formula.
            axis.set_title(title, loc="center", fontsize=8, parse_math=False)
            axis.set_xticks([])
            axis.set_yticks([])
        axes[0].set_ylabel(examples.fools[row], fontsize=8)
    return figure
