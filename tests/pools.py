"""Models for tests of measures: what they make of the same images."""

import numpy as np

CLASSES = 7


def pool(needs, n=60, models=4, seed=0):
    """Models that are more alike the nearer they are in order, and the labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(CLASSES, size=n)
    logits = np.cumsum(random.normal(size=(models, n, CLASSES)), axis=0) + 2 * np.eye(CLASSES)[labels]
    if needs == "prediction":
        arrays = logits.argmax(2).astype(np.int16)
    elif needs == "probability":
        arrays = logits.astype(np.float16)
    elif needs == "gradient":
        arrays = logits
    else:
        arrays = [row @ random.normal(size=(CLASSES, 5 + place)) for place, row in enumerate(logits)]
    return {f"m{place}": array for place, array in enumerate(arrays)}, labels
