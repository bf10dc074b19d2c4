"""Number of multiply-accumulates of a network, by which memory and time of its jobs are estimated."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sat.logs import log
from sat.models.classifier import Classifier


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
    forget = saved_tensors_hooks(lambda _: None, lambda _: None)
    with torch.enable_grad(), forget, sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        net(images)
    # It counts a multiplication and an addition as two operations.
    return counter.get_total_flops() // 2


def size_facts(classifier: Classifier) -> dict[str, int | float | None]:
    """Find the numbers by which the jobs of a classifier are estimated; they have the names of the table's columns.

    Parameters
    ----------
    classifier : Classifier

    Returns
    -------
    dict
        ``n_parameters``, ``gmacs`` (for an image of the model's own size; None if they cannot be counted), and
        ``input_size``.
    """
    net, side = classifier.net, classifier.blueprint.input_size
    parameters = list(net.parameters())
    training, device = net.training, parameters[0].device if parameters else "cpu"
    try:
        gmacs = round(count_macs(net.eval(), torch.zeros(1, 3, side, side, device=device)) / 1e9, 6)
    except Exception as error:  # the user's net may do anything, and this is only for estimates
        log.warning("the multiply-accumulates cannot be counted (%s: %s)", type(error).__name__, error)
        gmacs = None
    finally:
        net.train(training)
    return {"n_parameters": sum(value.numel() for value in parameters), "gmacs": gmacs, "input_size": side}
