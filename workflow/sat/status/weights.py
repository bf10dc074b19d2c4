"""Whether the weights of a study's models are there and fit their architectures, found without running a job."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sat.errors import SatError, about
from sat.logs import progress
from sat.status.check import Images, Said, list_images, some
from sat.study.code import COPIES, FOLDER, KEY, consents, keep_code
from sat.study.study import Study
from sat.study.table import Model


def check_weights(study: Study, images: Images | None) -> Iterator[Said]:
    """Look for the weights of every model, and load checkpoints into their architectures.

    Nets of code files are built only where the user lets their code run.

    Parameters
    ----------
    study : Study
    images : Images, optional
        Whose classes models must have, unless they are fine-tuned.

    Yields
    ------
    Said
    """
    if study.config.matrix:
        return
    # torch is imported only where a net is built.
    rows = [study.model[name] for name in study.used]
    theirs = [row for row in rows if not row.module]
    if trained := [row for row in theirs if row.source == "train"]:
        yield Said("weights", f"{len(trained)} model(s) are trained here")
    checkpoints = [row for row in rows if row.source == "checkpoint" and study.files[row.model].is_file()]
    own = [row for row in rows if row.module and row.source != "checkpoint"]
    fitting: list[Model] = []
    skipped: dict[str, list[str]] = {}
    with _copies(study):
        for row in progress([*checkpoints, *own], "nets"):
            try:
                if reason := _compare(study, row, images):
                    skipped.setdefault(reason, []).append(row.model)
                else:
                    fitting.append(row)
            except SatError as error:
                yield Said("weights", str(error), "problem")
    for reason, names in skipped.items():
        yield Said("weights", f"{len(names)} net(s) were not tried ({some(names)}): {reason}")
    tried = [row.model for row in checkpoints if not any(row.model in names for names in skipped.values())]
    if tried:
        names = [row.model for row in fitting if row.source == "checkpoint"]
        yield Said("weights", f"{len(names)} of {len(tried)} checkpoints fit: {some(names) or 'none'}")
    if names := [row.model for row in fitting if row.source != "checkpoint"]:
        yield Said("weights", f"{len(names)} net(s) of code files return logits of the images' classes: {some(names)}")
    yield from _of_the_hub(study, [row for row in theirs if row.source == "hub"], images)


def check_added(study: Study, models: Collection[str]) -> Iterator[str]:
    """Load the checkpoints of some models into their architectures.

    Parameters
    ----------
    study : Study
    models : collection of str

    Yields
    ------
    str
        What was not compared, and why.

    Raises
    ------
    SatError
        If a checkpoint is not one of its architecture.
    """
    rows = [study.model[name] for name in models if study.model[name].source == "checkpoint"]
    counted = consents() and any(row.module and not row.classes for row in rows)
    # Listing millions of images takes long, so the classes of other nets are compared by 'sat check'.
    images = list_images(study)[1] if counted and not study.config.images.over_network else None
    with _copies(study):
        for row in rows:
            if reason := _compare(study, row, images if row.module else None):
                yield f"model {row.model!r}: its checkpoint was not compared with the net: {reason}"


def _compare(study: Study, row: Model, images: Images | None) -> str:
    """Build a net as its job does, with its checkpoint if it has one; return why it cannot be built here."""
    if not row.module:
        from sat.models.pretrained import load_checkpoint

        with about(row.model):
            path = study.files[row.model]
            made = load_checkpoint(row.architecture, path, row.input_size, row.mean, row.std, ema=row.ema)
            _check_classes(row.model, made.blueprint.num_classes, None if study.fine_tuned(row.model) else images)
        return ""
    if not consents():
        return f"the code of the study runs only with --config {KEY}=true"
    classes = row.classes or (images and images.listing.n_classes)
    if not classes:
        return "the number of the study's classes is not known yet; the column 'classes' can say it"
    from sat.models.classifier import build, plan_blueprint
    from sat.models.own import Own
    from sat.models.pretrained import load_checkpoint

    size = row.input_size or (study.config.images.canvas if row.source == "train" else None)
    own = Own(study.digest_of_code(row.model), row.options, row.features)
    with about(row.model):
        if row.source == "checkpoint":
            path = study.files[row.model]
            load_checkpoint(row.architecture, path, size, row.mean, row.std, own, classes, row.ema)
        else:
            build(plan_blueprint(row.architecture, classes, size, row.mean, row.std, _with_pretrained(row, own)))
    return ""


def _with_pretrained(row: Model, own: Any) -> Any:
    """With weights that the function itself returns, it is told not to fetch them now."""
    from dataclasses import replace

    return replace(own, options={**own.options, "pretrained": False}) if row.source == "code" else own


@contextmanager
def _copies(study: Study) -> Iterator[None]:
    """Let the code of a study be imported, if the user consents; nothing is left of it."""
    if not (study.code and consents()):
        yield
        return
    before = os.environ.get(COPIES)
    with tempfile.TemporaryDirectory() as folder:
        keep_code(study.code.values(), Path(folder))
        os.environ[COPIES] = f"{folder}/{FOLDER}"
        try:
            yield
        finally:
            os.environ.pop(COPIES)
            if before is not None:
                os.environ[COPIES] = before


def _of_the_hub(study: Study, rows: list[Model], images: Images | None) -> Iterator[Said]:
    cached: dict[bool, list[str]] = {True: [], False: []}
    for row in rows:
        try:
            with about(row.model):
                cached[_on_disk(row, None if study.fine_tuned(row.model) else images)].append(row.model)
        except SatError as error:
            yield Said("weights", str(error), "problem")
    if cached[True]:
        yield Said("weights", f"{len(cached[True])} model(s) of the hub are in the local cache: {some(cached[True])}")
    if absent := cached[False]:
        offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
        how = "are not in the local cache, and HF_HUB_OFFLINE forbids a download" if offline else "will be downloaded"
        yield Said(
            "weights", f"{len(absent)} model(s) of the hub {how}: {some(absent)}", "problem" if offline else "fact"
        )


def _on_disk(row: Model, images: Images | None) -> bool:
    """Whether a model's weights are in the hub's cache. Their number of classes is timm's."""
    import timm

    from sat.models.pretrained import find_cached

    found = find_cached(row.architecture, row.revision)
    config: Any = timm.get_pretrained_cfg(row.architecture)
    _check_classes(row.model, config.num_classes, images)
    return found is not None


def _check_classes(model: str, outputs: int, images: Images | None) -> None:
    from sat.models.classifier import check_classes

    if images:
        named = images.listing.classes is not None
        check_classes(model, outputs, int(images.labels.max()), images.listing.n_classes, named)
