"""Whether an accuracy is higher than a published one in a way that chance and preprocessing do not explain."""

from __future__ import annotations

import math

MARGIN = 5.0
"""Least gap in percentage points. Another canvas, crop or subset moves an accuracy by up to a few points, and training
images move it by ten or more. This is our choice."""
STANDARD_ERRORS = 3.0
"""Least gap in standard errors of the sample. About one model in 700 exceeds it by chance."""
REMARK = "may be images that the model was trained on"


def is_above_published(
    accuracy: float, n_images: int, published_top1: float, margin: float = MARGIN, errors: float = STANDARD_ERRORS
) -> bool:
    """Say whether an accuracy is far above the published one.

    Parameters
    ----------
    accuracy : float
        Share of the images that the model gets right.
    n_images : int
        Number of images.
    published_top1 : float
        Published accuracy, in per cent. It is taken as exact, since most published accuracies are of 50,000 images.
    margin : float
        Least gap in percentage points.
    errors : float
        Least gap in standard errors of the accuracy, which are computed from the published accuracy.

    Returns
    -------
    bool
        Whether the gap is larger than both.
    """
    share = published_top1 / 100
    gap = accuracy - share
    return gap > margin / 100 and gap > errors * math.sqrt(share * (1 - share) / n_images)
