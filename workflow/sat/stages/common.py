"""What the commands of all stages share."""

from __future__ import annotations

import argparse
import gc
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from tqdm import tqdm

from sat.store.artefact import Job
from sat.store.step import Step

if TYPE_CHECKING:
    from sat.models.batches import Batch
    from sat.models.classifier import Classifier

log = logging.getLogger("sat")
Item = TypeVar("Item")


def add_step(parser: argparse.ArgumentParser, compute: bool = False) -> None:
    """Add the arguments that every stage takes.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    compute : bool
        Also those of stages that run models.
    """
    parser.add_argument(
        "--step", required=True, help="what to make, as one line of JSON; '-' reads it from standard input"
    )
    if compute:
        parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
        parser.add_argument("--threads", type=int, default=1, help="CPU threads")
        parser.add_argument("--batch", type=int, default=128, help="images at once; a multiple of 16")
        parser.add_argument("--jobs-per-gpu", type=int, default=1, help="jobs that may share one of several GPUs")


def start(arguments: argparse.Namespace) -> Job:
    """Begin a stage: read the step, and set up torch where the stage runs models.

    Parameters
    ----------
    arguments : argparse.Namespace

    Returns
    -------
    Job
    """
    step = Step.parse(sys.stdin.read() if arguments.step == "-" else arguments.step)
    log.info(
        "%s (version %d): %s", step.stage, step.version, dict(step.params) if len(str(step.params)) < 2000 else "..."
    )
    run: dict[str, Any] = {}
    if "device" in arguments:
        from sat.store.leases import lease_device

        # Before torch looks at the devices.
        leased = lease_device(arguments.jobs_per_gpu) if arguments.device == "cuda" else None
        import torch

        from sat.models.classifier import pick_device

        # Two torch threads on two busy cores were measured 5 to 25 times slower than one.
        torch.set_num_threads(arguments.threads)
        device = pick_device(arguments.device)
        name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
        run = {"device": device, "device_name": name, "threads": arguments.threads, "batch": arguments.batch}
        run.update(leased or {})
    # What imports have made (see __main__) stays out of every later search for garbage.
    gc.freeze()
    gc.enable()
    return Job(step, run)


def batch_of(job: Job) -> Batch:
    """Batch size of a job that runs models; its sidecar says what the GPU's memory made of it."""
    from sat.models.batches import Batch

    def on_halve(size: int) -> None:
        job.run = {**job.run, "batch": size, "batch_asked": asked}

    asked: int = job.run["batch"]
    return Batch(asked, on_halve)


def progress(
    items: Iterable[Item], description: str, total: int | None = None, size: Callable[[Item], int] = lambda item: 1
) -> Iterator[Item]:
    """Show progress: a moving bar on a terminal, now and then a line in a log file.

    Parameters
    ----------
    items : iterable
    description : str
    total : int, optional
        Sum of the sizes, if it is not the number of items.
    size : callable, optional
        How much of the total an item is.

    Yields
    ------
    item
    """
    if sys.stderr.isatty():
        with tqdm(desc=description, total=total if total is not None else len(items)) as bar:  # type: ignore[arg-type]
            for item in items:
                yield item
                bar.update(size(item))
        return
    total = total if total is not None else len(items)  # type: ignore[arg-type]
    begun = shown = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += size(item)
        now = time.monotonic()
        if now - shown > 10 or done == total:
            shown = now
            left = (now - begun) / done * (total - done)
            log.info(
                "%s: %d of %d (%.0f %%), %.0f s so far, about %.0f s left",
                description,
                done,
                total,
                100 * done / total,
                now - begun,
                left,
            )


def save_weights(job: Job, classifier: Classifier, path: str, **facts: Any) -> None:
    """Write weights/<model>.safetensors and its sidecar, with what training or fetching found."""
    from sat.models.classifier import save_classifier
    from sat.store.files import replacing

    with replacing(path) as temporary:
        save_classifier(classifier, temporary)
    job.finish(path, n_parameters=sum(value.numel() for value in classifier.parameters()), **facts)
