"""Run benchmarks and print their tables: ``python benchmarks/run.py [NAME...] [--device cuda] [--write]``.

Without a NAME, it measures what a device is about: throughput against the bound and other libraries, overlap, and what
only a GPU can show. That ends within --minutes; what there was no time for is named.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from datetime import date
from importlib import import_module
from pathlib import Path

import harness  # before anything of the library: it sets the path and the number of threads
from sat.store.environment import environment
from sat.study.expected import device_file

DAY = {"cpu": {"throughput": 7, "overlap": 3, "checks": 0.01}, "cuda": {"throughput": 4, "checks": 4, "precision": 1}}
"""What is measured where no name is given, and shares of the time. What a part leaves goes to the parts after it."""
OTHERS = ("pairs", "storage", "hashing", "scheduling", "landmarks", "analyses", "atlas")
BENCHMARKS = (*dict.fromkeys(name for day in DAY.values() for name in day), *OTHERS)
RESULTS = Path(__file__).with_name("results")


def main() -> None:
    """Run the benchmarks that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="runs of each contender (default: 3)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="(default: cpu)")
    parser.add_argument("--minutes", type=float, default=9, help="time for all where no NAME is given (default: 9)")
    parser.add_argument(
        "--write",
        action="store_true",
        help="also write tables and JSON to benchmarks/results, and the device's speed to benchmarks/devices",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    if arguments.write and arguments.names:
        # A file with tables from several days or machines under one date would mislead.
        parser.error("--write measures all that a device is about; give no NAME")
    if arguments.repeats < 1:
        parser.error("--repeats starts at 1")
    harness.DEVICE = arguments.device
    settings = _settings(arguments.repeats)
    print(heading := _heading(settings), flush=True)
    tables = []
    shares = dict.fromkeys(arguments.names, 0.0) or dict(DAY[arguments.device])
    end = time.monotonic() + 60 * arguments.minutes
    for name, share in list(shares.items()):
        harness.say(name)
        if not arguments.names:
            harness.DEADLINE = time.monotonic() + (end - time.monotonic()) * share / sum(shares.values())
        found = import_module(name).run(arguments.repeats)
        # A benchmark may yield its tables one by one, and each is printed once it is there.
        for table in [found] if isinstance(found, harness.Table) else found:
            tables.append(table)
            print(table, flush=True)
        shares.pop(name)
    if arguments.write:
        write(heading, settings, tables)


def write(heading: str, settings: dict[str, object], tables: list[harness.Table]) -> None:
    """Write the tables, the same as JSON, and the speed of the device."""
    path = device_file(harness.device_name(harness.DEVICE))
    RESULTS.mkdir(exist_ok=True)
    RESULTS.joinpath(f"{path.stem}.md").write_text("\n".join([heading, *map(str, tables)]))
    contents = {**settings, "tables": [table.json for table in tables]}
    RESULTS.joinpath(f"{path.stem}.json").write_text(json.dumps(contents, indent=1) + "\n")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(harness.SPEED, indent=1) + "\n")
    harness.say(f"written: benchmarks/results/{path.stem}.md and .json, benchmarks/devices/{path.name}")


def _settings(repeats: int) -> dict[str, object]:
    found = environment()
    return {
        "command": harness.command(),
        "date": str(date.today()),
        "device": harness.device_name(harness.DEVICE),
        "cpu": found["machine"]["cpu"],
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "repeats": repeats,
        "python": found["python"],
        "packages": {name: found["packages"][name] for name in ("torch", "timm", "h5py", "snakemake")},
    }


def _heading(settings: dict[str, object]) -> str:
    packages = settings["packages"]
    assert isinstance(packages, dict)
    return (
        "# Benchmarks\n\n"
        f"Made by `{settings['command']}` on {settings['date']}: {settings['device']}; {settings['cpu']}, "
        f"{settings['cores']} cores, load average {settings['load']} at the start; Python {settings['python']}, "
        f"{', '.join(f'{name} {version}' for name, version in packages.items())}.\n\n"
        "Ratios are of runs that stood next to each other: median (least to greatest). Seconds are medians, and mean "
        "nothing on another machine.\n"
    )


if __name__ == "__main__":
    main()
