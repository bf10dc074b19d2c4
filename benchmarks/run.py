"""Run benchmarks and print one table for each: ``python benchmarks/run.py [NAME...] [--repeats N] [--write]``."""

from __future__ import annotations

import argparse
import os
from datetime import date
from importlib import import_module
from pathlib import Path

import harness  # before anything of the library: it sets the path and the number of threads
from sat.store.environment import environment

BENCHMARKS = ("attack", "overlap", "precision", "pairs", "storage", "hashing", "scheduling", "analyses", "atlas")
RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="runs of each contender (default: 3)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="device of precision (default: cpu)")
    parser.add_argument("--write", action="store_true", help=f"also write benchmarks/{RESULTS.name}")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    if arguments.write and arguments.names:
        # A file with tables from several days or machines under one date would mislead.
        parser.error("--write runs every benchmark; give no NAME")
    if arguments.repeats < 1:
        parser.error("--repeats starts at 1")
    harness.DEVICE = arguments.device
    parts = [_heading(arguments.repeats)]
    print(parts[0], flush=True)
    for name in arguments.names or BENCHMARKS:
        harness.say(name)
        table: harness.Table = import_module(name).run(arguments.repeats)
        parts.append(str(table))
        print(table, flush=True)
    if arguments.write:
        RESULTS.write_text("\n".join(parts))


def _heading(repeats: int) -> str:
    found = environment()
    packages = ", ".join(f"{name} {found['packages'][name]}" for name in ("torch", "timm", "h5py", "snakemake"))
    return (
        "# Benchmarks\n\n"
        f"Made by `python benchmarks/run.py --repeats {repeats}` on {date.today()}: {found['machine']['cpu']}, "
        f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the start; Python {found['python']}, "
        f"{packages}.\n\n"
        "Ratios are of runs that stood next to each other: median (least to greatest). Seconds are medians, and mean "
        "nothing on another machine.\n"
    )


if __name__ == "__main__":
    main()
