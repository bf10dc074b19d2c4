"""How the commands for people call Snakemake: with a study that they have checked, and no YAML of it."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from sat.logs import log
from sat.store.files import replacing
from sat.study.study import FILES, merged_config

CLONE = Path(__file__).resolve().parents[3]
CORES = re.compile(r"-[cj].*|--(cores|jobs|profile)(=.*)?")
"""Words that say how many jobs run at once."""


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
    every job is the same as with those files.

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
    path = Path(".snakemake/studies") / f"{study.name}.json"
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    return path
