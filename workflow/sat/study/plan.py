"""The plan: every artefact of a study, with the step that makes it and the artefacts that it is made from.

Rules hand the step of an artefact to its command. The command records the step in the artefact's
sidecar. Readers and ``sat verify`` compare it with the plan. So a single place says what an artefact
is made from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from typing import Any, TypeAlias

from sat.errors import SatError
from sat.statistics.published import MARGIN, STANDARD_ERRORS
from sat.store.step import ALONE, Step, group_recipe
from sat.study.attack import AttackSettings
from sat.study.lock import raised
from sat.study.lock import versions as locked_versions
from sat.study.spelling import did_you_mean
from sat.study.study import Study
from sat.study.table import Model
from sat.study.tiles import cut_landmarks, cut_tiles
from sat.units.analysis import Analysis
from sat.units.chart import as_json

SIMILARITY = ("pairs.parquet", "sat.csv", "affinity.csv", "most_similar.csv", "models.csv")
"""Files that a study and each of its variants have under similarity/."""
ESTIMATE = ("sat.csv", "affinity.csv", "estimated.csv", "landmarks.csv")
"""Files under similarity/ that are estimated where a study has landmarks; the last two are there only then."""
GRADIENT_IMAGES = 512
"""Largest number of attack images whose gradients are compared."""
FACTS: Mapping[str, Callable[[Study], Any]] = {
    "families": lambda study: {name: study.model[name].family for name in study.used},
    "components": lambda study: study.components,
    "columns": lambda study: study.columns,
}
"""What an analysis may ask for beside keys of the config file: the family of every model in use, its components, and
all that is known of it by column."""
DATA_SET = {"root": "images.root", "class_map": "images.class_map"}
"""Arguments of the commands that read the data set, and the corresponding keys of `Study.files`."""


@dataclass(frozen=True)
class Artefact:
    """A file of a study's results. Its sidecar has the path + ".json"; a .json file is its own sidecar."""

    path: str
    """Path relative to results/<study>/."""
    step: Step
    """The step that makes it."""
    job: str
    """Name of the job that makes it. The job's log is logs/<job>.log, its benchmark benchmarks/<job>.tsv."""
    inputs: Inputs = field(default_factory=dict)
    """Artefacts that it is made from, by the names of the step's inputs; a group is a sequence."""
    wildcards: Mapping[str, str] = field(default_factory=dict)
    """Values of the wildcards of its rule: model, split, target and source, teacher and seed."""
    variant: str = ""
    """Name of the variant that it belongs to; empty for the study itself."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The user's own files that its command reads: keys of `Study.files`, by the command's arguments."""

    @property
    def json(self) -> str:
        """The step as rules hand it to a command."""
        return self.step.json

    @property
    def model(self) -> str:
        """Name of the model that it belongs to; empty if it belongs to several."""
        return self.wildcards.get("model", "")


Inputs: TypeAlias = Mapping[str, Artefact | Sequence[Artefact]]


def variant_folder(variant: str) -> str:
    """Folder of a variant's artefacts, relative to the study's: `variants/<name>/`, or nothing for the study itself."""
    return f"variants/{variant}/" if variant else ""


class Plan:
    """The artefacts of a study.

    Parameters
    ----------
    study : Study
    digests : mapping of str to str, optional
        SHA-256 of each of the user's own files (`Study.files`), from `sat.store.user_files.register`.
    versions : mapping of str to int, optional
        Versions of the stages, attacks and measures; those of the lock by default. What is missing has version 1.
    """

    def __init__(
        self, study: Study, digests: Mapping[str, str] | None = None, versions: Mapping[str, int] | None = None
    ) -> None:
        self.study = study
        self.config = study.config
        self.digests = digests or {}
        self.versions = versions or locked_versions()
        # Each model's place, whether its tile still holds it or not. A study that starts from a matrix has no tiles.
        self.tiles = {} if self.config.matrix else cut_tiles(study.models, self.config.tile_size)
        # Landmarks are in tiles of their own too. Only these are tried against other tiles then.
        self.landmark_tiles = {} if self.config.matrix else cut_landmarks(study.models, self.config.tile_size)
        self.blocks = self.tiles | self.landmark_tiles
        # The results are cached, since each is used many times: a thousand models have a million pairs.
        self.weights, self.pretrained = cache(self._weights), cache(self._pretrained)
        self.images, self.clean = cache(self._images), cache(self._clean)
        self.gradients = cache(self._gradients)
        self.adversarial, self.tile = cache(self._adversarial), cache(self._tile)
        self.members = cache(self._members)
        self.similarity, self.analysis = cache(self._similarity), cache(self._analysis)
        self.pages, self.crate = cache(self._pages), cache(self._crate)

    def _made(
        self,
        path: str,
        job: str,
        stage: str,
        params: Mapping[str, Any],
        inputs: Inputs | None = None,
        variant: str = "",
        files: Mapping[str, str] | None = None,
        **wildcards: str,
    ) -> Artefact:
        """Make the artefact at a path, with the step that follows from its inputs."""
        inputs = inputs or {}
        recipes = {
            name: given.step.recipe
            if isinstance(given, Artefact)
            else group_recipe(artefact.step.recipe for artefact in given)
            for name, given in inputs.items()
        }
        step = Step(stage, self.versions.get(stage, 1), params, recipes)
        return Artefact(path, step, job, inputs, wildcards, variant, files or {})

    def raised(self, kind: str, names: Sequence[str]) -> dict[str, Any]:
        """Make the params that say which code units have.

        Those of ours that have changed since their first version have `versions` (see `sat.study.lock.raised`), and
        those of the study's own have the digests of their code files, under `units`.
        """
        code = self.study.units.code
        own = {entry: code[entry] for name in names if (entry := f"{kind}/{name}") in code}
        return raised(self.versions, kind, names) | ({"units": own} if own else {})

    def describe(self) -> Artefact:
        """study.json."""
        # The section `compute` is left out: how jobs run changes no result, and their sidecars record it.
        # The section `atlas` is recorded by the examples' own step.
        params = json.loads(self.study.model_dump_json(exclude={"config": {"compute", "atlas"}}))
        # A study that does not use a newer key is described as before there was one.
        if self.config.images.eval_images == "all":
            del params["config"]["images"]["eval_images"]
        for row in params["models"]:
            if row["landmark"] is None:
                del row["landmark"]
        if self.config.attack.precision == "float32":
            del params["config"]["attack"]["precision"]
        if not self.config.evaluation.params:
            del params["config"]["evaluation"]
        return self._made("study.json", "study/study", "study", params)

    @cached_property
    def matrix(self) -> tuple[Artefact, ...]:
        """similarity/sat.csv and affinity.csv of a study that starts from a matrix."""
        params = {"sha256": self.digests.get("matrix"), "models": list(self.study.used)}
        sat = self._made("similarity/sat.csv", "similarity/matrix", "matrix", params, files={"matrix": "matrix"})
        return sat, replace(sat, path="similarity/affinity.csv")

    @cached_property
    def manifest(self) -> Artefact:
        """images/manifest.csv."""
        images = self.config.images
        params: dict[str, Any] = {"source": images.source}
        if images.over_network:
            params["split"] = images.split
        if images.class_map:
            params["class_map"] = self.digests.get("images.class_map")
        return self._made("images/manifest.csv", "images/manifest", "manifest", params, files=DATA_SET)

    def _images(self, split: str) -> Artefact:
        """images/<split>.h5, for train, eval and attack."""
        images = self.config.images
        params = images.model_dump(include={"source", "canvas", "crop_pct", "train_fraction", "on_bad_image"})
        params |= {"split": split, "seed": self.config.seed}
        if images.over_network:
            params["data_split"] = images.split
        if images.train_folder:
            params["train_folder"] = images.train_folder
        if split == "attack":
            params["attack_images"] = (
                {"list": self.digests.get("images.attack_images")} if images.id_list else images.attack_images
            )
        # A number of attack images does not depend on how many more are evaluated.
        chosen = split == "eval" or (split == "attack" and not isinstance(images.attack_images, int))
        if chosen and images.eval_images != "all":
            params["eval_images"] = images.eval_images
        files = {**DATA_SET, **({"list": "images.attack_images"} if split == "attack" else {})}
        path, inputs = f"images/{split}.h5", {"manifest": self.manifest}
        return self._made(path, f"images/{split}", "images", params, inputs, files=files, split=split)

    def _weights(self, model: str) -> Artefact:
        """weights/<model>.safetensors: trained, fine-tuned, from the hub, or from the user's checkpoint."""
        if not self.study.trained(model):
            return self.pretrained(model)
        settings = self.study.training(model).model_dump(exclude={"fine_tune"})
        inputs = {"images": self.images("train")}
        if self.study.fine_tuned(model):
            inputs["pretrained"] = self.pretrained(model)
        params = {**self._net(model), "seed": self.config.seed, **settings}
        place = f"weights/{model}"
        return self._made(f"{place}.safetensors", place, "train", params, inputs, model=model)

    def _pretrained(self, model: str) -> Artefact:
        """The weights that a model is fine-tuned from: pretrained/<model>.safetensors."""
        row, place = self.study.model[model], self.place(model)
        params, files = self._net(model), {}
        if row.source == "hub":
            params["revision"] = row.revision
        elif row.source == "checkpoint":
            params["sha256"] = self.digests.get(model)
            if row.ema:
                params["ema"] = True
            files["checkpoint"] = model
        # A net of one's own has the study's classes, unless its row says another number.
        inputs = {"manifest": self.manifest} if "code" in params and not row.classes else {}
        return self._made(f"{place}.safetensors", place, row.source, params, inputs, files=files, model=model)

    def _net(self, model: str) -> dict[str, Any]:
        return {"model": model, **self.study.net(model)}

    def place(self, model: str) -> str:
        """Place of weights from the hub or a checkpoint; it is `pretrained/<model>` if the model is fine-tuned."""
        return f"{'pretrained' if self.study.fine_tuned(model) else 'weights'}/{model}"

    def given(self, source: str) -> list[str]:
        """List the places of all weights from a source: `hub`, `checkpoint` or `code`."""
        return [self.place(name) for name in self.needed if self.study.model[name].source == source]

    def _clean(self, model: str) -> Artefact:
        """clean/<model>.h5."""
        inputs = {
            "weights": self.weights(model),
            "attack_images": self.images("attack"),
            "eval_images": self.images("eval"),
        }
        params = {"model": model, **self.config.evaluation.params}
        return self._made(f"clean/{model}.h5", f"clean/{model}", "clean", params, inputs, model=model)

    def _gradients(self, model: str) -> Artefact:
        """gradients/<model>.h5."""
        params = {"model": model, "images": GRADIENT_IMAGES, "seed": self.config.seed}
        inputs = {"weights": self.weights(model), "images": self.images("attack")}
        path, job = f"gradients/{model}.h5", f"gradients/{model}"
        return self._made(path, job, "gradients", params, inputs, model=model)

    @property
    def compares_gradients(self) -> bool:
        """Whether the study asks for a measure that needs gradients."""
        declared = self.study.units.measures
        return any(declared[name].needs == "gradient" for name in self.config.measures)

    def gate(self, model: str) -> Artefact:
        """clean/<model>.gate.json."""
        params = {"model": model, **self.config.model_dump(include={"min_accuracy", "on_low_accuracy"})}
        inputs = {"clean": self.clean(model)}
        return self._made(f"clean/{model}.gate.json", f"gate/{model}", "gate", params, inputs, model=model)

    def attack(self, variant: str = "") -> AttackSettings:
        """The attack of the study, or of one of its variants."""
        attack = self.config.attack
        return attack.changed(self.config.variants[variant].attack) if variant else attack

    def attacks_anew(self, variant: str) -> bool:
        """Whether a variant has adversarial sets and tiles of its own. With only fewer images, it uses the study's."""
        return self.attack(variant).params != self.attack().params

    def _adversarial(self, model: str, variant: str = "") -> Artefact:
        """adversarial/<model>.h5 of the study, or of one of its variants."""
        attack, folder = self.attack(variant), variant_folder(variant)
        params = {"model": model, **attack.params}
        params |= self.raised("attacks", [attack.method])
        if attack.declaration.seeded:
            params["seed"] = self.config.seed
        if variant and (count := self.config.variants[variant].attack_images):
            params["attack_images"] = count
        inputs = {"weights": self.weights(model), "images": self.images("attack"), "clean": self.clean(model)}
        path, job = f"{folder}adversarial/{model}.h5", f"{folder}attack/{model}"
        return self._made(path, job, "attack", params, inputs, variant, model=model)

    def _members(self, tile: str, variant: str = "") -> tuple[str, ...]:
        """Models that a tile of the study, or of one of its variants, holds.

        A retired model stays, so that the tile is not made again, until its adversarial set would be another than the
        one that it was retired with. A set's recipe does not depend on any tile.
        """

        def holds(row: Model) -> bool:
            return row.use or not row.retired or self.adversarial(row.model, variant).step.recipe in row.retired

        return tuple(name for name in self.blocks[tile] if holds(self.study.model[name]))

    def _tile(self, target: str, source: str, variant: str = "") -> Artefact:
        """tiles/<target tile>/<source tile>.h5 of the study, or of one of its variants."""
        targets, sources = self.members(target, variant), self.members(source, variant)
        folder = variant_folder(variant)
        params: dict[str, Any] = {"targets": list(targets), "sources": list(sources), **self.config.evaluation.params}
        if target == source:
            # Every target is on the diagonal once, so its errors under noise are evaluated there.
            attack = self.attack(variant)
            params["noise"] = {"eps": attack.eps_levels, "seed": self.config.seed}
            if attack.declaration.norm != "linf":
                params["noise"]["norm"] = attack.declaration.norm
            if self.landmark_tiles:
                params["diagonal"] = True
        inputs: Inputs = {
            "images": self.images("attack"),
            "weights": [self.weights(model) for model in targets],
            "adversarial": [self.adversarial(model, variant) for model in sources],
        }
        path, job = f"{folder}tiles/{target}/{source}.h5", f"{folder}evaluate/{target}/{source}"
        return self._made(path, job, "evaluate", params, inputs, variant, target=target, source=source)

    @cached_property
    def used_tiles(self) -> tuple[tuple[str, str], ...]:
        """Pairs (target tile, source tile) of all tiles that hold a pair of models in use.

        Where a study has landmarks, a tile of models is tried against those of landmarks in both directions. Of its
        own models, only each against itself is tried.
        """
        used, landmarks = (
            [name for name, models in tiles.items() if any(self.study.model[model].use for model in models)]
            for tiles in (self.tiles, self.landmark_tiles)
        )
        if not self.landmark_tiles:
            return tuple((target, source) for target in used for source in used)
        across = [(name, landmark) for name in used for landmark in landmarks]
        return (*((name, name) for name in used), *across, *((landmark, name) for name, landmark in across))

    def tile_of(self, target: str, source: str) -> tuple[str, str] | None:
        """Target tile and source tile in which a pair of models is measured; None if it is estimated."""
        own, landmark = self._places
        if not landmark or target == source:
            return own[target], own[source]
        if source in landmark:
            return own[target], landmark[source]
        return (landmark[target], own[source]) if target in landmark else None

    @cached_property
    def _places(self) -> tuple[dict[str, str], dict[str, str]]:
        """Tile of each model, and tile of landmarks of each landmark in use."""
        own, landmark = (
            {name: tile for tile, names in tiles.items() for name in names}
            for tiles in (self.tiles, self.landmark_tiles)
        )
        return own, {name: tile for name, tile in landmark.items() if self.study.model[name].use}

    @cached_property
    def attacked(self) -> dict[str, tuple[str, ...]]:
        """Models that the tiles in use hold, sorted, by the variant with an attack of its own; the study's is ''."""
        tiles = {tile for tile, _ in self.used_tiles}
        return {
            variant: tuple(sorted(model for tile in tiles for model in self.members(tile, variant)))
            for variant in ("", *filter(self.attacks_anew, self.config.variants))
        }

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """Models that are attacked, sorted, those included that are retired and that a tile still holds."""
        return tuple(sorted(set().union(*self.attacked.values())))

    def _similarity(self, variant: str = "") -> tuple[Artefact, ...]:
        """All files under similarity/ of the study, or of one of its variants, in the order of `similarity_files`."""
        rows = [self.study.model[name] for name in self.study.used]
        params = {
            "models": {row.model: row.family for row in rows},
            **self.config.model_dump(include={"eps_s", "min_whitebox", "confidence"}),
        }
        # Published accuracies do not apply to fine-tuned models, since they are for other images.
        published = {
            row.model: row.published_top1 for row in rows if row.published_top1 and not self.study.trained(row.model)
        }
        if published:
            params |= {"published_top1": published, "max_published_gap": self.config.max_published_gap}
            params["above_published"] = {"margin": MARGIN, "errors": STANDARD_ERRORS}
        if variant and (count := self.config.variants[variant].attack_images):
            params["attack_images"] = count
        inputs: Inputs = {
            "images": self.images("attack"),
            "clean": [self.clean(model) for model in self.study.used],
            "tiles": self.used_tiles_of(variant),
        }
        folder = f"{variant_folder(variant)}similarity"
        first = self._made(f"{folder}/{SIMILARITY[0]}", f"{folder}/similarity", "similarity", params, inputs, variant)
        makers = dict.fromkeys(self.similarity_files, first)
        if self.landmark_tiles:
            params = {"models": params["models"], "landmarks": list(self.study.landmarks)}
            params |= self.config.model_dump(include={"eps_s", "confidence"})
            place = f"{folder}/estimate"
            estimate = self._made(f"{folder}/{ESTIMATE[0]}", place, "estimate", params, {"pairs": first}, variant)
            makers |= dict.fromkeys(ESTIMATE, estimate)
        return tuple(replace(made, path=f"{folder}/{name}") for name, made in makers.items())

    @property
    def similarity_files(self) -> tuple[str, ...]:
        """Names of the files that the study and each of its variants have under similarity/."""
        return tuple(dict.fromkeys((*SIMILARITY, *(ESTIMATE if self.landmark_tiles else ()))))

    def used_tiles_of(self, variant: str) -> list[Artefact]:
        """The tiles with a variant's pairs: its own, or those of the study if the variant has no attack of its own."""
        attacked = variant if variant and self.attacks_anew(variant) else ""
        return [self.tile(*pair, attacked) for pair in self.used_tiles]

    @property
    def n_pairs(self) -> int:
        """Number of ordered pairs of models in use that are measured, each model with itself included."""
        used = len(self.study.used)
        others = used - len(self.study.landmarks) if self.study.landmarks else 0
        # Two models that are not landmarks are not measured against each other.
        return used**2 - others * (others - 1)

    @property
    def students(self) -> tuple[tuple[str, int], ...]:
        """Pairs (teacher, seed) of all students trained for `distillation`; students without a teacher come first."""
        asked = self.config.distillation
        return (
            tuple((teacher, seed) for teacher in (ALONE, *self.study.teachers) for seed in range(asked.seeds))
            if asked
            else ()
        )

    def distilled(self, teacher: str, seed: int) -> Artefact:
        """distilled/<teacher>/<seed>.safetensors."""
        asked = self.config.distillation
        assert asked, "asked for where there is something to distil"
        own = self.weights(asked.student).step
        # A student does not depend on the number of seeds. Without a teacher, it does not depend on the distillation.
        params = {**{name: value for name, value in own.params.items() if name != "model"}, "student": asked.student}
        params |= {"replicate": seed}
        inputs = {"train_images": self.images("train"), "eval_images": self.images("eval")}
        if teacher != ALONE:
            how = {"kind", "weight"} | ({"temperature"} if asked.kind == "soft" else set())
            params |= {**asked.model_dump(include=how), "teacher": teacher}
            inputs["teacher"] = self.weights(teacher)
        place = f"distilled/{teacher}/{seed}"
        return self._made(f"{place}.safetensors", place, "distil", params, inputs, teacher=teacher, seed=str(seed))

    @cached_property
    def analyses(self) -> dict[str, Analysis]:
        """The analyses of this study, by name: those that it wants and whose inputs it has, each after its inputs."""
        declared = self.study.units.analyses
        makers = {path: name for name, unit in declared.items() for path in unit.outputs}
        found: dict[str, Analysis] = {}

        def add(name: str, *waiting: str) -> bool:
            unit = declared[name]
            if name in waiting:
                raise SatError(f"analysis {name!r}: needs itself, by way of {', '.join(waiting)}.")
            if name not in found and unit.wanted(self.study) and (unit.estimates or not self.landmark_tiles):
                needed = [path for key, path in unit.inputs.items() if key not in unit.optional]
                if all(add(makers[path], name, *waiting) if path in makers else self._has(path) for path in needed):
                    found[name] = unit
            return name in found

        for name in declared:
            add(name)
        return found

    @cached_property
    def _makers(self) -> dict[str, str]:
        return {path: name for name, unit in self.analyses.items() for path in unit.outputs}

    def _analysis(self, name: str) -> tuple[Artefact, ...]:
        """All files of an analysis."""
        unit = self.analyses[name]
        inputs: dict[str, Artefact | Sequence[Artefact]] = {}
        for key, path in self.inputs_of(name).items():
            found = self.find(path)
            inputs[key] = found if "{" in path else found[0]
        first, *others = unit.outputs
        files = {key: key for key in unit.files}
        params = {**self.params_of(name), **self.raised("analyses", [name])}
        made = self._made(first, f"{unit.folder}/{name}", name, params, inputs, files=files)
        return (made, *(replace(made, path=path) for path in others))

    def params_of(self, name: str) -> Mapping[str, Any]:
        """What an analysis gets as keywords.

        Raises
        ------
        SatError
            If its declaration names what no study has.
        """
        unit = self.analyses[name]
        if callable(unit.params):
            return unit.params(self)
        config = self.config.model_dump(mode="json")
        found = {}
        for key in (*(unit.settings.model_fields if unit.settings else ()), *unit.params):
            if key not in FACTS and key not in config:
                those = did_you_mean(key, (*FACTS, *config), f"write keys of the config file, or {', '.join(FACTS)}")
                raise SatError(f"analysis {name!r}: params name {key!r}, which no study has; {those}")
            found[key] = FACTS[key](self.study) if key in FACTS else config[key]
        return found

    def inputs_of(self, name: str) -> dict[str, str]:
        """Those of an analysis's declared inputs that this study has; no step is computed."""
        declared = self.analyses[name].inputs
        return {key: path for key, path in declared.items() if path in self._makers or self._has(path)}

    def _has(self, path: str) -> bool:
        return self._group(path) is not list

    def find(self, path: str) -> list[Artefact]:
        """Find artefacts as the declaration of an analysis names them.

        Parameters
        ----------
        path : str
            Path below results/<study>/. A path with wildcards stands for a group: ``clean/{model}.h5`` for those of all
            models in use, ``{variant}similarity/sat.csv`` for those of the study and its variants.

        Returns
        -------
        list of Artefact
            Artefacts in the order in which a command gets them; empty if the study has none.

        Raises
        ------
        SatError
            If there is no such artefact in any study.
        """
        if path in self._makers:
            return [artefact for artefact in self.analysis(self._makers[path]) if artefact.path == path]
        return list(self._group(path)())

    def _group(self, path: str) -> Callable[[], Iterable[Artefact]]:
        if path not in self._groups:
            # An analysis that this study does not have.
            if any(path in unit.outputs for unit in self.study.units.analyses.values()):
                return list
            raise SatError(f"{path}: no study has such a result; there are {', '.join(sorted(self._groups))}.")
        return self._groups[path]

    @cached_property
    def _groups(self) -> dict[str, Callable[[], Iterable[Artefact]]]:
        """Functions that find the artefacts of the pipeline that analyses may ask for; `list` if the study has none."""
        used, variants = self.study.used, ("", *self.config.variants)
        groups: dict[str, Callable[[], Iterable[Artefact]]] = {
            "images/eval.h5": lambda: [self.images("eval")],
            "images/attack.h5": lambda: [self.images("attack")],
            "weights/{model}.safetensors": lambda: map(self.weights, used),
            "clean/{model}.h5": lambda: map(self.clean, used),
            "gradients/{model}.h5": (lambda: map(self.gradients, used)) if self.compares_gradients else list,
            "adversarial/{model}.h5": lambda: map(self.adversarial, used),
            # Analyses take every pair from the tiles, so those of a study with landmarks are none to them.
            "tiles/{target}/{source}.h5": list if self.landmark_tiles else lambda: self.used_tiles_of(""),
            "distilled/{teacher}/{seed}.safetensors": lambda: [self.distilled(*student) for student in self.students],
        }
        for name in ESTIMATE:
            groups[f"similarity/{name}"] = groups[f"{{variant}}similarity/{name}"] = list
        for number, name in enumerate(self.similarity_files):
            groups[f"similarity/{name}"] = partial(self._numbered, number, [""])
            groups[f"{{variant}}similarity/{name}"] = partial(self._numbered, number, variants)
        if not self.config.matrix:
            return groups
        given: dict[str, Callable[[], Iterable[Artefact]]] = {
            artefact.path: partial(list, [artefact]) for artefact in self.matrix
        }
        return {**dict.fromkeys(groups, list), **given}

    def _numbered(self, number: int, variants: Iterable[str]) -> list[Artefact]:
        return [self.similarity(variant)[number] for variant in variants]

    def _pipeline(self) -> Iterator[Artefact]:
        yield self.describe()
        if self.config.matrix:
            yield from self.matrix
            return
        yield self.manifest
        trained = any(self.study.trained(model) for model in self.needed)
        yield from map(self.images, ("train", "eval", "attack") if trained else ("eval", "attack"))
        for model in self.needed:
            if self.study.fine_tuned(model):
                yield self.pretrained(model)
            yield self.weights(model)
            yield self.clean(model)
            yield self.gate(model)
            if model in self.attacked[""]:
                yield self.adversarial(model)
        yield from self.used_tiles_of("")
        yield from self.similarity("")
        for variant in self.config.variants:
            if self.attacks_anew(variant):
                for model in self.attacked[variant]:
                    yield self.adversarial(model, variant)
                yield from self.used_tiles_of(variant)
            yield from self.similarity(variant)
        if self.compares_gradients:
            yield from map(self.gradients, self.study.used)
        for student in self.students:
            yield self.distilled(*student)

    def artefacts(self) -> dict[str, Artefact]:
        """Every artefact of the study.

        Returns
        -------
        dict of str to Artefact
            Artefacts by path, in the order of the flow.
        """
        return self._artefacts

    @cached_property
    def _artefacts(self) -> dict[str, Artefact]:
        return {
            artefact.path: artefact for artefact in (*self._pipeline(), *self.answers(), *self.pages(), *self.crate())
        }

    def jobs(self) -> dict[str, list[Artefact]]:
        """Group the artefacts by the name of the job that makes them, in the order of the flow.

        Returns
        -------
        dict of str to list of Artefact
        """
        return self._jobs

    @cached_property
    def _jobs(self) -> dict[str, list[Artefact]]:
        found: dict[str, list[Artefact]] = {}
        for artefact in self.artefacts().values():
            found.setdefault(artefact.job, []).append(artefact)
        return found

    @property
    def has_examples(self) -> bool:
        """Whether the study has adversarial images, and its page shows some."""
        return not self.config.matrix and self.config.atlas.example_bytes > 0

    def _pages(self) -> tuple[Artefact, ...]:
        """The adversarial examples, if the study has any, and the pages, which nothing is made from."""
        shown: list[Artefact] = []
        if self.has_examples:
            used = self.study.used
            inputs: Inputs = {
                "sat": self.similarity()[SIMILARITY.index("sat.csv")],
                "manifest": self.manifest,
                "attack_images": self.images("attack"),
                "eval_images": self.images("eval"),
                "clean": [self.clean(model) for model in used],
                "adversarial": [self.adversarial(model) for model in used],
                "tiles": self.used_tiles_of(""),
            }
            params = {"models": list(used), "bytes": self.config.atlas.example_bytes}
            shown = [self._made("report/examples.parquet", "report/examples", "examples", params, inputs)]
        tables = [*(self.matrix if self.config.matrix else self.similarity()), *self.answers()]
        inputs = {"study": self.describe(), "tables": tables, **({"examples": shown[0]} if shown else {})}
        shown_of = [(path, place) for unit in self.analyses.values() for path, place in unit.outputs.items() if place]
        params = {
            "columns": self.study.columns,
            "shown": {path: [place.section, place.title] for path, place in shown_of},
            "charts": {name: as_json(one) for unit in self.analyses.values() for name, one in unit.charts.items()},
        }
        atlas = self._made("report/atlas.html", "report/atlas", "atlas", params, inputs)
        return (*shown, atlas, replace(atlas, path="report/landing.rst"))

    @property
    def gates(self) -> list[Artefact]:
        """The gates of all models; a study that starts from a matrix has none."""
        return [] if self.config.matrix else [self.gate(model) for model in self.needed]

    def _crate(self) -> tuple[Artefact, ...]:
        """The RO-Crate, and its copy of the Snakefile. The pages were made from everything but the gates."""
        inputs: Inputs = {"pages": self.pages()[-2:], "gates": self.gates}
        crate = self._made("provenance/ro-crate-metadata.json", "provenance/crate", "crate", {}, inputs)
        return crate, replace(crate, path="provenance/Snakefile")

    def answers(self) -> list[Artefact]:
        """The artefacts that analyses make, which are the purpose of a study."""
        return [artefact for name in self.analyses for artefact in self.analysis(name)]
