"""Weights that others have trained: from the Hugging Face hub, or from a file of the user."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
from safetensors import safe_open
from timm.models import clean_state_dict
from torch import Tensor, nn

from sat.errors import SatError, in_a_line
from sat.models.classifier import Classifier, build, outputs, plan_blueprint, read_blueprint
from sat.models.own import Own
from sat.store.torch_file import Declared, Other, TorchFile

log = logging.getLogger("sat")
FILES = ("model.safetensors", "pytorch_model.bin")
"""Names of weight files in a repository of the hub, the preferred one first."""
PLAIN = ("state_dict", "model_state_dict", "model", "net")
"""Keys of a state dict in a checkpoint, as timm, PyTorch's own tutorial and others write them."""
AVERAGED = ("state_dict_ema", "model_ema")
"""Keys of averaged weights in a checkpoint, as timm writes them."""
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
            log.warning("%s: attempt %d of %d: %s", config.hf_hub_id, attempt, attempts, in_a_line(error))
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
            raise SatError(f"{repository}: the hub refuses it ({in_a_line(error)}).") from None
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


def _reachable() -> bool:
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    try:
        get_session().head(constants.ENDPOINT, timeout=10)
    except Exception as error:  # errors of the HTTP library, which depends on the version of the hub's client
        log.warning("%s cannot be reached (%s)", constants.ENDPOINT, in_a_line(error))
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
        raise SatError(f"{path}: are not weights of {architecture!r} ({in_a_line(error)}).") from None
    _check_values(net, path)
    return Classifier(net, blueprint)


def load_checkpoint(
    architecture: str,
    path: Path | str,
    input_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    own: Own | None = None,
    classes: int | None = None,
    ema: bool = False,
) -> Classifier:
    """Build a model around a user's checkpoint, which is a state dict with the architecture's own keys.

    Parameters
    ----------
    architecture : str
        Name of a timm architecture, or function of a code file.
    path : path
        A .safetensors file, or a file of torch.save. The number of classes is that of its classifier.
    input_size, mean, std : optional
        See `plan_blueprint`. If the file is the weights of a study of this project, the values in it are the default.
    own : Own, optional
        Code file and arguments of a net that is not timm's.
    classes : int, optional
        Number of classes of such a net.
    ema : bool
        Whether to take the averaged weights, of a file that holds both.

    Returns
    -------
    Classifier

    Raises
    ------
    SatError
        If the file cannot be read, its keys or shapes are not those of the architecture, or its values are impossible.
    """
    try:
        said = read_blueprint(path) if Path(path).suffix == ".safetensors" else None
        state = open_state(path, ema)
    except Exception as error:  # any error that a damaged or foreign file causes in torch, safetensors or pickle
        raise SatError(
            f"{path}: cannot be read as a state dict ({in_a_line(error)}); save one with "
            "torch.save(net.state_dict(), ...) or safetensors."
        ) from None
    if said:
        input_size, mean, std = input_size or said.input_size, mean or said.mean, std or said.std
    state = _without_wrapper(state, path)
    shapes = state.shapes
    blueprint = plan_blueprint(architecture, classes or outputs(architecture, shapes), input_size, mean, std, own)
    classifier = build(blueprint)
    expected = {name: tuple(value.shape) for name, value in classifier.net.state_dict().items()}
    faults = [
        f"{len(keys)} {what} keys ({', '.join(sorted(keys)[:5])}{', ...' if len(keys) > 5 else ''})"
        for what, keys in (
            # PyTorch counts batches since 0.4.1; the count changes nothing of a trained net.
            ("missing", {name for name in expected.keys() - shapes.keys() if not name.endswith("num_batches_tracked")}),
            ("unexpected", shapes.keys() - expected.keys()),
        )
        if keys
    ]
    faults += [
        f"{key} has the shape {shapes[key]} instead of {expected[key]}"
        for key in expected.keys() & shapes.keys()
        if shapes[key] != expected[key]
    ][:5]
    if faults:
        raise SatError(f"{path}: is not a checkpoint of {architecture!r}: {'; '.join(faults)}.")
    classifier.net.load_state_dict({name: state.read(name) for name in expected if name in shapes}, strict=False)
    _check_values(classifier.net, path)
    return classifier


@dataclass(frozen=True)
class State:
    """The state dict in a file, of which nothing has been read yet but its index."""

    shapes: Mapping[str, tuple[int, ...]]
    """Shape of each tensor. The file is large enough to hold it."""
    read: Callable[[str], Tensor]
    """Read the tensor of a name."""


def _without_wrapper(state: State, path: Path | str) -> State:
    """Take off the prefix that Lightning gives the keys of a net."""
    if not state.shapes or not all(name.startswith("model.") for name in state.shapes):
        return state
    log.info("%s: the prefix 'model.' of all keys is taken off", path)
    shapes = {name.removeprefix("model."): shape for name, shape in state.shapes.items()}
    return State(shapes, lambda name: state.read(f"model.{name}"))


def open_state(path: Path | str, ema: bool = False) -> State:
    """Open a checkpoint, and compare the sizes that it declares with those that it has.

    Parameters
    ----------
    path : path
        A .safetensors file, or a file of torch.save. A state dict under one of the keys `PLAIN` is taken. What else
        is in the file, such as an optimiser's state, is not read and may be of any size.
    ema : bool
        Whether to take the averaged weights instead, under `state_dict_ema` or `model_ema`.

    Returns
    -------
    State
        Names are without the prefixes of compiled and parallel modules.

    Raises
    ------
    Exception
        Any error that a damaged or foreign file causes in safetensors, zipfile or pickle.
    """
    if Path(path).suffix == ".safetensors":
        if ema:
            raise TypeError("a .safetensors file holds one set of weights; leave out #ema")
        # The library compares the header with the file.
        tensors = safe_open(path, "pt")
        names = clean_state_dict({name: name for name in tensors.keys()})  # noqa: SIM118 - it is no mapping
        shapes = {name: tuple(tensors.get_slice(own).get_shape()) for name, own in names.items()}
        return State(shapes, lambda name: tensors.get_tensor(names[name]))
    file = TorchFile(path)
    found = file.root
    if isinstance(found, dict):
        averaged = next((key for key in AVERAGED if isinstance(found.get(key), dict)), None)
        if ema and not averaged:
            raise TypeError(f"it holds no averaged weights, under {' or '.join(AVERAGED)}")
        if averaged:
            which, other = ("averaged", "without #ema") if ema else ("plain", "with #ema after the file's name")
            log.info("%s: holds plain and averaged weights; the %s ones are taken (the others: %s)", path, which, other)
        keys = (averaged,) if ema else PLAIN
        found = next((found[key] for key in keys if isinstance(found.get(key), dict)), found)
    _check_state(found)
    for name, value in found.items():
        try:
            file.check(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    found = clean_state_dict(found)
    return State({name: tuple(value.shape) for name, value in found.items()}, lambda name: file.read(found[name]))


def _check_state(found: Any) -> None:
    """Accept names with tensors, and say what else there is."""
    if isinstance(found, Other):
        raise TypeError("it holds a whole module or another object, which would have to run to be read")
    if not isinstance(found, dict):
        kind = "tensor" if isinstance(found, Declared) else type(found).__name__
        raise TypeError(f"it holds one {kind}")
    other = [key for key, value in found.items() if not isinstance(key, str) or not isinstance(value, Declared)]
    if not other:
        return
    parts = [key for key in other if isinstance(found[key], dict)]
    if any(isinstance(found[key], Other) for key in PLAIN if key in found):
        raise TypeError("it holds a whole module, which would have to run to be read")
    if parts:
        raise TypeError(f"a state dict is looked for under {', '.join(PLAIN)}, and it has {', '.join(map(str, found))}")
    raise TypeError(f"it holds other things than tensors, under {other[0]!r}")


def _check_values(net: nn.Module, path: Path | str) -> None:
    """Refuse weights that are not finite, and variances below zero: predictions would be wrong without an error."""
    averages = [(name, value) for name, value in net.named_buffers() if "running_" in name]
    for name, value in (*net.named_parameters(), *averages):
        wrong = ~value.isfinite() if not name.endswith("running_var") else ~(value.isfinite() & (value >= 0))
        if wrong.any():
            rule = "a variance is never negative" if value.isfinite().all() else "weights are finite numbers"
            raise SatError(
                f"{path}: {name} holds {value[wrong][0].item():g} ({int(wrong.sum())} of {value.numel()} values); "
                f"{rule}, so the file is damaged, or its training has failed."
            )
