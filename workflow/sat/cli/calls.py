"""How the commands for people call Snakemake: with a study that they have checked, and no YAML of it."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from hashlib import sha256
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

from sat.logs import log
from sat.store.files import replacing
from sat.store.runs import STUDIES
from sat.study.study import FILES, merged_config

CLONE = Path(__file__).resolve().parents[3]
CORES = re.compile(r"-[cj].*|--(cores|jobs|profile)(=.*)?")
"""Words that say how many jobs run at once."""
LOOKS = [
    "dryrun",
    "touch",
    "lint",
    "list_target_rules",
    "list_rules",
    "print_compilation",
    "containerize",
    "generate_unit_tests",
    "dag",
    "rulegraph",
    "filegraph",
    "d3dag",
    "unlock",
    "cleanup_metadata",
    "conda_cleanup_envs",
    "conda_create_envs_only",
    "list_conda_envs",
    "cleanup_shadow",
    "container_cleanup_images",
    "list_changes",
    "list_input_changes",
    "list_params_changes",
    "list_untracked",
    "summary",
    "detailed_summary",
    "archive",
    "deploy_sources",
]
"""Options with which Snakemake neither runs jobs nor deletes results, by the names that its parser gives to them."""


def runs_jobs(words: Sequence[str]) -> bool:
    """Say whether a command of Snakemake may run jobs or delete results; otherwise, it only looks.

    Snakemake's own parser says what the words mean: some options begin like others, and may be abbreviated. The
    options of a profile are not read.

    Parameters
    ----------
    words : sequence of str
        Words of the command, without the program's name.
    """
    from snakemake.cli import get_argument_parser

    parser = get_argument_parser()
    try:
        with redirect_stderr(StringIO()):
            asked = parser.parse_args(list(words))
    except SystemExit:
        return True  # words of another program, which uses Snakemake as a library
    reports = (asked.report or asked.reporter) and not asked.report_after_run
    return not reports and all(getattr(asked, name, None) == parser.get_default(name) for name in LOOKS)


def call_snakemake(arguments: argparse.Namespace, words: Sequence[str] = ()) -> None:
    """Check a study, and become the Snakemake process that runs it.

    Parameters
    ----------
    arguments : argparse.Namespace
        With the study, and the words that are passed on.
    words : sequence of str
        Words that come before those.

    Raises
    ------
    SatError
        If the study is not valid.
    """
    words = [*words, *arguments.passed_on]
    # The project's own profile is named, because Snakemake would prefer one that lies in the working folder.
    call = ["--snakefile", str(CLONE / "Snakefile"), "--workflow-profile", str(CLONE / "profiles/default")]
    call += [] if any(map(CORES.fullmatch, words)) else ["--cores", "all"]
    call += [*words, *live_display(words), "--configfile", str(write_study(arguments))]
    call += ["--config", *arguments.config] if arguments.config else []
    log.info("%s", shlex.join(["snakemake", *call]))
    sys.stdout.flush()
    # Python imports nothing from the working folder.
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    os.execve(sys.executable, [sys.executable, "-m", "snakemake", *call], environment)


def live_display(words: Sequence[str]) -> list[str]:
    """Words that ask Snakemake for its live display, where a terminal shows it and nothing else was asked for.

    No profile asks for it. A profile cannot know whether there is a terminal: in a file, the display says nothing about
    any job. Snakemake fails where the plugin is not installed, and no word on the command line takes it back.

    Parameters
    ----------
    words : sequence of str
        The other words of the call.
    """
    asked = any(word.startswith(("--logger", "--quiet", "-q")) for word in words)
    installed = find_spec("snakemake_logger_plugin_rich") is not None
    return ["--logger", "rich"] if installed and sys.stderr.isatty() and not asked else []


def write_study(arguments: argparse.Namespace) -> Path:
    """Check a study, and write its config files as one JSON file.

    Snakemake runs code in YAML files, and none in JSON. The file is written in the folder of the call: the study's own
    folder may be read-only, and two projects may use it. The file names the study's files, from which paths start, so
    every job is the same as with those files. It is named by its content: jobs of a cluster read it when they start,
    so another call, which may be refused, must not change it. A later run removes it (`sat.store.runs`).

    Parameters
    ----------
    arguments : argparse.Namespace

    Returns
    -------
    Path

    Raises
    ------
    SatError
        If the study is not valid.
    """
    from sat.cli.tools import say_elsewhere, study_of

    study = study_of(arguments)
    say_elsewhere(arguments, study)
    files = [Path(file) for file in arguments.study]
    content = {FILES: [str(file.absolute()) for file in files], **merged_config(files)}
    text = json.dumps(content, indent=1, default=str) + "\n"
    path = Path(".snakemake", STUDIES, study.name, f"{sha256(text.encode()).hexdigest()[:16]}.json")
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
