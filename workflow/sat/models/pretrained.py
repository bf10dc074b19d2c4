"""Weights that others have trained: from the Hugging Face hub, or from a file of the user."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
from torch import Tensor

from sat.errors import SatError
from sat.models.classifier import Classifier, build, classifier_layers, plan_blueprint, read_blueprint

log = logging.getLogger("sat")
FILES = ("model.safetensors", "pytorch_model.bin")
"""Names of weight files in a repository of the hub, the preferred one first."""
PAUSE = 2.0
"""Seconds before the second attempt. The pause doubles before each further attempt."""


@dataclass(frozen=True)
class Download:
    """A file of the hub, in the local cache."""

    path: Path
    repository: str
    revision: str
    """Commit of the file."""
    file: str


def fetch(architecture: str, revision: str | None = None, attempts: int = 4) -> Download:
    """Fetch the pretrained weights of a timm model from the hub, or find them in the local cache.

    Parameters
    ----------
    architecture : str
        Name of a timm architecture with its tag.
    revision : str, optional
        Commit of the repository; the newest by default.
    attempts : int
        Number of attempts if a download breaks off. The part that has arrived is kept.

    Returns
    -------
    Download

    Raises
    ------
    SatError
        If timm knows no such weights, the hub has none, or it cannot be
        reached and they are not in the cache.
    """
    from huggingface_hub import constants

    config = _on_hub(architecture)
    names = _files(config)
    # The hub's own client would try for half a minute if the name server does not answer.
    offline = constants.HF_HUB_OFFLINE or not _reachable()
    for attempt in range(1, attempts + 1):
        try:
            return _find(config.hf_hub_id, names, revision, offline)
        except SatError:
            raise
        except Exception as error:  # errors of the HTTP library, which depends on the version of the hub's client
            log.warning("%s: attempt %d of %d: %s", config.hf_hub_id, attempt, attempts, _line(error))
        if attempt < attempts:
            time.sleep(PAUSE * 2 ** (attempt - 1))
    raise SatError(
        f"{config.hf_hub_id}: the download broke off {attempts} times; run Snakemake again, and it will continue."
    )


def find_cached(architecture: str, revision: str | None = None) -> Download | None:
    """Look for pretrained weights in the hub's local cache, without a network.

    Parameters
    ----------
    architecture : str
        Name of a timm architecture with its tag.
    revision : str, optional
        Commit of the repository.

    Returns
    -------
    Download or None
        None if they are not there.

    Raises
    ------
    SatError
        If timm knows no such weights.
    """
    config = _on_hub(architecture)
    try:
        return _find(config.hf_hub_id, _files(config), revision, offline=True)
    except SatError:
        return None


def _on_hub(architecture: str) -> Any:
    """What timm says of an architecture that has weights on the hub."""
    try:
        config: Any = timm.get_pretrained_cfg(architecture)
    except RuntimeError:  # the architecture has no such tag
        config = None
    if config is None or not config.hf_hub_id:
        raise SatError(
            f"architecture {architecture!r}: timm {timm.__version__} knows no weights of this name on the hub; "
            f"'sat describe {architecture.split('.')[0]}' prints the name with its default tag."
        )
    return config


def _files(config: Any) -> Sequence[str]:
    return (config.hf_hub_filename,) if config.hf_hub_filename else FILES


def _find(repository: str, names: Sequence[str], revision: str | None, offline: bool) -> Download:
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    for name in names:
        try:
            path = Path(hf_hub_download(repository, name, revision=revision, local_files_only=offline))
        except LocalEntryNotFoundError:
            if not offline:
                raise  # the connection was lost in the meantime
        except EntryNotFoundError:
            pass
        except HfHubHTTPError as error:
            status = getattr(error.response, "status_code", 500)
            if status >= 500 or status == 429:
                raise
            raise SatError(f"{repository}: the hub refuses it ({_line(error)}).") from None
        else:
            return Download(path, repository, path.parent.name, name)
    if offline:
        command = " ".join(["hf download", repository, names[0], *(["--revision", revision] if revision else [])])
        raise SatError(
            f"{repository}: its weights are not in the cache {constants.HF_HUB_CACHE}, and the hub cannot be reached. "
            f"On a machine with internet access and the same HF_HOME, run: {command}"
        )
    raise SatError(
        f"{repository}: holds no {' nor '.join(names)}; give the path of a checkpoint in the column 'weights' instead."
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _reachable() -> bool:
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    try:
        get_session().head(constants.ENDPOINT, timeout=10)
    except Exception as error:  # errors of the HTTP library, which depends on the version of the hub's client
        log.warning("%s cannot be reached (%s)", constants.ENDPOINT, _line(error))
        return False
    return True


def load_pretrained(
    architecture: str,
    path: Path | str,
    input_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Classifier:
    """Build a model around weights that timm distributes.

    Parameters
    ----------
    architecture : str
        Name of a timm architecture with its tag.
    path : path
        File from the hub.
    input_size, mean, std : optional
        See `plan_blueprint`.

    Returns
    -------
    Classifier

    Raises
    ------
    SatError
        If the weights do not fit the architecture. Random weights never replace them.
    """
    config: Any = timm.get_pretrained_cfg(architecture)
    blueprint = plan_blueprint(architecture, config.num_classes, input_size, mean, std)
    try:
        net = timm.create_model(
            architecture,
            pretrained=True,
            # timm itself loads the file: it renames keys, drops the background class and resamples positions.
            pretrained_cfg_overlay={"file": str(path), "custom_load": False},
            **blueprint.options,
        )
    except Exception as error:  # any error that a damaged file causes in torch, safetensors or timm's key filters
        raise SatError(f"{path}: are no weights of {architecture!r} ({_line(error)}).") from None
    return Classifier(net, blueprint)


def load_checkpoint(
    architecture: str,
    path: Path | str,
    input_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Classifier:
    """Build a model around a user's checkpoint, which is a state dict with the architecture's own keys.

    Parameters
    ----------
    architecture : str
        Name of a timm architecture.
    path : path
        A .safetensors file, or a file that torch.load reads with weights_only. The
        number of classes is that of its classifier.
    input_size, mean, std : optional
        See `plan_blueprint`. If a study of this project made the weights, the
        values in the file are the default.

    Returns
    -------
    Classifier

    Raises
    ------
    SatError
        If the file cannot be read, or its keys or shapes are not those of the architecture.
    """
    from timm.models import load_state_dict

    try:
        own = read_blueprint(path) if Path(path).suffix == ".safetensors" else None
        state: dict[str, Tensor] = load_state_dict(str(path), use_ema=False)
        if not all(isinstance(value, Tensor) for value in state.values()):
            raise TypeError("it holds other things than tensors")
    except Exception as error:  # any error that a damaged or foreign file causes in torch, safetensors or pickle
        raise SatError(
            f"{path}: cannot be read as a state dict ({_line(error)}); save one with torch.save(net.state_dict(), ...) "
            "or safetensors."
        ) from None
    if own:
        input_size, mean, std = input_size or own.input_size, mean or own.mean, std or own.std
    blueprint = plan_blueprint(architecture, _outputs(architecture, state), input_size, mean, std)
    classifier = build(blueprint)
    expected = classifier.net.state_dict()
    faults = [
        f"{len(keys)} {what} keys ({', '.join(sorted(keys)[:5])}{', ...' if len(keys) > 5 else ''})"
        for what, keys in (
            ("missing", expected.keys() - state.keys()),
            ("unexpected", state.keys() - expected.keys()),
        )
        if keys
    ]
    faults += [
        f"{key} has the shape {tuple(state[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in expected.keys() & state.keys()
        if state[key].shape != expected[key].shape
    ][:5]
    if faults:
        raise SatError(f"{path}: is no checkpoint of {architecture!r}: {'; '.join(faults)}.")
    classifier.net.load_state_dict(state)
    return classifier


def _outputs(architecture: str, state: dict[str, Tensor]) -> int:
    """Number of classes of a checkpoint, which is the number of rows of its classifier."""
    for name in classifier_layers(architecture):
        if (weight := state.get(f"{name}.weight")) is not None:
            return int(weight.shape[0])
    config: Any = timm.get_pretrained_cfg(architecture)
    return int(config.num_classes) if config else 1000
