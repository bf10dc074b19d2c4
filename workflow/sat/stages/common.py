"""Code that the commands of all stages share."""

from __future__ import annotations

import argparse
import gc
import sys
from typing import TYPE_CHECKING, Any

from sat.errors import SatError
from sat.logs import log
from sat.store.artefact import Job
from sat.store.step import Step
from sat.units import bring

if TYPE_CHECKING:
    from sat.models.batches import Batch
    from sat.models.classifier import Classifier


def add_compute(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of stages that run models."""
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--batch", type=int, default=128, help="images at once; a multiple of 16")
    parser.add_argument("--jobs-per-gpu", type=int, default=1, help="jobs that may share one of several GPUs")


def start(arguments: argparse.Namespace) -> Job:
    """Begin a stage: read its step from standard input, and set up torch if the stage runs models.

    The step is not an argument, because the step of a thousand models exceeds the length
    limit of an argument.

    Parameters
    ----------
    arguments : argparse.Namespace
        The command's arguments. They hold the step if the caller has it, as ``sat rerun`` does.

    Returns
    -------
    Job

    Raises
    ------
    SatError
        If there is no step.
    """
    step_given = getattr(arguments, "step", None)
    if not step_given and sys.stdin.isatty():
        raise SatError(
            "Snakemake calls this command, and hands it a step on standard input. To run the job of one result by "
            "hand, call: sat rerun results/STUDY/FILE"
        )
    step = Step.parse(step_given or sys.stdin.readline())
    log.info(
        "%s (version %d): %s", step.stage, step.version, dict(step.params) if len(str(step.params)) < 2000 else "..."
    )
    bring(step.params.get("units", {}))
    run: dict[str, Any] = {}
    if "device" in arguments:
        from sat.store.leases import lease_device

        # A GPU must be leased before torch looks at the devices.
        leased = lease_device(arguments.jobs_per_gpu) if arguments.device == "cuda" else None
        import torch

        from sat.models.classifier import pick_device
        from sat.models.precision import pin

        # On two busy cores, two torch threads were measured to be 5 to 25 times slower than one.
        torch.set_num_threads(arguments.threads)
        device = pick_device(arguments.device)
        name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
        run = {"device": device, "device_name": name, "threads": arguments.threads, "batch": arguments.batch}
        run["build"] = _build(device)
        run["precision"] = pin(step.params.get("precision", "float32"), device)
        run.update(leased or {})
    # Objects made by imports (see __main__) are left out of every later garbage collection.
    gc.freeze()
    gc.enable()
    return Job(step, run)


def _build(device: str) -> str:
    """Build of torch and the kernels that it chooses, on which float rounding depends, for the sidecars."""
    import torch

    if device == "cuda":
        return f"torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    return f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"


def batch_of(job: Job) -> Batch:
    """Batch size of a job that runs models; the sidecar records it, also if the GPU's memory makes it smaller."""
    from sat.models.batches import Batch

    def on_halve(size: int) -> None:
        job.run = {**job.run, "batch": size, "batch_asked": asked}

    asked: int = job.run["batch"]
    return Batch(asked, on_halve)


def pop_net(params: dict[str, Any]) -> dict[str, Any]:
    """Take what a step says of a net out of its params: the arguments of `plan_blueprint`, but for the classes."""
    from sat.models.own import Own

    own = Own.of(params)
    named = {name: params.pop(name, None) for name in ("architecture", "input_size", "mean", "std")}
    for name in ("code", "options", "features", "classes"):
        params.pop(name, None)
    return {**named, "own": own}


def classes_of(job: Job, manifest: str) -> int:
    """Number of classes of a net from a code file: what its row says, else that of the study's images."""
    given: int | None = job.step.params.get("classes")
    return given or int(job.facts(job.input("manifest", manifest), "n_classes")["n_classes"])


def save_weights(job: Job, classifier: Classifier, path: str, **facts: Any) -> None:
    """Write weights/<model>.safetensors and its sidecar, with what training or fetching found, and the net's size."""
    from sat.models.classifier import save_classifier
    from sat.models.sizes import size_facts
    from sat.store.files import replacing

    with replacing(path) as temporary:
        save_classifier(classifier, temporary)
    # After the weights are written, so that nothing that the net does here can change them.
    job.finish(path, **size_facts(classifier), **facts)
