"""Processes of their own that import nothing that takes long: they are forked from one that has imported it."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent
OURS = {str(TESTS), str(TESTS.parent / "workflow")}
HEAVY = ["nets", "snakemake.cli", "pandas", "pyarrow.parquet", "h5py", "scipy.stats", "scipy.optimize"]
HEAVY += ["sklearn.cluster", "sklearn.ensemble", "sklearn.manifold", "matplotlib.pyplot", "seaborn"]
"""What is imported beforehand; the first brings torch and timm. A job of a tiny study takes a fifth of a second beside
the 3 s of its imports."""
CLIENT = """#!{python} -IS
import os, socket, sys
if sys.argv[1:3] != ["-m", "sat"]:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
line = socket.socket(socket.AF_UNIX)
line.connect({address!r})
socket.send_fds(line, [b"!"], [0, 1, 2])
variables = [name + b"=" + value for name, value in os.environb.items()]
words = list(map(os.fsencode, [str(len(sys.argv)), os.getcwd(), *sys.argv[1:]]))
line.sendall(b"\\0".join([*words, *variables]))
line.shutdown(socket.SHUT_WR)
sys.exit(int(line.recv(8) or 1))
"""
"""Stands for Python in the jobs of Snakemake: hands words, environment and streams on, and ends as the job did. What is
no job runs in a new Python."""


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
    """Call Snakemake from a folder; its jobs are forked too."""
    return subprocess.CompletedProcess(words, *apart(_snakemake, folder, words, dict(environment), seconds=900))


def start(folder: Path, words: tuple[str, ...], environment: Mapping[str, str], log: Path) -> ForkServerProcess:
    """Start Snakemake from a folder, in a session of its own that can be killed; return its main process."""
    process = _server().Process(target=_in_session, args=(folder, words, dict(environment), log))
    process.start()
    return process


def sat(
    folder: Path, words: tuple[str, ...], environment: Mapping[str, str], given: str
) -> subprocess.CompletedProcess[str]:
    """Call the library's command line from a folder, with text on its standard input; jobs that it calls are forked."""
    return subprocess.CompletedProcess(words, *apart(_sat, folder, words, dict(environment), given))


@functools.cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(HEAVY)
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
    _enter(folder, environment)
    from snakemake.cli import main

    with tempfile.TemporaryDirectory() as place, _jobs(Path(place)) as client:
        # The jobs find Python in the folder of Snakemake's.
        sys.executable = str(client)
        # The Snakefile looks whether the command may run jobs.
        sys.argv = ["snakemake", *words]
        return _said(lambda: main(list(words)))


def _in_session(folder: Path, words: tuple[str, ...], environment: dict[str, str], log: Path) -> None:
    os.setsid()
    status, output, errors = _snakemake(folder, words, environment)
    log.write_text(output + errors)
    os._exit(int(bool(status)))


def _sat(folder: Path, words: tuple[str, ...], environment: dict[str, str], given: str) -> tuple[int, str, str]:
    _enter(folder, environment)
    with tempfile.TemporaryFile("w+") as stream:
        stream.write(given)
        stream.seek(0)
        os.dup2(stream.fileno(), 0)
        if words[:1] != ("reproduce",):
            return _said(lambda: _run_sat(list(words)))
        with tempfile.TemporaryDirectory() as place, _jobs(Path(place)) as client:
            sys.executable = str(client)
            return _said(lambda: _run_sat(list(words)))


def _enter(folder: Path, environment: Mapping[str, str]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # as the environment says
    # The library is that of the folder.
    forget("sat")
    sys.path[:] = [place for place in sys.path if place not in OURS]


def _said(call: Callable[[], object]) -> tuple[int, str, str]:
    """Exit status of a call, and what it wrote, its child processes included."""
    status: Any = 0
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        os.dup2(output.fileno(), 1)
        os.dup2(errors.fileno(), 2)
        try:
            call()
        except SystemExit as end:
            status = end.code or 0
        sys.stdout.flush()
        sys.stderr.flush()
        said = []
        for stream in (output, errors):
            stream.seek(0)
            said.append(stream.read())
    return status, said[0], said[1]


def _run_sat(words: list[str]) -> None:
    """What ``python -m sat`` does. Its streams are those of the process, and the hub's client reads its settings."""
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.argv = ["sat", *words]
    sys.path[:0] = os.environ["PYTHONPATH"].split(os.pathsep)
    forget("huggingface_hub")
    runpy.run_module("sat", run_name="__main__", alter_sys=True)


@contextlib.contextmanager
def _jobs(folder: Path) -> Iterator[Path]:
    """A process that forks a job for every call of the program that is yielded."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "jobs"))
    listener.listen(64)
    client = folder / "python"
    client.write_text(CLIENT.format(python=sys.executable, address=str(folder / "jobs")))
    client.chmod(0o755)
    server = os.fork()
    if not server:
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        while True:
            line, _ = listener.accept()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if not os.fork():
                _job(line)
            line.close()
    listener.close()
    try:
        yield client
    finally:
        os.kill(server, signal.SIGTERM)
        os.waitpid(server, 0)


def _job(line: socket.socket) -> None:
    """Be the job that a client asks for, to its end."""
    status: Any = 1
    try:
        _, streams, *_ = socket.recv_fds(line, 1, 3)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        with line.makefile("rb") as said:
            count, place, *rest = said.read().split(b"\0")
        os.chdir(place)
        os.environ.clear()
        for variable in rest[int(count) - 1 :]:
            name, _, value = variable.partition(b"=")
            os.environb[name] = value
        # What follows -m and sat.
        _run_sat([os.fsdecode(word) for word in rest[2 : int(count) - 1]])
    except SystemExit as ending:
        status = ending.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        # Whatever happens, it must not go on as its parent: not even where its client was killed.
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
            line.sendall(str(status).encode())
        os._exit(int(bool(status)))


def forget(package: str) -> None:
    """Let a package be imported anew."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]
