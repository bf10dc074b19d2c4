"""Gradients at clean images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sat.attacks.gradient import loss_gradient
from sat.models.batches import Batch
from sat.models.classifier import Classifier, outputs_of
from sat.models.feed import Line
from sat.store.chunks import Items


def input_gradients(
    classifier: Classifier,
    images: NDArray[np.uint8] | Items,
    labels: NDArray[np.integer],
    batch: int | Batch,
    device: str | Line = "cpu",
    rows: NDArray[np.integer] | None = None,
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Compute the gradients of clean images, batch by batch.

    Parameters
    ----------
    classifier : Classifier
        The model, frozen.
    images : uint8 array or Items, shape (n, 3, S, S)
        Grey levels of the canvas.
    labels : int array, shape (n,)
        True classes.
    batch : int or Batch
        Number of images at once; a multiple of 16.
    device : str or Line
    rows : int array, optional
        The images to compute on; all of them by default.

    Yields
    ------
    slice
        The slice of images, or of `rows`.
    float32 array, shape (images of the slice, 3, S, S)
        Gradient of each image's cross-entropy; an image's own does not depend on the others.
    """

    @torch.enable_grad()
    def gradient(unit: Tensor, target: Tensor) -> Tensor:
        return loss_gradient(classifier, unit, target)

    return outputs_of(gradient, images, batch, device, rows=rows, beside=[labels.astype(np.int64)])
