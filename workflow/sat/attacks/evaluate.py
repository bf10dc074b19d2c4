"""Evaluation of every target on every source's adversarial images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sat.models.batches import Batch
from sat.models.classifier import Classifier, predict

ABSENT = -1
"""Stands for the prediction on an image on which the source was not attacked."""


def perturb(images: NDArray[np.uint8], perturbation: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Add perturbations to images, and clip the result to 0 to 255.

    Parameters
    ----------
    images : uint8 array, shape (n, 3, S, S)
    perturbation : int array, same shape
        Perturbations in grey levels.

    Returns
    -------
    uint8 array, same shape
    """
    return np.clip(images.astype(np.int16) + perturbation, 0, 255).astype(np.uint8)


def evaluate(
    classifier: Classifier,
    images: NDArray[np.uint8],
    perturbation: NDArray[np.integer],
    attacked: NDArray[np.bool_],
    batch: int | Batch,
    device: str = "cpu",
) -> tuple[NDArray[np.int16], NDArray[np.float16]]:
    """Predict a source's adversarial images with a target.

    Parameters
    ----------
    classifier : Classifier
        The target, frozen.
    images : uint8 array, shape (n, 3, S, S)
        The attack images.
    perturbation : int array, shape (n, 3, S, S)
        Grey levels.
    attacked : bool array, shape (n,)
        The images on which the source was attacked.
    batch : int or Batch
        Number of images at once; a multiple of 16.
    device : str

    Returns
    -------
    prediction : int16 array, shape (n,)
        Predicted classes, -1 where the source was not attacked.
    confidence : float16 array, shape (n,)
        Softmax probability of the predicted class, NaN where the source was not attacked.

    Raises
    ------
    FloatingPointError
        If a logit is not finite.
    """
    prediction = np.full(len(images), ABSENT, np.int16)
    sure = np.full(len(images), np.nan, np.float16)
    # The loop takes 16 batches at a time, so that 5,000 images of 224 px need not be in memory twice.
    size = 16 * (batch.size if isinstance(batch, Batch) else batch)
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        chosen = np.flatnonzero(attacked[part]) + start
        if len(chosen):
            adversarial = perturb(images[chosen], perturbation[chosen])
            logits = predict(classifier, adversarial, batch, device)
            prediction[chosen] = logits.argmax(1)
            sure[chosen] = confidence(logits)
    return prediction, sure


def confidence(logits: NDArray[np.floating]) -> NDArray[np.float16]:
    """Compute the softmax probability of the predicted class.

    Parameters
    ----------
    logits : float array, shape (n, classes)

    Returns
    -------
    float16 array, shape (n,)
    """
    values = np.asarray(logits, np.float32)
    # The predicted class has the largest logit, so its exponential is 1 after that is subtracted.
    total = np.exp(values - values.max(1, keepdims=True)).sum(1)
    return np.asarray(1 / total, np.float16)
