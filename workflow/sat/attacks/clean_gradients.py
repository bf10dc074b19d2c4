"""Gradients at clean images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sat.attacks.gradient import loss_gradient
from sat.models.batches import padded
from sat.models.classifier import Classifier, to_unit


def input_gradients(
    classifier: Classifier, images: NDArray[np.uint8], labels: NDArray[np.integer], device: str
) -> NDArray[np.float32]:
    """Compute the gradients of one batch of clean images.

    Parameters
    ----------
    classifier : Classifier
        The model, frozen.
    images : uint8 array, shape (n, 3, S, S)
        Grey levels of the canvas.
    labels : int array, shape (n,)
        True classes.
    device : str

    Returns
    -------
    float32 array, shape (n, 3, S, S)
        Gradient of each image's cross-entropy; an image's own does not depend on the others.
    """
    unit = to_unit(padded(images).to(device))
    gradient = loss_gradient(classifier, unit, padded(labels.astype(np.int64)).to(device))
    found: NDArray[np.float32] = gradient[: len(images)].float().cpu().numpy()
    return found
