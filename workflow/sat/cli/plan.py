"""Show what would run and why, and what time and memory it takes."""

from __future__ import annotations

import argparse
import math
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
    parser.add_argument(
        "--sat-error",
        type=float,
        metavar="E",
        help="also say how many landmarks estimates of SAT need that are off by E (root mean square), and what they "
        "cost (docs/landmarks.md)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the plan."""
    from sat.cli.tools import plan_of, results_folder, say_elsewhere, study_of
    from sat.errors import SatError
    from sat.status.outlook import outlook
    from sat.study.expected import Device, this_device

    study, wanted = study_of(arguments), arguments.sat_error
    if wanted is not None and not 0 < wanted < math.inf:
        raise SatError(f"--sat-error {wanted}: write a number above 0, such as 0.1.")
    if wanted and study.config.matrix:
        raise SatError(f"--sat-error: study {study.name} starts from a matrix, so no pair of it is tried.")
    kind = study.config.compute.device
    device = Device.read(arguments.speed) if arguments.speed else this_device(kind)
    if device and device.kind != kind:
        raise SatError(
            f"{device.path}: this is the speed of a device of kind {device.kind}, and the study computes on {kind}; "
            "name a file of that kind, or change compute.device."
        )
    say_elsewhere(arguments, study)
    print(outlook(plan_of(study), results_folder(study), device, wanted))
