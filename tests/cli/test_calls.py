"""Which commands of Snakemake run jobs: its own source and its own parser say so."""

from __future__ import annotations

import ast
import inspect

import pytest
from snakemake import cli

from sat.cli.calls import LOOKS, runs_jobs

DELETE = {"delete_all_output", "delete_temp_output"}
"""Options that run no job, and yet must not meet a run."""
RUN = [
    "",
    "-pk -c1",
    "--printshell",
    "--conda-prefix /x --sdm conda",
    "--conda-frontend conda",
    "--report r.html --report-after-run",
    "--report-stylesheet x.css",
    "--container-image x",
    "--config seed=-n",
    "--until dag -j 4",
    "--forcerun -- summary",
    "--configfile x.yaml --profile slurm",
    "--edit-notebook x",
    "--no-such-option -n",
]
LOOK = [
    "-np",
    "-c1 -pn",
    "--dryr",
    "--report",
    "--report r.zip --report-stylesheet x.css",
    "--reporter html",
    "--detailed",
    "--lint",
    "--lint json",
    "--dag",
    "--rulegraph mermaid-js",
    "--cleanup-metadata x",
    "--containerize",
    "--generate-unit-tests",
    "--archive x.tar.gz",
    "--delete-all-output -n",
    "--list-changes code",
]


def without_execution() -> set[str]:
    """Options that Snakemake's source asks for before it comes to the call that executes the workflow."""
    found = set()
    for node in ast.walk(ast.parse(inspect.getsource(cli.args_to_api))):
        if isinstance(node, ast.If) and "execute_workflow" in "".join(map(ast.unparse, node.orelse)):
            assert "execute_workflow" not in "".join(map(ast.unparse, node.body))
            found |= {part.attr for part in ast.walk(node.test) if isinstance(part, ast.Attribute)}
    return found - {"report_after_run"}


def test_every_option_that_keeps_snakemake_from_executing_is_known() -> None:
    # A new one, of a new Snakemake, is to be sorted: does it only look, or does it delete?
    assert without_execution() == set(LOOKS) - {"dryrun", "touch"} | DELETE


def test_every_flag_of_snakemake_is_told_by_its_whole_name() -> None:
    flags = {
        name: option.dest
        for option in cli.get_argument_parser()._actions
        for name in option.option_strings
        if option.nargs == 0 and option.dest not in ("help", "version")
    }
    assert len(flags) > 80
    looks = without_execution() - DELETE | {"dryrun", "touch"}
    assert {name for name in flags if not runs_jobs([name])} == {name for name, dest in flags.items() if dest in looks}


@pytest.mark.parametrize("line", RUN)
def test_a_command_that_may_run_jobs_is_told(line: str) -> None:
    assert runs_jobs(line.split())


@pytest.mark.parametrize("line", LOOK)
def test_a_command_that_only_looks_is_told(line: str) -> None:
    assert not runs_jobs(line.split())
