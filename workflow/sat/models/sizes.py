"""Numbers of a network by which memory and time of its jobs are estimated: operations, and memory for an image."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from sat.logs import log
from sat.models.classifier import Classifier
from sat.models.without_compiler import without_compiler


def count_macs(net: nn.Module, images: Tensor) -> int:
    """Run a network once, and count the multiply-accumulates of its convolutions and matrix products.

    Parameters
    ----------
    net : nn.Module
        The network, in evaluation mode.
    images : float Tensor, shape (n, channels, height, width)
        Images on the network's device, which may be the meta device.

    Returns
    -------
    int
        Multiply-accumulates for all of the images.
    """
    # The counter's hooks need a gradient function, and fail on pit without one. With a gradient, PyTorch also leaves
    # its fused attention layer alone, which the counter does not know. Nor does it know the attention kernels of a CPU.
    images = images.detach().requires_grad_()
    # Nothing is kept for a gradient, which is never computed.
    nothing = torch.empty(0)
    forget = saved_tensors_hooks(lambda _: nothing, lambda _: nothing)
    with torch.enable_grad(), forget, sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        net(images)
    # It counts a multiplication and an addition as two operations.
    operations: int = counter.get_total_flops()
    return operations // 2


class _Live(TorchDispatchMode):
    """Sum up the memory of the tensors that operations make, until they are freed, and keep the largest sum."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.most = 0, 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = tree_leaves((args, kwargs))
        # Those that operations read may be weights, or made already; views share them.
        read = {value.untyped_storage()._cdata for value in given if isinstance(value, Tensor)}
        made = function(*args, **(kwargs or {}))
        for value in tree_leaves(made):
            if isinstance(value, Tensor):
                storage = value.untyped_storage()
                if storage._cdata not in read and storage._cdata not in self._known:
                    self._add(storage)
        return made

    def _add(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()
        self._known.add(place)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._free, place, size)

    def _free(self, place: int, size: int) -> None:
        self._known.discard(place)
        self.now -= size


def activation_mb(classifier: Classifier, gradient: bool) -> float:
    """Measure the memory that tensors take in a forward pass of one image.

    Parameters
    ----------
    classifier : Classifier
        In evaluation mode.
    gradient : bool
        Whether what a gradient with respect to the image needs is kept.

    Returns
    -------
    float
        MB of 10^6 bytes: the most at any time, and with `gradient` at the end.
    """
    side, device = classifier.blueprint.input_size, classifier.mean.device
    images = torch.zeros(1, 3, side, side, device=device, requires_grad=gradient)
    with torch.set_grad_enabled(gradient), _Live() as live:
        logits = classifier(images)
    del logits
    most: int = live.most
    return most / 1e6


def size_facts(classifier: Classifier) -> dict[str, Any]:
    """Find the numbers by which the jobs of a classifier are estimated.

    Parameters
    ----------
    classifier : Classifier
        It is frozen on return.

    Returns
    -------
    dict
        ``n_parameters``, ``gmacs`` and ``input_size``, as in the model table; ``forward_mb`` and ``gradient_mb``, the
        memory of the tensors for one image (see `activation_mb`). All but the first are for an image of the model's
        own size. What cannot be found is left out.
    """
    side = classifier.blueprint.input_size
    facts: dict[str, Any] = {"n_parameters": sum(value.numel() for value in classifier.net.parameters())}
    facts["input_size"] = side
    try:
        classifier.requires_grad_(False).eval()
        image = torch.zeros(1, 3, side, side, device=classifier.mean.device)
        # PyTorch keeps the compiler away from the modes that count.
        with without_compiler():
            facts["gmacs"] = count_macs(classifier.net, image) / 1e9
            facts["forward_mb"] = activation_mb(classifier, gradient=False)
            facts["gradient_mb"] = activation_mb(classifier, gradient=True)
    except Exception as error:  # the user's net may do anything, and these are only for estimates
        log.warning("operations and memory cannot be counted (%s: %s)", type(error).__name__, error)
    return facts
