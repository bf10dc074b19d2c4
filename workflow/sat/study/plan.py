"""The plan: every artefact of a study, and what exactly must have made it.

A step is what decides an artefact's content: the stage, its version, its
params, and the recipes of its inputs. Rules hand a step to its command, the
command records it in the artefact's sidecar, readers and ``sat verify``
compare. So there is one place that says what an artefact is made of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any

from sat.store.step import ALONE, Step, group_recipe
from sat.study.attack import AttackSettings
from sat.study.lock import raised
from sat.study.lock import versions as locked_versions
from sat.study.study import Study
from sat.study.tiles import cut_tiles

TABLES = {
    "clusters": ("clusters", "spectral_features", "tsne", "choose_k", "membership"),
    "components": (
        "components",
        "components_r2",
        "components_differences",
        "components_values",
        "components_blocks",
    ),
    "groups": ("groups",),
    "reference": ("reference", "reference_pairs"),
    "caveats": ("caveats",),
    "measures": ("measures", "measures_separation", "measures_pairs"),
    "ensembles": ("ensembles", "ensembles_relation", "ensembles_clusters"),
    "distillation": ("distillation", "distillation_relation"),
    "stability": ("stability", "stability_curve", "stability_membership"),
    "ablation": ("ablation", "ablation_pairs"),
}
"""Tables under analysis/ of every analysis."""
DRAWN = ("components", "groups", "reference", "measures", "ensembles", "distillation", "stability", "ablation")
"""Analyses that draw a figure of their own name."""
FIGURES = ("clustermap", "tsne", "tsne_components", "distances", "dendrogram")
"""Figures that every study has."""


def variant_folder(variant: str) -> str:
    """Where a variant's artefacts lie, relative to the study's: `variants/<name>/`, or nothing for the study itself."""
    return f"variants/{variant}/" if variant else ""


def split_variant(artefact: str) -> tuple[str, str]:
    """Tell a variant's artefacts from the study's.

    Parameters
    ----------
    artefact : str
        As in `Plan.artefacts`.

    Returns
    -------
    variant : str
        Its name; empty for an artefact of the study itself.
    artefact : str
        Without the variant's folder.
    """
    if not artefact.startswith("variants/"):
        return "", artefact
    _, variant, rest = artefact.split("/", 2)
    return variant, rest


class Plan:
    """The steps of a study.

    Parameters
    ----------
    study : Study
    digests : mapping of str to str, optional
        SHA-256 of each of the user's own files (`Study.files`), from `sat.store.user_files.register`.
    versions : mapping of str to int, optional
        Versions of the stages, and of attacks and measures; those of the lock by default.
    """

    def __init__(
        self, study: Study, digests: Mapping[str, str] | None = None, versions: Mapping[str, int] | None = None
    ) -> None:
        self.study = study
        self.config = study.config
        self.digests = digests or {}
        self.versions = versions or locked_versions()
        # A matrix that is there already has no tiles.
        self.tiles = {} if self.config.matrix else cut_tiles(study.models, self.config.tile_size)
        # Each step is asked for many times; a thousand models have a million pairs.
        self.weights, self.pretrained = cache(self._weights), cache(self._pretrained)
        self.adversarial = cache(self._adversarial)
        self.tile = cache(self._tile)
        self.similarity_of = cache(self._similarity_of)
        self.images = cache(self._images)
        self.clean = cache(self._clean)

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

    def attack(self, variant: str = "") -> AttackSettings:
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
        params |= raised(self.versions, "attacks", [attack.method])
        if attack.declaration.seeded:
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
            if attack.declaration.norm != "linf":
                params["noise"]["norm"] = attack.declaration.norm
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

    @cached_property
    def clusters(self) -> Step:
        """All files of the spectral clustering under analysis/."""
        params = {
            "k": self.config.clusters.k,
            "starts": self.config.clusters.starts,
            "perplexity": self.config.tsne.perplexity,
            "seed": self.config.seed,
        }
        return self._step("clusters", params, sat=self.sat)

    @cached_property
    def components_null(self) -> Step:
        """analysis/components_null.csv."""
        importance = self.config.importance
        params = {"preset": importance.preset, "permutations": importance.permutations}
        return self._step(
            "components_null", {**params, "seed": self.config.seed, "components": self.study.components}, sat=self.sat
        )

    @cached_property
    def components(self) -> Step:
        """analysis/components*.csv and figures/components.svg."""
        importance = self.config.importance
        params = {"preset": importance.preset, "splits": importance.splits, "seed": self.config.seed}
        return self._step(
            "components", {**params, "components": self.study.components}, sat=self.sat, null=self.components_null
        )

    @cached_property
    def groups(self) -> Step:
        """analysis/groups.csv and figures/groups.svg."""
        params: dict[str, Any] = {
            "groups": self.study.groupings,
            "confidence": self.config.confidence,
            "seed": self.config.seed,
        }
        if self.config.compare_to:
            params["compare_to"] = self.digests.get("compare_to")
        return self._step("groups", params, sat=self.sat)

    @cached_property
    def reference(self) -> Step:
        """analysis/reference*.csv and figures/reference.svg."""
        rows = [self.study.model[name] for name in self.study.used]
        column = self.config.reference_names
        canvas = self.config.images.canvas
        params = {
            "sha256": self.digests.get("reference"),
            "names": {row.model: name for row in rows if (name := row.groups.get(column) or row.groups.get("same_as"))},
            "native": [row.model for row in rows if row.input_size in (None, canvas)],
            "listed": self.config.reference_listed,
            "checkpoints": {row.model: row.groups["checkpoint"] for row in rows if row.groups.get("checkpoint")},
            "seed": self.config.seed,
        }
        return self._step("reference", params, sat=self.sat)

    @cached_property
    def ablation(self) -> Step:
        """analysis/ablation*.csv and figures/ablation.svg."""
        # A list: as JSON, an object would lose the order in which the study names them.
        settings = [{"variant": "", **self.attack().params, "attack_images": None}] + [
            {"variant": name, **self.attack(name).params, "attack_images": variant.attack_images}
            for name, variant in self.config.variants.items()
        ]
        similarities = [self.similarity_of(variant) for variant in ("", *self.config.variants)]
        return self._step(
            "ablation",
            {"settings": settings, "seed": self.config.seed},
            images=self.images("attack"),
            sat=similarities,
            models=similarities,
        )

    @cached_property
    def caveats(self) -> Step:
        """analysis/caveats.csv."""
        return self._step("caveats", {}, sat=self.similarity, models=self.similarity)

    def _clean_of_used(self) -> list[Step]:
        return [self.clean(model) for model in self.study.used]

    @cached_property
    def measures(self) -> Step:
        """analysis/measures*.csv and figures/measures.svg."""
        params = {
            "measures": self.config.measures,
            "models": {name: self.study.model[name].family for name in self.study.used},
            "seed": self.config.seed,
            **raised(self.versions, "measures", self.config.measures),
        }
        return self._step(
            "measures",
            params,
            sat=self.similarity,
            attack_images=self.images("attack"),
            eval_images=self.images("eval"),
            clean=self._clean_of_used(),
        )

    @cached_property
    def ensembles(self) -> Step:
        """analysis/ensembles*.csv and figures/ensembles.svg."""
        params = {
            "models": list(self.study.used),
            **self.config.ensembles.model_dump(),
            "seed": self.config.seed,
        }
        return self._step(
            "ensembles",
            params,
            sat=self.similarity,
            clusters=self.clusters,
            eval_images=self.images("eval"),
            clean=self._clean_of_used(),
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
        # The number of seeds is none of a student's business, and a teacher's settings are none of one without.
        params = {**{name: value for name, value in own.params.items() if name != "model"}, "student": asked.student}
        params |= {"replicate": seed}
        inputs = {"train_images": self.images("train"), "eval_images": self.images("eval")}
        if teacher == ALONE:
            return self._step("distil", params, **inputs)
        params |= asked.model_dump(include={"kind", "weight"} | ({"temperature"} if asked.kind == "soft" else set()))
        return self._step("distil", {**params, "teacher": teacher}, **inputs, teacher=self.weights(teacher))

    @cached_property
    def distillation(self) -> Step:
        """analysis/distillation*.csv and figures/distillation.svg."""
        asked = self.config.distillation
        assert asked, "asked for where there is something to distil"
        names = (asked.student, *self.study.teachers)
        base = self.study.base_architectures
        # Families stand in for base architectures where the table names none.
        by_family = asked.student not in base
        kinds = {name: self.study.model[name].family if by_family else base.get(name, "") for name in names}
        params = {
            "student": asked.student,
            "teachers": {name: self.study.model[name].family for name in self.study.teachers},
            "compared_by": "family" if by_family else "base_architecture",
            "kinds": kinds,
            "seeds": asked.seeds,
            **self.config.model_dump(include={"confidence", "seed"}),
        }
        return self._step(
            "distillation",
            params,
            sat=self.similarity,
            models=self.similarity,
            students=[self.distilled(*student) for student in self.students],
        )

    @cached_property
    def stability(self) -> Step:
        """analysis/stability*.csv and figures/stability.svg."""
        params = {
            "models": {name: self.study.model[name].family for name in self.study.used},
            **self.config.resampling.model_dump(),
            **self.config.model_dump(include={"eps_s", "confidence", "seed"}),
            "k": self.config.clusters.k,
        }
        return self._step(
            "stability",
            params,
            sat=self.similarity,
            clusters=self.clusters,
            images=self.images("attack"),
            clean=self._clean_of_used(),
            tiles=[self.tile(*pair) for pair in self.used_tiles],
        )

    @cached_property
    def figures(self) -> Step:
        """All files under figures/."""
        tables = {"sat": self.sat, "clusters": self.clusters, "features": self.clusters, "tsne": self.clusters}
        params: dict[str, Any] = {"columns": self.study.columns}
        if self.config.matrix:
            params["families"] = {row.model: row.family for row in self.study.models}
            return self._step("figures", params, **tables)
        return self._step("figures", params, **tables, most_similar=self.similarity, models=self.similarity)

    def artefacts(self) -> dict[str, Step]:
        """Every artefact of the study with its step.

        Returns
        -------
        dict of str to Step
            Paths are relative to results/<study>/, in the order of the flow.
            The sidecar of a path is the path + ".json"; study.json and the
            gates are their own sidecars.
        """
        steps = {"study.json": self.describe()}
        if self.config.matrix:
            steps["similarity/sat.csv"] = self.matrix
            return steps | self.answers()
        steps["images/manifest.csv"] = self.manifest
        trained = any(self.study.trained(model) for model in self.needed)
        splits = ("train", "eval", "attack") if trained else ("eval", "attack")
        steps |= {f"images/{split}.h5": self.images(split) for split in splits}
        for model in self.needed:
            if self.study.fine_tuned(model):
                steps[f"pretrained/{model}.safetensors"] = self.pretrained(model)
            steps[f"weights/{model}.safetensors"] = self.weights(model)
            steps[f"clean/{model}.h5"] = self.clean(model)
            steps[f"clean/{model}.gate.json"] = self.gate(model)
            steps[f"adversarial/{model}.h5"] = self.adversarial(model)
        steps |= {f"tiles/{target}/{source}.h5": self.tile(target, source) for target, source in self.used_tiles}
        for variant in ("", *self.config.variants):
            folder = variant_folder(variant)
            if variant and self.attacks_anew(variant):
                for model in self.needed:
                    steps[f"{folder}adversarial/{model}.h5"] = self.adversarial(model, variant)
                for target, source in self.used_tiles:
                    steps[f"{folder}tiles/{target}/{source}.h5"] = self.tile(target, source, variant)
            for name in ("pairs.parquet", "sat.csv", "most_similar.csv", "models.csv"):
                steps[f"{folder}similarity/{name}"] = self.similarity_of(variant)
        steps |= {
            f"distilled/{teacher}/{seed}.safetensors": self.distilled(teacher, seed) for teacher, seed in self.students
        }
        return steps | self.answers()

    @cached_property
    def analyses(self) -> tuple[str, ...]:
        """Names of the analyses that this study has; each is a rule file and a stage."""
        config, study = self.config, self.study
        there = {
            "clusters": True,
            "components": any(study.components.values()),
            "groups": bool(study.groupings),
            "reference": config.reference is not None,
            "caveats": not config.matrix,
            "measures": bool(config.measures) and not config.matrix,
            "ensembles": not config.matrix,
            "distillation": config.distillation is not None,
            "stability": not config.matrix,
            "ablation": bool(config.variants),
        }
        return tuple(name for name, wanted in there.items() if wanted)

    def answers(self) -> dict[str, Step]:
        """Those of `artefacts` that analyses and figures are: what a study is for."""
        steps: dict[str, Step] = {}
        for name in self.analyses:
            if name == "components":
                steps["analysis/components_null.csv"] = self.components_null
            step: Step = getattr(self, name)
            steps |= {f"analysis/{table}.csv": step for table in TABLES[name]}
            if name in DRAWN:
                steps[f"figures/{name}.svg"] = step
        steps |= {f"figures/{name}.svg": self.figures for name in FIGURES}
        return steps
