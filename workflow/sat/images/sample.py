"""A sample of images that depends on the images alone, and not on their order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sat.seeds import key


def sample_images(ids: Sequence[object], count: int, *purpose: object) -> NDArray[np.intp]:
    """Choose images; a smaller sample for the same purpose is contained in a larger one.

    Parameters
    ----------
    ids : sequence
        Ids of the images to choose among.
    count : int
        Number of images; all of them if there are no more.
    *purpose : object
        What they are chosen for, and the study's seed; see `sat.seeds.key`.

    Returns
    -------
    int array, shape (min(count, len(ids)),)
        Their places in `ids`, ascending.
    """
    draw = [key(*purpose, image) for image in ids]
    return np.array(sorted(sorted(range(len(draw)), key=draw.__getitem__)[:count]), np.intp)
