"""Processes of their own that import nothing that takes long: they are forked from one that has imported it."""

from __future__ import annotations

import functools
import multiprocessing
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent
OURS = {str(TESTS), str(TESTS.parent / "workflow")}


def apart(function: Callable[..., Any], *arguments: object, seconds: float = 600) -> Any:
    """Call a function of a helper module in a new process; return what it returns."""
    outcome, sender = _server().Pipe(duplex=False)
    process = _server().Process(target=_answer, args=(sender, function, arguments))
    process.start()
    sender.close()
    try:
        assert outcome.poll(seconds), f"no answer within {seconds} s"
        result, error = outcome.recv()
    except EOFError:
        process.join()
        raise AssertionError(f"ended with {process.exitcode} and without an answer") from None
    finally:
        process.kill()
        process.join()
    assert not error, error
    return result


def snakemake(folder: Path, words: tuple[str, ...], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Call Snakemake from a folder."""
    return subprocess.CompletedProcess(words, *apart(_snakemake, folder, words, dict(environment), seconds=900))


@functools.cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["nets", "snakemake.cli"])
    kept = dict(os.environ)
    # What it imports beforehand, it looks for there alone.
    os.environ |= {"PYTHONPATH": os.pathsep.join(OURS), "OMP_NUM_THREADS": "1"}
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(kept)
    return context


def _answer(sender: Connection, function: Callable[..., Any], arguments: tuple[object, ...]) -> None:
    try:
        answer = function(*arguments), ""
    except BaseException:
        answer = None, traceback.format_exc()[-3000:]
    sender.send(answer)


def _snakemake(folder: Path, words: tuple[str, ...], environment: dict[str, str]) -> tuple[int, str, str]:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # The library is that of the folder.
    forget("sat")
    sys.path[:] = [place for place in sys.path if place not in OURS]
    from snakemake.cli import main

    status: Any = 0
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        os.dup2(output.fileno(), 1)
        os.dup2(errors.fileno(), 2)
        try:
            main(list(words))
        except SystemExit as end:
            status = end.code or 0
        sys.stdout.flush()
        sys.stderr.flush()
        said = []
        for stream in (output, errors):
            stream.seek(0)
            said.append(stream.read())
    return status, said[0], said[1]


def forget(package: str) -> None:
    """Let a package be imported anew."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]
