"""A study's config file: typed, validated, with a JSON schema generated from it.

Torch-free and quick to import, because the Snakefile reads it in every job.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, create_model, field_validator, model_validator

from sat.study.attack import AttackSettings, Variant, attack_settings
from sat.study.section import Count, Name, Precision, Section, Share
from sat.study.training import Training
from sat.units import Units, ours

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
    """The short side is resized to floor(canvas / crop_pct), then the centre is cropped."""
    train_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of every class that models with `weights: train` are trained on; the rest are the evaluation images."""
    train_folder: str | None = None
    """Folder within `root` whose images are for training, such as `train`, in place of a share; all others are the
    evaluation images. Of `folder` alone."""
    eval_images: Count | Literal["all"] = "all"
    """How many images are evaluated: a prefix of one stratified permutation of all that are not for training."""
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
            f"{value!r} is not a source of images; write digits, folder, or a data set such as hfds/ILSVRC/imagenet-1k "
            f"(readers: {', '.join(READERS)})"
        )

    @field_validator("root")
    @classmethod
    def _check_path(cls, value: str | None) -> str | None:
        # A reader of data sets hands "pipe:COMMAND" to a shell.
        if value and re.match(r"[A-Za-z][\w+.-]*:", value):
            raise ValueError(f"{value!r} is an address and no path; write the path of a folder or file")
        return value

    @model_validator(mode="after")
    def _check_root(self) -> Images:
        if self.source == "folder" and not self.root:
            raise ValueError("root: source 'folder' needs the folder of the images here")
        if self.train_folder and (self.source != "folder" or self.train_fraction):
            raise ValueError(
                "train_folder: goes with source 'folder', and in place of train_fraction; remove one of them"
            )
        attacked, evaluated = self.attack_images, self.eval_images
        if isinstance(attacked, int) and isinstance(evaluated, int) and attacked > evaluated:
            raise ValueError(
                f"attack_images: {attacked} attack images of {evaluated} evaluation images (eval_images); attack "
                "images are some of the evaluation images, so lower attack_images or raise eval_images"
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


class Evaluation(Section):
    """How models predict: clean images (`clean`), and adversarial ones (`evaluate`)."""

    precision: Precision = "float32"
    """`float32`: in full, on every device. `tf32`: a GPU that has TF32 may use it in convolutions and matrix products;
    any other device computes in float32. `bfloat16`: convolutions and matrix products in bfloat16, on every device. A
    change predicts all images again; as models are attacked on the images that they get right, attacks follow."""

    @property
    def params(self) -> dict[str, str]:
        """The precision if it is not float32."""
        return {} if self.precision == "float32" else {"precision": self.precision}


class Atlas(Section):
    """The page report/atlas.html."""

    example_bytes: Annotated[int, Field(ge=0)] = 4_000_000
    """Largest total size of the adversarial examples that the page holds, in bytes; 0 for none. Examples of every
    model's nearest and farthest other model come first, so a small budget still shows some of every model."""


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
    max_megapixels: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 64
    """Most pixels of an image of the data set, in millions, before and after it is resized for the canvas. A larger one
    stops the run, also with `on_bad_image: skip`. Readers of streams decode images themselves, so for those Pillow's
    own limit of 179 million holds too."""

    @property
    def request(self) -> str:
        """How a cluster is asked for a GPU."""
        return self.gpu_request or ("gpus" if self.device == "cuda" else "none")

    @property
    def uses_gpu(self) -> bool:
        """Whether jobs that run models take a GPU."""
        return self.device == "cuda" or self.request != "none"


class Core(Section):
    """The keys of a config file that the pipeline reads; each analysis adds its own."""

    units: ClassVar[Units]
    """Declarations of the units that it knows."""

    @model_validator(mode="after")
    def _check_kind(self) -> Core:
        if self.matrix is None and self.components not in ("released", "inferred"):
            raise ValueError(f"components: {self.components!r} is neither released nor inferred")
        if self.matrix is not None and self.variants:
            raise ValueError("variants: a study of a matrix has no attack that could vary; remove them")
        return self

    @field_validator("variants")
    @classmethod
    def _check_variants(cls, value: dict[str, Variant], info: ValidationInfo) -> dict[str, Variant]:
        attack, images = info.data.get("attack"), info.data.get("images")
        folders: dict[str, str] = {}
        for name, variant in value.items():
            if (twin := folders.setdefault(name.casefold(), name)) != name:
                raise ValueError(
                    f"{name}: and {twin!r} are one folder on some systems; use names that differ in more than case"
                )
            if attack:
                try:
                    attack.changed(variant.attack)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
            limits = {key: getattr(images, key) for key in ("attack_images", "eval_images")} if images else {}
            key, most = next(((key, count) for key, count in limits.items() if isinstance(count, int)), ("", 0))
            if key and (variant.attack_images or 0) > most:
                raise ValueError(
                    f"{name}: key 'attack_images': {variant.attack_images} of the study's {most} attack images; write "
                    f"1 to {most}, or raise images.{key}"
                )
        return value

    study: Name
    """Name of the study: its results live in results/<study>/."""
    models: str | list[str] = []
    """Model table (CSV), or several; paths are relative to this file, or else to the folder of the call."""
    code: str | list[str] = []
    """Python file, or several, that define nets of one's own, or each an attack, a measure or an analysis, relative to
    this file. The model table names a net `file:function`. They run only where the command says so: --config
    trust_code=true."""
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
    attack: AttackSettings = AttackSettings()
    evaluation: Evaluation = Evaluation()
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
    distillation: Distillation | None = None
    """Which teachers a student gains from, and how that goes with SAT; without it nothing is distilled."""
    atlas: Atlas = Atlas()
    compute: Compute = Compute()


if TYPE_CHECKING:

    class Config(Core):
        """A study's config file: the pipeline's keys, and those of every analysis."""

        def __getattr__(self, name: str) -> Any: ...
else:
    _settings = [unit.settings for unit in ours().analyses.values() if unit.settings]
    Config = create_model("Config", __base__=(*_settings, Core), __doc__="A study's config file.")
    Config.units = ours()


def config_type(known: Units) -> type[Config]:
    """Make the config of a study with units of its own; `Config` itself for a study without.

    Parameters
    ----------
    known : Units
        The units of the study.

    Raises
    ------
    TypeError
        If the attacks' keys do not fit into one section; see `sat.study.attack.own_fields`.
    """
    if known is ours():
        return Config
    entries = [entry.split("/") for entry in known.code]
    own: list[Any] = [known.analyses[name].settings for kind, name in entries if kind == "analyses"]
    attack = attack_settings(known.attacks)
    made: type[Config] = create_model("Config", __base__=(*filter(None, own), Config), attack=(attack, attack()))
    made.units = known
    return made


def config_schema() -> dict[str, Any]:
    """JSON schema of a config file, for editors.

    Returns
    -------
    dict
    """
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
