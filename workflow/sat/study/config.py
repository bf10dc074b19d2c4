"""A study's config file: typed, validated, with a JSON schema generated from it.

Torch-free and quick to import, because the Snakefile reads it in every job.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from sat.study.attacks import METHODS, Method


def check_name(name: str) -> str:
    """Accept a name that is safe as a file name on every system.

    Raises
    ------
    ValueError
        If it is not: it would escape its folder, or hide.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(
            f"{name!r} is no usable name: it becomes a file name, so use letters, digits, '.', '_' and '-' alone, "
            "and start with a letter or digit"
        )
    return name


Name = Annotated[str, AfterValidator(check_name)]
Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """Base of every part of a config: unknown keys and loose types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


READERS = ("hfds", "hfids", "tfds", "wds")
"""Prefixes of timm's dataset readers that may fetch from a network."""


class Images(Section):
    """Where the images come from and how they reach the canvas."""

    source: str
    """`digits`: scikit-learn's handwritten digits, 1,797 images of 8 x 8 px and 17 grey levels. `folder`: a folder
    with one sub-folder a class, a .tar of such a folder, or a folder of .tar files. `hfds/NAME`, `hfids/NAME`,
    `tfds/NAME`, `wds/NAME`: timm's readers of data sets of those libraries. `none`: of a study of a matrix."""
    root: str | None = None
    """Folder or file of the data set, relative to this file; a cache folder for readers that download."""
    split: str = "validation"
    """Split of the data set, for readers that know splits (not `folder`)."""
    class_map: str | None = None
    """File that maps class names to the models' outputs, relative to this file: .txt, a name a line, the line's number
    (from 0) is the output. For images of some of the models' classes only."""
    on_bad_image: Literal["stop", "skip"] = "stop"
    """An image that cannot be read stops the run, or is left out and listed in the sidecar."""
    canvas: Annotated[int, Field(ge=8)] = 224
    """Side in pixels of the common uint8 image that every model sees."""
    crop_pct: Annotated[float, Field(gt=0, le=1)] = 0.875
    """The short side is resized to round(canvas / crop_pct), then the centre is cropped."""
    train_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of every class that models with `weights: train` are trained on; the rest are the evaluation images."""
    train_folder: str | None = None
    """Folder within `root` whose images are for training, such as `train`, in place of a share; all others are the
    evaluation images. Of `folder` alone."""
    attack_images: Count | Literal["all"] | str = "all"
    """How many of the evaluation images are attacked, a prefix of one stratified permutation; or a file with the
    names of images, one a line, relative to this file."""

    @field_validator("source")
    @classmethod
    def _check_source(cls, value: str) -> str:
        prefix, slash, name = value.partition("/")
        if value in ("digits", "folder", "none") or (prefix in READERS and slash and name):
            return value
        raise ValueError(
            f"{value!r} is no source of images; write digits, folder, or a data set such as hfds/ILSVRC/imagenet-1k "
            f"(readers: {', '.join(READERS)})"
        )

    @model_validator(mode="after")
    def _check_root(self) -> Images:
        if self.source == "folder" and not self.root:
            raise ValueError("root: source 'folder' needs the folder of the images here")
        if self.train_folder and (self.source != "folder" or self.train_fraction):
            raise ValueError(
                "train_folder: goes with source 'folder', and in place of train_fraction; remove one of them"
            )
        return self

    @property
    def over_network(self) -> bool:
        """Whether reading the images may need a network."""
        return self.source.partition("/")[0] in READERS

    @property
    def id_list(self) -> str | None:
        """File that lists the attack images, if there is one."""
        return self.attack_images if isinstance(self.attack_images, str) and self.attack_images != "all" else None


class Training(Section):
    """How models are trained on the study's training images: those with `weights: train`, and those fine-tuned."""

    fine_tune: bool = False
    """Models with weights of their own (`hub`, or a checkpoint) are trained from these on, with a new classifier for
    the study's classes. Without it they are used as they are."""
    epochs: Count = 10
    """Passes over the training images."""
    batch_size: Annotated[int, Field(ge=2)] = 64
    """Images a step."""
    optimiser: str = "adamw"
    """Name of one of timm's optimisers. Biases and norms do not decay."""
    learning_rate: Annotated[float, Field(gt=0)] = 0.003
    """Highest of the schedule."""
    schedule: Literal["one_cycle", "cosine", "tanh", "step", "poly", "constant"] = "one_cycle"
    """How the learning rate changes from step to step: `one_cycle` is PyTorch's, which warms up by itself; the others
    are timm's."""
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    """The learning rate rises linearly at first; not of `one_cycle`."""
    decay_epochs: Count = 30
    """The learning rate is multiplied by decay_rate after every so many; of `step` alone."""
    decay_rate: Annotated[float, Field(gt=0)] = 0.1
    """Of `step`: the factor; of `poly`: the power."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    """As the optimiser takes it: decoupled in AdamW."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Keeps logits small, so that the attack's gradients do not vanish."""
    clip_gradient: Annotated[float, Field(gt=0)] = 1.0
    """Largest L2 norm of the gradient of one step."""
    noise: Annotated[float, Field(ge=0)] = 0.03
    """Standard deviation of the Gaussian noise on training images, in units of [0, 1]."""
    crop_scale: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Random crops, resized to the canvas, keep at least this share of the image's area; 1 crops nothing."""
    flip: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability that an image is mirrored."""
    auto_augment: str | None = None
    """A policy of timm's, such as rand-m9-mstd0.5-inc1, augmix-m3-w3 or original."""
    random_erasing: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability that a rectangle of an image is filled with the model's mean colour."""
    mixup: Annotated[float, Field(ge=0)] = 0.0
    """Alpha of mixup: batches are blended with themselves; 0 is off."""
    cutmix: Annotated[float, Field(ge=0)] = 0.0
    """Alpha of CutMix: rectangles of other images are pasted in; 0 is off. With mixup as well, each step takes one of
    them."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of features that the classifier drops."""
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Stochastic depth: share of residual branches that are dropped in the last block; less in those before."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the forward pass where PyTorch deems it safe; weights and their updates are float32 in any case."""

    @field_validator("auto_augment")
    @classmethod
    def _check_policy(cls, value: str | None) -> str | None:
        if value is None or re.fullmatch(r"(rand|augmix|original|originalr|v0|v0r)(-[a-z]+[0-9.]*)*", value):
            return value
        raise ValueError(f"{value!r} is none of timm's policies; write one such as rand-m9-mstd0.5-inc1")

    def conflict(self) -> str:
        """What two settings contradict each other in, empty where none do; rows of a table change single ones."""
        if self.warmup_epochs and self.schedule == "one_cycle":
            return "warmup_epochs: the schedule one_cycle warms up by itself; write 0, or schedule: cosine"
        if self.warmup_epochs and self.warmup_epochs >= self.epochs:
            return f"warmup_epochs: {self.warmup_epochs} of {self.epochs} epochs leave none to train in; write fewer"
        if (self.mixup or self.cutmix) and self.batch_size % 2:
            return f"batch_size: {self.batch_size} is odd, and mixup and cutmix blend pairs; write an even number"
        return ""


def grey_levels(value: str | float, most: int | None = 1) -> Fraction:
    """Read a size in pixels of [0, 1], such as "8/255" or 0.1, as grey levels.

    Parameters
    ----------
    value : str or float
        A fraction as text, or a number.
    most : int, optional
        Largest size in pixels; None for a norm over all pixels, which has none.

    Returns
    -------
    Fraction
        The size in grey levels, from 0 on; whole if it is so to four decimals.

    Raises
    ------
    ValueError
        If it is not a number from 0 to the largest.
    """
    try:
        parts = [Fraction(part.strip()) for part in str(value).split("/")]
        unit = parts[0] / parts[1] if len(parts) == 2 else parts[0]
        if len(parts) > 2 or unit < 0 or (most is not None and unit > most):
            raise ValueError
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{value!r} is not a size in [0, 1]; write whole grey levels such as '8/255'") from None
    levels = unit * 255
    # 8/255 written as a decimal number is 8 grey levels all the same.
    whole = Fraction(round(levels))
    return whole if abs(levels - whole) < Fraction(1, 10**4) else levels


_L2_ADVICE = "an L2 norm over all pixels of [0, 1]; write a number such as 3.0 for eps, 0.5 for step at 224 px"


def _l2_size(value: str | float, key: str = "") -> str | float:
    try:
        if grey_levels(value, None) > 0:
            return value
    except ValueError:
        pass
    raise ValueError(f"{key}{value!r} is no size above 0 in L2, {_L2_ADVICE}")


def _nearest_whole(levels: Fraction) -> str:
    low = max(1, levels.numerator // levels.denominator)
    return f"'{low}/255' or '{low + 1}/255'"


class Attack(Section):
    """The attack. What its method does not use is ignored: it changes nothing and reruns nothing."""

    method: Literal["pgd_linf", "pgd_l2", "fgsm", "mi_fgsm", "autoattack"] = "pgd_linf"
    """Within an L-infinity ball: `pgd_linf`, projected gradient descent; `fgsm`, one step of size eps; `mi_fgsm`, with
    momentum; `autoattack`, which keeps what its first success gives, and so may transfer less. Within an L2 ball:
    `pgd_l2`."""
    eps: str | float = "8/255"
    """Radius of the ball in pixels of [0, 1]. L-infinity: whole grey levels of the canvas, written as "8/255". L2: the
    norm over all pixels, such as 3.0 at 224 px."""
    step: str | float = "2/255"
    """Step size, in the unit of eps. From 2 x eps on, every touched pixel is pinned to an end of the L-infinity ball.
    Not of `fgsm` and `autoattack`."""
    steps: Count = 10
    """Number of steps. Not of `fgsm` and `autoattack`."""
    random_start: bool = True
    """Start from a random place within the ball, keyed by seed, image and model. Of `pgd_linf` and `pgd_l2`."""
    momentum: Annotated[float, Field(ge=0)] = 1.0
    """Decay of the gathered gradient. Of `mi_fgsm`."""

    @field_validator("eps")
    @classmethod
    def _check_eps(cls, value: str | float, info: ValidationInfo) -> str | float:
        # A method that is none has been complained of already.
        method = METHODS.get(info.data.get("method", ""))
        if method and method.norm == "l2":
            return _l2_size(value)
        levels = grey_levels(value)
        if levels.denominator != 1:
            raise ValueError(
                f"{value!r} is {float(levels):g} grey levels, not a whole number; write {_nearest_whole(levels)}"
            )
        if not 1 <= levels <= 127:
            raise ValueError(f"{value!r} is {levels} grey levels; 1 to 127 are possible")
        return value

    @model_validator(mode="after")
    def _check_step(self) -> Attack:
        used = ("eps", "step") if "step" in self.traits.settings else ("eps",)
        if self.traits.norm == "l2":
            # 8/255 of every pixel is nothing like 8/255 over all of them.
            if missing := [name for name in used if name not in self.model_fields_set]:
                raise ValueError(f"{missing[0]}: {self.method} needs one of its own, {_L2_ADVICE}")
            if "step" in used:
                _l2_size(self.step, "step: ")
        elif "step" in used:
            levels = grey_levels(self.step)
            if levels <= 0 or (levels.denominator != 1 and levels < 2 * self.eps_levels):
                raise ValueError(
                    f"step: {self.step!r} is {float(levels):g} grey levels, neither a whole number from 1 on nor at "
                    f"least 2 x eps; write {_nearest_whole(levels)}"
                )
        return self

    @property
    def traits(self) -> Method:
        """What is known of the method."""
        return METHODS[self.method]

    @property
    def eps_levels(self) -> int | float:
        """Radius of the ball in grey levels: whole in L-infinity."""
        return int(grey_levels(self.eps)) if self.traits.norm == "linf" else float(grey_levels(self.eps, None))

    @property
    def step_levels(self) -> int | float:
        """Step in grey levels; one that pins is equal to 2 x eps, whatever was written."""
        if self.traits.norm == "l2":
            return float(grey_levels(self.step, None))
        return int(min(grey_levels(self.step), 2 * grey_levels(self.eps)))

    @property
    def params(self) -> dict[str, Any]:
        """Method, eps and those settings that the method uses; sizes in grey levels."""
        settings = {name: getattr(self, name) for name in self.traits.settings}
        if "step" in settings:
            settings["step"] = self.step_levels
        return {"method": self.method, "eps": self.eps_levels, **settings}

    def changed(self, changes: Mapping[str, Any]) -> Attack:
        """The same attack with other settings.

        Parameters
        ----------
        changes : mapping
            Some keys of the section. Sizes of another norm are not taken over.

        Raises
        ------
        ValueError
            If they make no attack.
        """
        kept = self.model_dump()
        method = changes.get("method", self.method)
        if method in METHODS and METHODS[method].norm != self.traits.norm:
            needed = [name for name in ("eps", "step") if name == "eps" or name in METHODS[method].settings]
            if missing := [name for name in needed if name not in changes]:
                raise ValueError(
                    f"{method} is of another norm than the study's {self.method}, so key 'attack.{missing[0]}' has to "
                    "be given: " + (_L2_ADVICE if METHODS[method].norm == "l2" else "whole grey levels such as '8/255'")
                )
            # Of a method that has no step, no step is looked at.
            kept = {name: value for name, value in kept.items() if name not in ("eps", "step")}
        try:
            return Attack.model_validate({**kept, **changes})
        except ValidationError as error:
            raise ValueError(explain(error, "attack").removesuffix(".")) from None


class Variant(Section):
    """The study's models attacked under other settings, or on fewer images."""

    attack: dict[str, str | int | float | bool] = {}
    """Keys of the section `attack` that differ from the study's."""
    attack_images: Count | None = None
    """How many of the study's attack images, from the first on; all by default."""


class Clusters(Section):
    """Spectral clustering of the matrix."""

    k: Annotated[int, Field(ge=2)] = 10
    """Number of clusters."""
    starts: Annotated[int, Field(ge=300)] = 300
    """k-means starts; the one with the least inertia is kept."""


class Importance(Section):
    """Which components matter: gradient boosting on pairs."""

    preset: Literal["default", "paper"] = "default"
    """`default`: scikit-learn's settings; `paper`: 500 stages of depth 12, as recollected, not verified."""
    splits: Annotated[int, Field(ge=30)] = 30
    """Splits by models, for what is predicted of models not seen."""
    permutations: Annotated[int, Field(ge=19)] = 199
    """Fits with components given to other models, for the null band."""


class Ensembles(Section):
    """Models combined by averaging their probabilities."""

    sizes: list[Annotated[int, Field(ge=2, le=10)]] = [2, 3, 4, 5]
    """Members of an ensemble."""
    sets: Count = 500
    """Ensembles of each size: all, or a sample of so many."""


class Distillation(Section):
    """A student that is trained with each teacher and without one, all else being equal."""

    student: str
    """A model of the study with `weights: train`; each of its trainings takes the settings that it has there."""
    teachers: Literal["all"] | list[str] = "all"
    """Models of the study; `all` is every other one in use."""
    kind: Literal["soft", "hard"] = "soft"
    """`soft`: the student learns the teacher's probabilities, softened by the temperature (Hinton et al. 2015); `hard`:
    the class that the teacher gives the highest (DeiT, Touvron et al. 2021)."""
    temperature: Annotated[float, Field(gt=0)] = 3.0
    """Logits of both are divided by it; of `soft` alone."""
    weight: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the loss that is the teacher's; the rest is that of the true labels."""
    seeds: Count = 3
    """Trainings with each teacher, and without one: the k-th of all begin alike and see the images in one order."""


class Resampling(Section):
    """How much rests on the choice of images."""

    replicates: Annotated[int, Field(ge=20)] = 200
    """Draws of the attack images, with replacement, jointly for all models."""
    correlation: Share = 0.95
    """Rank correlation of two halves' matrices for which the number of images is looked up."""


class Tsne(Section):
    """The t-SNE picture of the spectral features."""

    perplexity: Annotated[float, Field(gt=0)] = 30.0
    """Upper bound; (n - 1) / 3 is used where that is less."""


class Compute(Section):
    """Where and how jobs run. Nothing here changes a result by more than float rounding, so nothing reruns."""

    device: Literal["cpu", "cuda"] = "cpu"
    """`cuda` asks for one GPU a job."""
    gpu_request: Literal["gpus", "gres", "none"] | None = None
    """How a cluster is asked for a job's GPU: --gpus=1, --gres=gpu:1, or not at all. By default `gpus` where the device
    is cuda."""
    threads: Count = 1
    """CPU threads of a job that runs models."""
    batch_size: Annotated[int, Field(ge=16, multiple_of=16)] = 128
    """Images that a model sees at once in clean, attack and evaluate: a multiple of 16. Halves by itself where the
    GPU's memory is full."""

    @property
    def request(self) -> str:
        """How a cluster is asked for a GPU."""
        return self.gpu_request or ("gpus" if self.device == "cuda" else "none")

    @property
    def uses_gpu(self) -> bool:
        """Whether jobs that run models take a GPU."""
        return self.device == "cuda" or self.request != "none"


class Config(Section):
    """A study's config file."""

    @model_validator(mode="after")
    def _check_kind(self) -> Config:
        if self.matrix is None and self.components not in ("released", "inferred"):
            raise ValueError(f"components: {self.components!r} is neither released nor inferred")
        if self.matrix is not None and self.variants:
            raise ValueError("variants: a study of a matrix has no attack that could vary; remove them")
        return self

    @field_validator("variants")
    @classmethod
    def _check_variants(cls, value: dict[str, Variant], info: ValidationInfo) -> dict[str, Variant]:
        attack, images = info.data.get("attack"), info.data.get("images")
        for name, variant in value.items():
            if attack:
                try:
                    attack.changed(variant.attack)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
            most = images.attack_images if images else "all"
            if isinstance(most, int) and (variant.attack_images or 0) > most:
                raise ValueError(
                    f"{name}: key 'attack_images': {variant.attack_images} of the study's {most} attack images; write "
                    f"1 to {most}, or raise images.attack_images"
                )
        return value

    study: Name
    """Name of the study: its results live in results/<study>/."""
    models: str | list[str] = []
    """Model table (CSV), or several; paths are relative to this file, or else to the folder of the call."""
    matrix: str | None = None
    """A SAT matrix that is there already (CSV: model names as header and first column). The study then has no models,
    images or attack of its own, and only what follows from a matrix."""
    components: str = "inferred"
    """Which components of the models the analyses compare: `inferred` are the table's own columns; `released` takes
    the columns `released.<component>` over them where they are filled. For a given matrix: a table (CSV) with model
    names as first column."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of everything random in the study."""
    images: Images = Images(source="none")
    training: Training = Training()
    max_published_gap: Annotated[float, Field(ge=0)] = 2.0
    """Models whose accuracy differs from the table's published_top1 by more percentage points are flagged."""
    min_accuracy: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Least accuracy on the evaluation images that a model needs to be attacked."""
    on_low_accuracy: Literal["stop", "flag"] = "stop"
    """A model below min_accuracy stops the run, or is only flagged."""
    attack: Attack = Attack()
    variants: dict[Name, Variant] = {}
    """Ablations by name: all models under other settings of the attack, compared with the study's matrix. Each has its
    own results/<study>/variants/<name>/, and shares everything else."""
    min_whitebox: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Models whose attack fools themselves on a smaller share of images are flagged everywhere."""
    tile_size: Count = 8
    """One evaluate job takes tile_size x tile_size pairs; 1 is a job a pair. A change evaluates all again."""
    eps_s: Annotated[float, Field(gt=0, le=100)] = 0.01
    """Floor of the mean transfer success within the logarithm, in per cent."""
    confidence: Share = 0.95
    """Level of all intervals."""
    clusters: Clusters = Clusters()
    tsne: Tsne = Tsne()
    importance: Importance = Importance()
    groups: list[str] = ["family"]
    """Columns of the model table whose groups are compared with all pairs."""
    compare_to: str | None = None
    """Another study (the folder of its results) of the same images and attack, whose mean over all pairs stands beside
    the groups'; or a SAT matrix (CSV), whose settings are not known."""
    measures: list[str] = ["agreement", "error_consistency", "jensen_shannon", "cka"]
    """Other measures of similarity, beside SAT."""
    ensembles: Ensembles = Ensembles()
    distillation: Distillation | None = None
    """Which teachers a student gains from, and how that goes with SAT; without it nothing is distilled."""
    resampling: Resampling = Resampling()
    reference: str | None = None
    """Another study (the folder of its results), or a SAT matrix (CSV), that this study's matrix is compared with."""
    reference_names: str = "released_name"
    """Column of the model table with the models' names in the reference. A model without one goes by its column
    `same_as`, and without that by its own name."""
    reference_listed: list[str] = []
    """Models whose pairs are also compared apart from the others."""
    compute: Compute = Compute()


def explain(error: ValidationError, section: str = "") -> str:
    """All faults of a pydantic error as one paragraph, each with its key.

    Parameters
    ----------
    error : pydantic.ValidationError
    section : str
        Key of what was validated; the whole file by default.

    Returns
    -------
    str
    """
    faults = []
    for fault in error.errors(include_url=False):
        # Branches of a union end the path with the branch's own name; a reader wants the key alone.
        path = [
            str(part) for part in fault["loc"] if re.fullmatch(r"[A-Za-z0-9_]+", str(part)) and part not in _BRANCHES
        ]
        key = ".".join([section, *path] if section else path) or "the whole file"
        match fault["type"]:
            case "extra_forbidden":
                message = f"unknown key '{key}'; remove it or correct its spelling"
            case "missing":
                message = f"key '{key}' is missing"
            case "value_error":
                message = f"key '{key}': {fault['ctx']['error']}"
            case _:
                message = f"key '{key}': {fault['msg'][0].lower()}{fault['msg'][1:]}, not {fault['input']!r}"
        if message not in faults:
            faults.append(message)
    return "; ".join(faults) + "."


_BRANCHES = {"str", "float", "int", "constrained-int"}


def config_schema() -> dict[str, Any]:
    """JSON schema of a config file, for editors.

    Returns
    -------
    dict
    """
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
