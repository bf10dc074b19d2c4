"""Forecast of what a study will take: memory and time of every job, and disk space of every artefact."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sat.store.step import ALONE
from sat.study import resources
from sat.study.known import Known
from sat.study.plan import GRADIENT_IMAGES, Artefact, Plan
from sat.study.resources import ASSUMED_PARAMETERS, Needs

UNKNOWN_CLASSES = 1000
PACKED = 0.5
"""Size of packed perturbations as a share of their raw size: 0.12 to 0.43 was measured on photographs, and 0.51 on
digits (benchmarks/RESULTS.md)."""

PAGES = {"examples": Needs(3000, 60), "atlas": Needs(4000, 30), "crate": Needs(2000, 30)}
"""Needs of choosing adversarial examples, whose job hashes all adversarial sets, of the page report/atlas.html, and of
the crate, whose job reads all sidecars."""
ATLAS_BYTES = 5_000_000
"""Size of the page without its examples."""


class Forecast:
    """Estimates for a study, from its config, its model tables, and what sidecars say of what is made already.

    Parameters
    ----------
    plan : Plan
    results : Path, optional
        Folder of the study's results; without it, no sidecar is read.
    n_images : mapping of str to int, optional
        Number of images of every split, if they have been counted.
    """

    def __init__(self, plan: Plan, results: Path | None = None, n_images: Mapping[str, int] | None = None) -> None:
        self.plan, self.config = plan, plan.config
        self.known = Known(plan, results, n_images)

    @property
    def n_images(self) -> dict[str, int]:
        """Number of images of every split, counted or expected."""
        return self.known.n_images

    @property
    def _compute(self) -> tuple[str, int]:
        return self.config.compute.device, self.config.compute.threads

    def images(self, split: str) -> Needs:
        """Needs of images/<split>.h5."""
        return resources.images_needs(self.n_images[split], self.config.images.canvas)

    def weights(self, model: str) -> Needs:
        """Needs of fetching or converting a model's own weights."""
        return resources.weights_needs(self.known.size(model))

    def train(self, model: str) -> Needs:
        """Needs of training weights/<model>.safetensors."""
        row = self.known.size(model)
        settings = self.plan.study.training(model)
        return resources.training_needs(
            row,
            self.n_images["train"],
            self.config.images.canvas,
            settings.batch_size,
            settings.epochs,
            *self._compute,
        )

    def clean(self, model: str) -> Needs:
        """Needs of clean/<model>.h5."""
        compute, images = self.config.compute, self.config.images
        return resources.clean_needs(
            self.known.size(model), self.n_images["eval"], images.canvas, compute.batch_size, *self._compute
        )

    def gradients(self, model: str) -> Needs:
        """Needs of gradients/<model>.h5."""
        compute = self.config.compute
        n, canvas = min(self.n_images["attack"], GRADIENT_IMAGES), self.config.images.canvas
        return resources.attack_needs(self.known.size(model), n, canvas, compute.batch_size, 1, *self._compute)

    def attacked(self, variant: str) -> int:
        """Expected number of images that are attacked."""
        most = self.config.variants[variant].attack_images if variant else None
        return min(self.n_images["attack"], most or self.n_images["attack"])

    def attack(self, model: str, variant: str = "") -> Needs:
        """Needs of adversarial/<model>.h5."""
        compute, images = self.config.compute, self.config.images
        attack = self.plan.attack(variant)
        return resources.attack_needs(
            self.known.size(model),
            self.attacked(variant),
            images.canvas,
            compute.batch_size,
            attack.gradients,
            *self._compute,
        )

    def tile(self, target: str, source: str, variant: str = "") -> Needs:
        """Needs of tiles/<target>/<source>.h5."""
        return resources.evaluate_needs(
            [self.known.size(model) for model in self.plan.members(target, variant)],
            len(self.plan.members(source, variant)),
            self.n_images["attack"],
            self.config.images.canvas,
            self.config.compute.batch_size,
            *self._compute,
            diagonal=target == source,
            wide=self.plan.attack(variant).declaration.dtype == "int16",
        )

    def distil(self, teacher: str) -> Needs:
        """Needs of distilled/<teacher>/<seed>.safetensors, that is, of training the student with a teacher."""
        asked = self.config.distillation
        assert asked, "asked for where there is something to distil"
        row = self.known.size(asked.student)
        settings = self.plan.study.training(asked.student)
        return resources.distil_needs(
            self.train(asked.student),
            row,
            None if teacher == ALONE else self.known.size(teacher),
            self.n_images["train"] * settings.epochs,
            self.n_images["eval"],
            self.config.images.canvas,
            settings.batch_size,
            *self._compute,
        )

    def needs(self, artefact: Artefact) -> Needs | None:
        """Find the needs of the job that makes an artefact; None if they are small.

        Parameters
        ----------
        artefact : Artefact
        """
        place = artefact.wildcards
        match artefact.step.stage:
            case "images":
                return self.images(place["split"])
            case "train":
                return self.train(artefact.model)
            case "hub" | "checkpoint" | "code":
                return self.weights(artefact.model)
            case "clean":
                return self.clean(artefact.model)
            case "gradients":
                return self.gradients(artefact.model)
            case "attack":
                return self.attack(artefact.model, artefact.variant)
            case "evaluate":
                return self.tile(place["target"], place["source"], artefact.variant)
            case "distil":
                return self.distil(place["teacher"])
            case "examples" | "atlas" | "crate":
                return PAGES[artefact.step.stage]
        if artefact.step.stage in self.plan.analyses:
            unit = self.plan.analyses[artefact.step.stage]
            return Needs(unit.mem_mb, unit.minutes)
        return None

    def guessed_of(self, artefact: Artefact) -> list[str]:
        """Models of which too little is known, so that the needs of the job that makes an artefact are a guess.

        Parameters
        ----------
        artefact : Artefact
        """
        place = artefact.wildcards
        match artefact.step.stage:
            case "hub" | "checkpoint" | "code":
                return [] if self.known.size(artefact.model).n_parameters else [artefact.model]
            case "train" | "clean" | "gradients" | "attack":
                models = [artefact.model]
            case "evaluate":
                models = [*self.plan.members(place["target"], artefact.variant)]
            case "distil" if self.config.distillation:
                models = [self.config.distillation.student, *({place["teacher"]} - {ALONE})]
            case _:
                models = []
        return [model for model in models if not self.known.size(model).known]

    def disk(self, artefact: Artefact) -> int:
        """Estimate the size of an artefact in bytes.

        Parameters
        ----------
        artefact : Artefact
        """
        image = 3 * self.config.images.canvas**2
        place = artefact.wildcards
        match artefact.step.stage:
            case "images":
                # Compression makes photographs only a little smaller.
                return self.n_images[place["split"]] * image
            case "train" | "hub" | "checkpoint" | "code":
                return 4 * (self.known.size(artefact.model).n_parameters or ASSUMED_PARAMETERS)
            case "distil" if self.config.distillation:
                return 4 * (self.known.size(self.config.distillation.student).n_parameters or ASSUMED_PARAMETERS)
            case "clean":
                return 2 * self.n_images["eval"] * UNKNOWN_CLASSES
            case "gradients":
                return 2 * min(self.n_images["attack"], GRADIENT_IMAGES) * image
            case "attack":
                wide = 2 if self.plan.attack(artefact.variant).declaration.dtype == "int16" else 1
                return round(PACKED * self.attacked(artefact.variant) * image * wide)
            case "evaluate":
                targets, sources = (self.plan.members(place[name], artefact.variant) for name in ("target", "source"))
                # Classes and probabilities.
                return 4 * self.n_images["attack"] * len(targets) * len(sources)
            case "examples":
                return self.config.atlas.example_bytes
            case "atlas":
                examples = self.config.atlas.example_bytes if self.plan.has_examples else 0
                return ATLAS_BYTES + examples * 4 // 3
        return 0
