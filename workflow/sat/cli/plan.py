"""Show what would run and why, and what time and memory it takes."""

from __future__ import annotations

import argparse
from pathlib import Path

GROUP = "Prepare a study"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    add_study(parser)
    parser.add_argument(
        "--speed",
        type=Path,
        metavar="FILE",
        help="measured speed of the device, as 'make bench' writes it to benchmarks/devices (default: that of this "
        "machine's processor, for a study that computes on the CPU)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the plan."""
    from sat.cli.tools import plan_of, results_folder, study_of
    from sat.errors import SatError
    from sat.status.outlook import outlook
    from sat.study.expected import Device, this_device

    study = study_of(arguments)
    kind = study.config.compute.device
    device = Device.read(arguments.speed) if arguments.speed else this_device(kind)
    if device and device.kind != kind:
        raise SatError(
            f"{device.path}: this is the speed of a device of kind {device.kind}, and the study computes on {kind}; "
            "name a file of that kind, or change compute.device."
        )
    print(outlook(plan_of(study), results_folder(study), device))
