"""Show versions of stages, and record what a change of code means."""

from __future__ import annotations

import argparse

GROUP = "Develop SAT"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "verdict", nargs="?", choices=("same", "bump"), help="whether the output still means the same (same) or not"
    )
    parser.add_argument(
        "stages",
        nargs="*",
        help="stages, or units such as attacks/fgsm (default, for same only: all whose code has changed)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the versions, or write the lock."""
    from sat.errors import SatError
    from sat.study.lock import drifted, entries, settle, versions

    known = entries()
    if unknown := [stage for stage in arguments.stages if stage not in known]:
        raise SatError(f"no such stage or unit: {', '.join(unknown)}; there are {', '.join(known)}.")
    if arguments.verdict == "bump" and not arguments.stages:
        raise SatError("name the stages whose output now has another meaning, as in: sat stages bump attack.")
    if arguments.verdict:
        settle(arguments.stages or drifted(), bump=arguments.verdict == "bump")
    changed = drifted()
    settled = versions()
    for name in known:
        version = settled.get(name, "not set yet")
        print(f"{name:<26} version {version}{'   code has changed: same, or bump?' if name in changed else ''}")
    return 1 if changed else 0
