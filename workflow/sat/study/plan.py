"""The plan: every artefact of a study, and what exactly must have made it.

Rules hand the step of an artefact to its command, the command records it in the artefact's
sidecar, readers and ``sat verify`` compare. So there is one place that says what an artefact is
made of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from typing import Any

from sat import units
from sat.errors import SatError
from sat.store.step import ALONE, Step, group_recipe
from sat.study.attack import Attack
from sat.study.lock import stage_versions
from sat.study.study import Study
from sat.study.tiles import cut_tiles
from sat.units.analysis import Analysis

SIMILARITY = ("pairs.parquet", "sat.csv", "most_similar.csv", "models.csv")
"""What a study and each of its variants have under similarity/."""


@dataclass(frozen=True)
class Artefact:
    """A file of a study's results, with its sidecar: the path + ".json"; a .json file is its own."""

    path: str
    """Relative to results/<study>/."""
    step: Step
    """What makes it."""
    job: str
    """Name of the job that makes it: its log is logs/<job>.log, its benchmark benchmarks/<job>.tsv."""
    wildcards: Mapping[str, str] = field(default_factory=dict)
    """What its rule calls the parts of its path: model, split, target and source, teacher and seed."""
    variant: str = ""
    """Name of the variant that it belongs to; empty for the study itself."""

    @property
    def model(self) -> str:
        """The model that it belongs to; empty where it is of several."""
        return self.wildcards.get("model", "")


def variant_folder(variant: str) -> str:
    """Where a variant's artefacts lie, relative to the study's: `variants/<name>/`, or nothing for the study itself."""
    return f"variants/{variant}/" if variant else ""


class Plan:
    """The steps of a study.

    Parameters
    ----------
    study : Study
    digests : mapping of str to str, optional
        SHA-256 of each of the user's own files (`Study.files`), from `sat.store.user_files.register`.
    versions : mapping of str to int, optional
        Versions of the stages; those of the lock by default.
    """

    def __init__(
        self, study: Study, digests: Mapping[str, str] | None = None, versions: Mapping[str, int] | None = None
    ) -> None:
        self.study = study
        self.config = study.config
        self.digests = digests or {}
        self.versions = versions or stage_versions()
        # A matrix that is there already has no tiles.
        self.tiles = {} if self.config.matrix else cut_tiles(study.models, self.config.tile_size)
        # Each step is asked for many times; a thousand models have a million pairs.
        self.weights, self.pretrained = cache(self._weights), cache(self._pretrained)
        self.adversarial = cache(self._adversarial)
        self.tile = cache(self._tile)
        self.similarity_of = cache(self._similarity_of)
        self.images = cache(self._images)
        self.clean = cache(self._clean)
        self.analysis = cache(self._analysis)

    def _step(self, stage: str, params: Mapping[str, Any], **inputs: Step | list[Step]) -> Step:
        recipes = {
            name: group_recipe(step.recipe for step in given) if isinstance(given, list) else given.recipe
            for name, given in inputs.items()
        }
        return Step(stage, self.versions[stage], params, recipes)

    def describe(self) -> Step:
        """study.json."""
        # How jobs run changes no result, and their sidecars record it.
        return self._step("study", json.loads(self.study.model_dump_json(exclude={"config": {"compute"}})))

    @cached_property
    def matrix(self) -> Step:
        """similarity/sat.csv of a study of a matrix."""
        return self._step("matrix", {"sha256": self.digests.get("matrix"), "models": list(self.study.used)})

    @property
    def sat(self) -> Step:
        """similarity/sat.csv, computed or given."""
        return self.matrix if self.config.matrix else self.similarity

    @cached_property
    def manifest(self) -> Step:
        """images/manifest.csv."""
        images = self.config.images
        params: dict[str, Any] = {"source": images.source}
        if images.over_network:
            params["split"] = images.split
        if images.class_map:
            params["class_map"] = self.digests.get("images.class_map")
        return self._step("manifest", params)

    def _images(self, split: str) -> Step:
        """images/<split>.h5, for train, eval and attack."""
        images = self.config.images
        params = images.model_dump(include={"source", "canvas", "crop_pct", "train_fraction", "on_bad_image"})
        if images.over_network:
            params["data_split"] = images.split
        if images.train_folder:
            params["train_folder"] = images.train_folder
        if split == "attack":
            params["attack_images"] = (
                {"list": self.digests.get("images.attack_images")} if images.id_list else images.attack_images
            )
        return self._step("images", {"split": split, "seed": self.config.seed, **params}, manifest=self.manifest)

    def _weights(self, model: str) -> Step:
        """weights/<model>.safetensors: trained, fine-tuned, from the hub, or from the user's checkpoint."""
        if not self.study.trained(model):
            return self.pretrained(model)
        settings = self.study.training(model).model_dump(exclude={"fine_tune"})
        inputs = {"images": self.images("train")}
        if self.study.fine_tuned(model):
            inputs["pretrained"] = self.pretrained(model)
        return self._step("train", {**self._net(model), "seed": self.config.seed, **settings}, **inputs)

    def _pretrained(self, model: str) -> Step:
        """Weights as somebody else has trained them: pretrained/<model>.safetensors of a model that is fine-tuned."""
        row = self.study.model[model]
        if row.source == "hub":
            return self._step("hub", {**self._net(model), "revision": row.revision})
        return self._step("checkpoint", {**self._net(model), "sha256": self.digests.get(model)})

    def _net(self, model: str) -> dict[str, Any]:
        row = self.study.model[model]
        params: dict[str, Any] = {"model": model, "architecture": row.architecture, "input_size": row.input_size}
        return params | row.model_dump(include={"mean", "std"}, exclude_none=True, mode="json")

    def given(self, source: str) -> list[str]:
        """Where weights from the hub, or from checkpoints, go: `pretrained/<model>` where that is fine-tuned."""
        names = [name for name in self.needed if self.study.model[name].source == source]
        return [f"{'pretrained' if self.study.fine_tuned(name) else 'weights'}/{name}" for name in names]

    def _clean(self, model: str) -> Step:
        """clean/<model>.h5."""
        return self._step(
            "clean",
            {"model": model},
            weights=self.weights(model),
            attack_images=self.images("attack"),
            eval_images=self.images("eval"),
        )

    def gate(self, model: str) -> Step:
        """clean/<model>.gate.json."""
        params = {"model": model, **self.config.model_dump(include={"min_accuracy", "on_low_accuracy"})}
        return self._step("gate", params, clean=self.clean(model))

    def attack(self, variant: str = "") -> Attack:
        """The attack of the study, or of one of its variants."""
        attack = self.config.attack
        return attack.changed(self.config.variants[variant].attack) if variant else attack

    def attacks_anew(self, variant: str) -> bool:
        """Whether a variant has adversarial sets and tiles of its own; with less images alone it has the study's."""
        return self.attack(variant).params != self.attack().params

    def _adversarial(self, model: str, variant: str = "") -> Step:
        """adversarial/<model>.h5."""
        attack = self.attack(variant)
        params = {"model": model, **attack.params}
        if attack.traits.seeded:
            params["seed"] = self.config.seed
        if variant and (count := self.config.variants[variant].attack_images):
            params["attack_images"] = count
        return self._step(
            "attack", params, weights=self.weights(model), images=self.images("attack"), clean=self.clean(model)
        )

    def _tile(self, target: str, source: str, variant: str = "") -> Step:
        """tiles/<target tile>/<source tile>.h5."""
        targets, sources = self.tiles[target], self.tiles[source]
        params: dict[str, Any] = {"targets": list(targets), "sources": list(sources)}
        if target == source:
            # Every target is on the diagonal once, so that is where its errors under noise are found.
            attack = self.attack(variant)
            params["noise"] = {"eps": attack.eps_levels, "seed": self.config.seed}
            if attack.traits.norm != "linf":
                params["noise"]["norm"] = attack.traits.norm
        return self._step(
            "evaluate",
            params,
            images=self.images("attack"),
            weights=[self.weights(model) for model in targets],
            adversarial=[self.adversarial(model, variant) for model in sources],
        )

    @cached_property
    def used_tiles(self) -> tuple[tuple[str, str], ...]:
        """(target tile, source tile) of all that hold a pair of models in use."""
        used = [name for name, models in self.tiles.items() if any(self.study.model[model].use for model in models)]
        return tuple((target, source) for target in used for source in used)

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """Models that the tiles in use hold, sorted; a retired one keeps its place in its tile."""
        return tuple(sorted({model for tile, _ in self.used_tiles for model in self.tiles[tile]}))

    @property
    def similarity(self) -> Step:
        """All files under similarity/."""
        return self.similarity_of("")

    def _similarity_of(self, variant: str) -> Step:
        """All files under similarity/ of the study, or of one of its variants."""
        rows = [self.study.model[name] for name in self.study.used]
        params = {
            "models": {row.model: row.family for row in rows},
            **self.config.model_dump(include={"eps_s", "min_whitebox", "confidence"}),
        }
        # What is published is of other images than those that a model is fine-tuned on.
        published = {
            row.model: row.published_top1 for row in rows if row.published_top1 and not self.study.trained(row.model)
        }
        if published:
            params |= {"published_top1": published, "max_published_gap": self.config.max_published_gap}
        if variant and (count := self.config.variants[variant].attack_images):
            params["attack_images"] = count
        attacked = variant if variant and self.attacks_anew(variant) else ""
        return self._step(
            "similarity",
            params,
            images=self.images("attack"),
            clean=[self.clean(model) for model in self.study.used],
            tiles=[self.tile(*pair, attacked) for pair in self.used_tiles],
        )

    @property
    def students(self) -> tuple[tuple[str, int], ...]:
        """(teacher, seed) of every student that is trained for `distillation`; those without a teacher come first."""
        asked = self.config.distillation
        return (
            tuple((teacher, seed) for teacher in (ALONE, *self.study.teachers) for seed in range(asked.seeds))
            if asked
            else ()
        )

    def distilled(self, teacher: str, seed: int) -> Step:
        """distilled/<teacher>/<seed>.safetensors."""
        asked = self.config.distillation
        assert asked, "asked for where there is something to distil"
        own = self.weights(asked.student)
        # A student depends neither on the number of seeds, nor, without a teacher, on how teachers teach.
        params = {**{name: value for name, value in own.params.items() if name != "model"}, "student": asked.student}
        params |= {"replicate": seed}
        inputs = {"train_images": self.images("train"), "eval_images": self.images("eval")}
        if teacher == ALONE:
            return self._step("distil", params, **inputs)
        params |= asked.model_dump(include={"kind", "weight"} | ({"temperature"} if asked.kind == "soft" else set()))
        return self._step("distil", {**params, "teacher": teacher}, **inputs, teacher=self.weights(teacher))

    @cached_property
    def analyses(self) -> dict[str, Analysis]:
        """The analyses that this study has, by name: those it wants, and whose inputs it has; each after its inputs."""
        declared: Mapping[str, Analysis] = units.declarations("analyses")
        makers = {path: name for name, unit in declared.items() for path in unit.outputs}
        found: dict[str, Analysis] = {}

        def add(name: str) -> bool:
            unit = declared[name]
            if name not in found and unit.wanted(self.study):
                needed = [path for key, path in unit.inputs.items() if key not in unit.optional]
                if all(add(makers[path]) if path in makers else self._group(path) is not list for path in needed):
                    found[name] = unit
            return name in found

        for name in declared:
            add(name)
        return found

    @cached_property
    def _makers(self) -> dict[str, str]:
        return {path: name for name, unit in self.analyses.items() for path in unit.outputs}

    def _analysis(self, name: str) -> Step:
        """All files of an analysis."""
        steps: dict[str, Step | list[Step]] = {}
        for key, path in self.analyses[name].inputs.items():
            if found := [artefact.step for artefact in self.find(path)]:
                steps[key] = found if "{" in path else found[0]
        return self._step(name, self.analyses[name].params(self), **steps)

    def inputs_of(self, name: str) -> dict[str, str | list[str]]:
        """Paths of an analysis' inputs, below results/<study>/, by name; a list for a group."""
        paths: dict[str, str | list[str]] = {}
        for key, path in self.analyses[name].inputs.items():
            if found := [artefact.path for artefact in self.find(path)]:
                paths[key] = found if "{" in path else found[0]
        return paths

    def find(self, path: str) -> list[Artefact]:
        """Find artefacts as the declaration of an analysis names them.

        Parameters
        ----------
        path : str
            Below results/<study>/. One with wildcards stands for a group: ``clean/{model}.h5`` for those of all models
            in use, ``{variant}similarity/sat.csv`` for those of the study and its variants.

        Returns
        -------
        list of Artefact
            In the order in which a command gets them; empty where the study has none.

        Raises
        ------
        SatError
            If no study has such an artefact.
        """
        if path in self._makers:
            return list(self._of_analysis(self._makers[path], path))
        return list(self._group(path)())

    def _group(self, path: str) -> Callable[[], Iterable[Artefact]]:
        if path not in self._groups:
            raise SatError(f"{path}: no study has such a result; there are {', '.join(sorted(self._groups))}.")
        return self._groups[path]

    @cached_property
    def _groups(self) -> dict[str, Callable[[], Iterable[Artefact]]]:
        """What makes the artefacts of the pipeline that analyses may ask for; `list` where the study has none."""
        used, variants = self.study.used, ("", *self.config.variants)
        groups: dict[str, Callable[[], Iterable[Artefact]]] = {
            "images/eval.h5": partial(self._images_of, ["eval"]),
            "images/attack.h5": partial(self._images_of, ["attack"]),
            "weights/{model}.safetensors": lambda: [self._weights_of(model) for model in used],
            "clean/{model}.h5": lambda: [self._clean_of(model) for model in used],
            "adversarial/{model}.h5": lambda: [self._adversarial_of(model) for model in used],
            "tiles/{target}/{source}.h5": lambda: [self._tile_of(*pair) for pair in self.used_tiles],
            "distilled/{teacher}/{seed}.safetensors": self._distilled,
        }
        for name in SIMILARITY:
            groups[f"similarity/{name}"] = partial(self._similarities, [""], [name])
            groups[f"{{variant}}similarity/{name}"] = partial(self._similarities, variants, [name])
        if not self.config.matrix:
            return groups
        given = Artefact("similarity/sat.csv", self.matrix, "similarity/matrix")
        return {**dict.fromkeys(groups, list), "similarity/sat.csv": lambda: [given]}

    def _images_of(self, splits: Iterable[str]) -> Iterator[Artefact]:
        for split in splits:
            yield Artefact(f"images/{split}.h5", self.images(split), f"images/{split}", {"split": split})

    def _weights_of(self, model: str) -> Artefact:
        return Artefact(f"weights/{model}.safetensors", self.weights(model), f"weights/{model}", {"model": model})

    def _clean_of(self, model: str) -> Artefact:
        return Artefact(f"clean/{model}.h5", self.clean(model), f"clean/{model}", {"model": model})

    def _adversarial_of(self, model: str, variant: str = "") -> Artefact:
        folder = variant_folder(variant)
        step = self.adversarial(model, variant)
        return Artefact(f"{folder}adversarial/{model}.h5", step, f"{folder}attack/{model}", {"model": model}, variant)

    def _tile_of(self, target: str, source: str, variant: str = "") -> Artefact:
        folder, pair = variant_folder(variant), f"{target}/{source}"
        step = self.tile(target, source, variant)
        wildcards = {"target": target, "source": source}
        return Artefact(f"{folder}tiles/{pair}.h5", step, f"{folder}evaluate/{pair}", wildcards, variant)

    def _similarities(self, variants: Iterable[str], names: Iterable[str]) -> Iterator[Artefact]:
        for variant in variants:
            folder, step = variant_folder(variant), self.similarity_of(variant)
            for name in names:
                yield Artefact(f"{folder}similarity/{name}", step, f"{folder}similarity/similarity", {}, variant)

    def _distilled(self) -> Iterator[Artefact]:
        for teacher, seed in self.students:
            name = f"distilled/{teacher}/{seed}"
            wildcards = {"teacher": teacher, "seed": str(seed)}
            yield Artefact(f"{name}.safetensors", self.distilled(teacher, seed), name, wildcards)

    def _of_analysis(self, name: str, *paths: str) -> Iterator[Artefact]:
        unit = self.analyses[name]
        for path in paths or unit.outputs:
            yield Artefact(path, self.analysis(name), f"{unit.folder}/{name}")

    def _pipeline(self) -> Iterator[Artefact]:
        yield Artefact("study.json", self.describe(), "study/study")
        if self.config.matrix:
            yield from self.find("similarity/sat.csv")
            return
        yield Artefact("images/manifest.csv", self.manifest, "images/manifest")
        trained = any(self.study.trained(model) for model in self.needed)
        yield from self._images_of(["train", "eval", "attack"] if trained else ["eval", "attack"])
        for model in self.needed:
            wildcards = {"model": model}
            if self.study.fine_tuned(model):
                yield Artefact(
                    f"pretrained/{model}.safetensors", self.pretrained(model), f"pretrained/{model}", wildcards
                )
            yield self._weights_of(model)
            yield self._clean_of(model)
            yield Artefact(f"clean/{model}.gate.json", self.gate(model), f"gate/{model}", wildcards)
            yield self._adversarial_of(model)
        for pair in self.used_tiles:
            yield self._tile_of(*pair)
        yield from self._similarities([""], SIMILARITY)
        for variant in self.config.variants:
            if self.attacks_anew(variant):
                for model in self.needed:
                    yield self._adversarial_of(model, variant)
                for pair in self.used_tiles:
                    yield self._tile_of(*pair, variant)
            yield from self._similarities([variant], SIMILARITY)
        yield from self._distilled()

    def artefacts(self) -> dict[str, Artefact]:
        """Every artefact of the study.

        Returns
        -------
        dict of str to Artefact
            By path, in the order of the flow.
        """
        found = [*self._pipeline(), *self.answers().values()]
        return {artefact.path: artefact for artefact in found}

    def jobs(self) -> dict[str, list[Artefact]]:
        """Artefacts by the job that makes them, in the order of the flow.

        Returns
        -------
        dict of str to list of Artefact
        """
        found: dict[str, list[Artefact]] = {}
        for artefact in self.artefacts().values():
            found.setdefault(artefact.job, []).append(artefact)
        return found

    def answers(self) -> dict[str, Artefact]:
        """Those of `artefacts` that analyses make: what a study is for."""
        found = [artefact for name in self.analyses for artefact in self._of_analysis(name)]
        return {artefact.path: artefact for artefact in found}
