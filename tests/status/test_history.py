"""The history of runs: what real runs leave in it, and that lines of several processes do not mix."""

from __future__ import annotations

import json
import multiprocessing
import re
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import ROWS
from projects import Project
from sat.errors import SatError
from sat.status.history import tell_history
from sat.store.history import HISTORY, Recorder, join_history, read_history


def write(results: Path, times: int) -> None:
    for _ in range(times):
        recorder = Recorder(results)
        recorder.start(["snakemake", "--config", "x" * 5000], {"attack": 1})
        recorder.end({"attack": 1}, {}, whole=True)


def test_lines_of_several_processes_do_not_mix(tmp_path: Path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write, args=(tmp_path, 20)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    events = [json.loads(line) for line in (tmp_path / HISTORY).read_text().splitlines()]
    assert len(events) == 4 * 20 * 2 and len({event["run"] for event in events}) == 4 * 20
    runs = read_history(tmp_path)
    assert len(runs) == 80 and all(run.end for run in runs)


def test_a_run_without_an_end_and_a_line_that_was_cut(tmp_path: Path):
    with pytest.raises(SatError, match=r"history\.jsonl: cannot be read"):
        tell_history(tmp_path)
    write(tmp_path, 1)
    Recorder(tmp_path).start(["snakemake"], {"train": 2, "attack": 3})
    with (tmp_path / HISTORY).open("a") as stream:
        stream.write('{"event": "end", "run": ')
    first, second = tell_history(tmp_path).split("\n\n")
    assert "UTC: finished after" in first and "UTC: did not end. It was killed, or its host failed." in second
    assert "planned   5 jobs: 3 attack, 2 train" in second
    assert max(map(len, [*first.splitlines(), *second.splitlines()])) <= 80


FORGED = [
    {"event": "start", "run": "x", "time": "2026-01-01T00:00:00+00:00"},
    {"git": "commit"},
    {"joined": "tiny"},
    {"joined": {"study": "tiny"}},
    {"planned": {"attack": "many"}},
    {"planned": ["attack"]},
    {"devices": {"cpus": 2}},
    {"machine": None},
    {"time": "yesterday"},
    {"time": 5},
    {"time": "2026-01-01T00:00:00"},
    {"devices": {"cpus": 2, "gpus": [1]}},
    {"event": "elsewhere"},
    {"event": ["start"]},
    {"run": ["x"], "command": 1},
    [],
    "start",
]


@pytest.mark.parametrize("forged", FORGED)
def test_a_line_that_no_run_has_written_is_left_out(tmp_path: Path, forged: object):
    write(tmp_path, 1)
    path = tmp_path / HISTORY
    start, end = path.read_text().splitlines()
    whole = isinstance(forged, dict) and len(forged) < 3
    wrong = {**json.loads(start), "run": "x", **forged} if whole else forged
    path.write_text("\n".join([start, json.dumps(wrong), end, json.dumps({**json.loads(end), "how": "somehow"})]))
    (run,) = read_history(tmp_path)
    assert run.start == json.loads(start) and run.end == json.loads(end)
    assert tell_history(tmp_path).count("UTC: finished after") == 1


def dated(results: Path, time: str, run: str) -> None:
    """Give the last run of a history another start and a name."""
    *before, start, end = (results / HISTORY).read_text().splitlines()
    lines = [{**json.loads(start), "time": time, "run": run}, {**json.loads(end), "run": run}]
    (results / HISTORY).write_text("\n".join([*before, *map(json.dumps, lines)]) + "\n")


def test_the_runs_of_a_joined_study_stand_between_those_of_the_study(tmp_path: Path):
    ours, theirs, third = (tmp_path / name for name in ("ours", "theirs", "third"))
    for results, day in ((ours, "01"), (ours, "03"), (theirs, "02"), (theirs, "04"), (third, "05")):
        write(results, 1)
        dated(results, f"2026-01-{day}T00:00:00+00:00", f"run{day}")
    # Whoever makes an archive can write anything into it.
    with (theirs / HISTORY).open("a") as stream:
        stream.write((ours / HISTORY).read_text().replace('"xxx', '"yyy') + '{"event": "start", "joined": 5}\n')
    before = (ours / HISTORY).read_bytes()
    assert join_history(theirs, third, {"study": "third", "archive": "third.zip"}) == 1
    assert join_history(ours, theirs, {"study": "tiny", "archive": "tiny.zip"}) == 3
    assert (ours / HISTORY).read_bytes().startswith(before), "what was written stays as it is"
    runs = read_history(ours)
    assert [run.start["run"] for run in runs] == ["run01", "run02", "run03", "run04", "run05"]
    assert [run.start.get("joined", {}).get("study") for run in runs] == [None, "tiny", None, "tiny", "third"]
    assert runs[1] == replace(runs[1], end=read_history(theirs)[1].end) and "yyy" not in runs[0].start["command"]
    said = tell_history(ours).split("\n\n")
    assert ["of study  tiny, joined from tiny.zip" in each for each in said] == [False, True, False, True, False]

    # A study without a history gives none, and takes over what there is.
    assert join_history(ours, tmp_path / "nothing", {"study": "none", "archive": "none.zip"}) == 0
    assert join_history(tmp_path / "new", theirs, {"study": "tiny", "archive": "tiny.zip"}) == 5


@pytest.mark.slow
def test_a_run_is_recorded_and_a_dry_run_is_not(finished: Project, project: Project):
    history = project.results / HISTORY
    start, end = map(json.loads, history.read_text().splitlines())
    models = len(ROWS)
    assert start["command"] == "snakemake --cores 2"
    assert start["planned"] == end["ran"] and end["failed"] == {} and end["how"] == "finished"
    assert {rule: end["ran"][rule] for rule in ("train", "attack", "evaluate", "images", "crate")} == {
        "train": models, "attack": models, "evaluate": 4, "images": 3, "crate": 1
    }  # fmt: skip
    sidecar = json.loads((project.results / "similarity/sat.csv.json").read_text())
    assert all(start[key] == sidecar[key] for key in ("git", "packages", "python", "machine"))
    before = history.read_bytes()
    project.run("--dry-run", "--forcerun", "similarity")
    project.run()
    assert history.read_bytes() == before, "neither a dry run nor a run with nothing to do is recorded"

    project.configure(min_accuracy=1.0)
    assert project.snakemake("--keep-going").returncode == 1
    assert history.read_bytes().startswith(before), "what was written stays as it is"
    said = project.sat("history").stdout
    assert re.search(r"^2\. [-\d]+ [:\d]+ UTC: failed after \d+ s\.$", said, re.MULTILINE), said
    assert f"failed    {models} gate" in said and "command   snakemake --cores 2 --keep-going" in said
    assert "whole" not in said and max(map(len, said.splitlines())) <= 80
