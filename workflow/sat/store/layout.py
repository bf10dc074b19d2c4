"""What the HDF5 files hold: axes, type and unit of every array.

Writers copy it into the attributes of the files, and docs/files.md is made from it. For tables, see
`sat.store.columns`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Array:
    """An array in an HDF5 file."""

    axes: tuple[str, ...]
    """Names of the axes, the slowest first."""
    dtype: str
    """Types that it may have, as numpy names them; `text` for strings."""
    description: str
    """What it holds."""
    unit: str = ""
    """Unit of the values; empty where they have none."""


@dataclass(frozen=True)
class Arrays:
    """The arrays of one kind of HDF5 file."""

    description: str
    """What the file is."""
    arrays: Mapping[str, Array]


_ID = Array(("image",), "int64", "number of the image in the data set; its row in images/manifest.csv")
_LABEL = Array(("image",), "int64", "true class: number of the models' output", "class")
CLASS = "class"
LEVELS = "grey level (0 to 255)"

IMAGES = Arrays(
    "the images of a split on the canvas, as every model sees them. The attack images are a prefix of the evaluation "
    "images, in the order of one random permutation that keeps the classes in their proportions",
    {
        "image": Array(
            ("image", "channel", "row", "column"), "uint8", "the image; channels are red, green, blue", LEVELS
        ),
        "label": _LABEL,
        "id": _ID,
        "name": Array(("image",), "text", "name of the image in the data set"),
        "source_sha256": Array(("image",), "S64", "SHA-256 of the image's file; only where the images are files"),
    },
)
CLEAN = Arrays(
    "what a model says of clean images",
    {
        "attack_prediction": Array(
            ("image",), "int16", "class that the model gives to each image of images/attack.h5", CLASS
        ),
        "eval_prediction": Array(
            ("image",), "int16", "class that the model gives to each image of images/eval.h5", CLASS
        ),
        "eval_logits": Array(("image", "class"), "float16", "logits of each image of images/eval.h5"),
        "attack_features": Array(
            ("image", "feature"),
            "float16",
            "input of the classifier layer for each image of images/attack.h5; only where it is known",
        ),
    },
)
ADVERSARIAL = Arrays(
    "a model's adversarial set: what the attack adds to each image of images/attack.h5. The sum is the adversarial "
    "image",
    {
        "perturbation": Array(
            ("image", "channel", "row", "column"),
            "int8 or int16",
            "what is added to the clean image; 0 where the image was not attacked",
            "grey level (-255 to 255)",
        ),
        "attacked": Array(
            ("image",), "bool", "whether the image was attacked, which is so where the model classifies it correctly"
        ),
    },
)
ABSENT = -1
"""Prediction on the image of a source that did not attack it."""
TILE = Arrays(
    "the predictions of some models (targets) on the adversarial images of some models (sources)",
    {
        "prediction": Array(
            ("target", "source", "image"),
            "int16",
            "class that the target gives to the source's adversarial image of each image of images/attack.h5; "
            f"{ABSENT} where the source did not attack the image",
            CLASS,
        ),
        "confidence": Array(
            ("target", "source", "image"),
            "float16",
            "softmax probability that the target gives to this class; NaN where the source did not attack the image; "
            "missing in tiles of earlier versions",
        ),
        "target": Array(("target",), "text", "name of the model that is shown the images"),
        "source": Array(("source",), "text", "name of the model that the images were made on"),
        "noise_prediction": Array(
            ("target", "image"),
            "int16",
            "class that the target gives to the image under random noise of the attack's size; only in tiles on the "
            "diagonal",
            CLASS,
        ),
    },
)
GRADIENTS = Arrays(
    "the gradients of a model's loss at clean images, for measures that compare them",
    {
        "gradient": Array(
            ("image", "pixel"),
            "float16",
            "gradient of the cross-entropy with respect to the image, channels first, divided by its largest absolute "
            "value",
        ),
        "label": _LABEL,
        "id": _ID,
    },
)
ARRAYS = {
    "images/{split}.h5": IMAGES,
    "clean/{model}.h5": CLEAN,
    "adversarial/{model}.h5": ADVERSARIAL,
    "tiles/{target tile}/{source tile}.h5": TILE,
    "gradients/{model}.h5": GRADIENTS,
}
"""By path below results/<study>/. Files of a variant lie below variants/<name>/."""
