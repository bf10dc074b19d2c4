"""Show the stages' versions, and settle what a change of code means."""

from __future__ import annotations

import argparse

GROUP = "Develop SAT"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "verdict", nargs="?", choices=("same", "bump"), help="the output means the same, or it does not"
    )
    parser.add_argument("stages", nargs="*", help="stages; all whose code has changed by default (same only)")


def run(arguments: argparse.Namespace) -> int:
    """Print versions, or write the lock."""
    from sat.errors import SatError
    from sat.study.lock import STAGES, drifted, settle, stage_versions

    if unknown := [stage for stage in arguments.stages if stage not in STAGES]:
        raise SatError(f"no such stage: {', '.join(unknown)}; the stages are {', '.join(STAGES)}.")
    if arguments.verdict == "bump" and not arguments.stages:
        raise SatError("name the stages whose output means something else now: sat stages bump attack.")
    if arguments.verdict:
        settle(arguments.stages or drifted(), bump=arguments.verdict == "bump")
    changed = drifted()
    for stage, version in stage_versions().items():
        print(f"{stage:<12} version {version}{'   code has changed: same, or bump?' if stage in changed else ''}")
    return 1 if changed else 0
