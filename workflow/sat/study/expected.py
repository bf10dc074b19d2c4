"""How long jobs should take: from the study's own finished jobs, or else from the measured speed of a device.

Limits (`sat.study.resources`) are what a job may take at most. This is what it will probably take.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sat.errors import SatError
from sat.store.environment import environment
from sat.store.step import ALONE
from sat.study.forecast import Forecast
from sat.study.plan import GRADIENT_IMAGES, Artefact
from sat.study.resources import GRADIENT_FORWARDS, TRAINING_STEPS

DEVICES = Path(__file__).resolve().parents[3] / "benchmarks/devices"
"""Folder of the files that `make bench` writes, in a clone."""
ENOUGH = 3
"""Number of finished jobs from which a start-up time is told apart from the time for the work."""


@dataclass(frozen=True)
class Passes:
    """Images that one model sees in a job."""

    model: str
    forward: float
    """Images of which it computes the output alone."""
    gradient: float
    """Images of which it computes output and gradient."""
    precision: str = "float32"

    def work(self, gmacs: float) -> float:
        """Billion multiply-accumulates of all of them."""
        return gmacs * (self.forward + GRADIENT_FORWARDS * self.gradient)


@dataclass(frozen=True)
class Rate:
    """Measured speed of one network in one precision."""

    architecture: str
    gmacs: float
    precision: str
    forward: float
    """Images a second, output alone."""
    gradient: float
    """Images a second, output and gradient with respect to the image."""


@dataclass(frozen=True)
class Device:
    """Measured speed of a device: a file of benchmarks/devices."""

    path: Path
    kind: str
    """`cpu` or `cuda`."""
    start: float
    """Seconds until a job has imported what it needs, and reached the device."""
    rates: Sequence[Rate]

    @classmethod
    def read(cls, path: Path) -> Device:
        """Read a file that `make bench` wrote.

        Raises
        ------
        SatError
            If it cannot be read, or a key is missing or wrong.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            rates = [
                Rate(
                    str(rate["architecture"]),
                    float(rate["gmacs"]),
                    str(rate["precision"]),
                    float(rate["forward"]),
                    float(rate["gradient"]),
                )
                for rate in found["rates"]
            ]
            device = cls(path, str(found["kind"]), float(found["start_seconds"]), rates)
        except OSError as error:
            raise SatError(f"{path}: cannot be read ({error.strerror}); 'make bench' writes such a file.") from None
        except KeyError as error:
            raise SatError(f"{path}: key {error} is missing; 'make bench' writes such a file.") from None
        except (ValueError, TypeError) as error:
            raise SatError(f"{path}: not a file of a device's speed: {error}; 'make bench' writes one.") from None
        numbers = [number for rate in rates for number in (rate.gmacs, rate.forward, rate.gradient)]
        if not rates or not all(number > 0 and math.isfinite(number) for number in numbers) or device.start < 0:
            raise SatError(f"{path}: needs rates, all of them above 0; 'make bench' writes such a file.")
        return device

    def seconds(self, passes: Passes, gmacs: float, architecture: str) -> float:
        """Time of a model's images: as its own architecture was measured, or else that with the nearest GMACs.

        Parameters
        ----------
        passes : Passes
        gmacs : float
            Of the model. The measured time is scaled by the ratio of both.
        architecture : str
        """
        same = [rate for rate in self.rates if rate.precision == passes.precision]
        rates = same or [rate for rate in self.rates if rate.precision == "float32"] or self.rates
        name = architecture.partition(".")[0]
        rate = min(rates, key=lambda rate: (rate.architecture != name, abs(math.log(rate.gmacs / gmacs))))
        return gmacs / rate.gmacs * (passes.forward / rate.forward + passes.gradient / rate.gradient)


def device_file(name: str) -> Path:
    """Path of the file of a device, in a clone of the project.

    Parameters
    ----------
    name : str
        As its maker calls it, such as "NVIDIA H200".
    """
    return DEVICES / f"{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}.json"


def this_device(kind: str) -> Device | None:
    """Find the measured speed of this machine's processor. A GPU must be named, as it may be on another machine."""
    path = device_file(str(environment()["machine"]["cpu"]))
    return Device.read(path) if kind == "cpu" and path.exists() else None


@dataclass(frozen=True)
class Expectation:
    """What a job should take."""

    seconds: float
    source: str
    """`own jobs` of this study, or `device file`."""


class Expected:
    """Expected times of a study's jobs.

    Parameters
    ----------
    forecast : Forecast
    results : Path
        Folder of the study's results; benchmarks/ lies in it.
    sidecars : mapping of str to mapping
        Sidecars of what is made, by path. A finished job counts if the same params made its file, on the same device.
    device : Device, optional
    """

    def __init__(
        self, forecast: Forecast, results: Path, sidecars: Mapping[str, Mapping[str, Any]], device: Device | None = None
    ) -> None:
        self.forecast, self.plan, self.results = forecast, forecast.plan, results
        self.sidecars, self.device = sidecars, device

    def __call__(self, artefact: Artefact) -> Expectation | None:
        """Find how long the job that makes an artefact should take; None if nothing is known.

        Parameters
        ----------
        artefact : Artefact

        Returns
        -------
        Expectation or None
        """
        work = self.work(artefact)
        if finished := self._finished.get(artefact.step.stage):
            return Expectation(_from_own(finished, work), "own jobs")
        passes = self.passes(artefact)
        if self.device and passes and work:
            return Expectation(self.device.start + sum(map(self._on_device, passes)), "device file")
        return None

    def _on_device(self, passes: Passes) -> float:
        assert self.device
        gmacs = self.forecast.known.size(passes.model).gmacs or 0.0
        return self.device.seconds(passes, gmacs, self.plan.study.model[passes.model].architecture)

    def passes(self, artefact: Artefact) -> list[Passes]:
        """Say how many images each model sees in the job that makes an artefact; empty if it runs no model.

        Every model is taken to get all images right. Reading is not counted: it happens beside the models.
        """
        images, place, config = self.forecast.n_images, artefact.wildcards, self.plan.config
        params, model = artefact.step.params, artefact.model
        precision = str(params.get("precision", "float32"))
        match artefact.step.stage:
            case "train":
                return [self._trained(model)]
            case "clean":
                return [Passes(model, images["eval"] + images["attack"], 0, precision)]
            case "gradients":
                return [Passes(model, 0, min(images["attack"], GRADIENT_IMAGES), precision)]
            case "attack":
                attacked = self.forecast.attacked(artefact.variant)
                return [Passes(model, attacked, attacked * self.plan.attack(artefact.variant).gradients, precision)]
            case "evaluate":
                sources = 1 if params.get("diagonal") else len(self.plan.members(place["source"], artefact.variant))
                attacked = self.forecast.attacked(artefact.variant) * sources
                count = attacked + images["attack"] * bool(params.get("noise"))
                targets = self.plan.members(place["target"], artefact.variant)
                return [Passes(target, count, 0, precision) for target in targets]
            case "distil" if config.distillation:
                student, teacher = self._trained(config.distillation.student), place["teacher"]
                taught = images["train"] * self.plan.study.training(student.model).epochs
                seen = [] if teacher == ALONE else [Passes(teacher, taught, 0, student.precision)]
                return [student, Passes(student.model, images["eval"], 0), *seen]
        return []

    def _trained(self, model: str) -> Passes:
        training = self.plan.study.training(model)
        seen = TRAINING_STEPS * training.epochs * self.forecast.n_images["train"]
        return Passes(model, 0, seen, training.precision)

    def work(self, artefact: Artefact) -> float | None:
        """Billion multiply-accumulates of a job: 1 if it runs no model, None if they are not known of a model."""
        total = 0.0
        passes = self.passes(artefact)
        for one in passes:
            gmacs = self.forecast.known.size(one.model).gmacs
            if gmacs is None:
                return None
            total += one.work(gmacs)
        return total if passes else 1.0

    @cached_property
    def _finished(self) -> dict[str, list[tuple[float, float]]]:
        """Work and seconds of the study's own finished jobs, by stage."""
        found: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for name, (artefact, *_) in self.plan.jobs().items():
            sidecar = self.sidecars.get(str(self.results / artefact.path))
            if sidecar is None or sidecar.get("params") != json.loads(json.dumps(artefact.step.params)):
                continue
            compute, run = self.plan.config.compute, sidecar.get("run") or {}
            if (run.get("device", compute.device), run.get("threads", compute.threads)) != (
                compute.device,
                compute.threads,
            ):
                continue
            work = self.work(artefact)
            if work and (seconds := benchmark_seconds(self.results / f"benchmarks/{name}.tsv")):
                found[artefact.step.stage].append((work, seconds[-1]))
        return found


def benchmark_seconds(path: Path) -> list[float]:
    """Read the run times in a benchmark file of Snakemake; empty if there is no such file."""
    try:
        head, *rows = path.read_text(encoding="utf-8").splitlines()
        column = head.split("\t").index("s")
        return [float(row.split("\t")[column]) for row in rows]
    except (OSError, ValueError, IndexError):
        return []


def _from_own(finished: Sequence[tuple[float, float]], work: float | None) -> float:
    """Expect the mean for an unknown work, else what the line of least squares says, else the same time per work."""
    works, seconds = [one for one, _ in finished], [took for _, took in finished]
    mean_work, mean = sum(works) / len(works), sum(seconds) / len(seconds)
    if work is None:
        return mean
    spread = sum((one - mean_work) ** 2 for one in works)
    if len(works) >= ENOUGH and spread > 0:
        slope = sum((one - mean_work) * (took - mean) for one, took in finished) / spread
        # A job never takes less for more work, and the start-up is no less than nothing.
        if slope <= 0:
            return mean
        if slope * mean_work <= mean:
            return mean + slope * (work - mean_work)
    return mean * work / mean_work
