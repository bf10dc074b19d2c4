"""sat status: before, during and after runs, failed and killed ones too."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import pytest

from conftest import ROOT
from projects import ANALYSES, PAGES, SNAKEMAKE, Project, unwrapped
from sat.status.progress import QUIET, progress
from sat.store.history import HISTORY
from sat.study.plan import Plan
from sat.study.study import load_study


def counts(text):
    """Stage to (jobs, done, running, failed, to do)."""
    rows = re.findall(r"^(\w+) +((?:[\d,]+ +){4}[\d,]+)", text, re.MULTILINE)
    return {stage: tuple(int(number.replace(",", "")) for number in numbers.split()) for stage, numbers in rows}


def status(project):
    done = project.sat("status")
    assert done.returncode == 0, done.stderr
    return done.stdout


def jobs_of(plan):
    return set(plan.jobs())


def test_before_anything_ran(write_study, tmp_path):
    study = load_study([write_study()])
    text = str(progress(Plan(study), tmp_path / "results/tiny", tmp_path / ".snakemake"))
    # study, manifest, 3 kinds of images, 4 jobs a model, 4 tiles, similarity, the analyses, and the pages.
    jobs = 1 + 1 + 3 + 4 * 3 + 4 + 1 + len(ANALYSES | PAGES)
    assert f"Study tiny: 0 of {jobs} jobs done." in text and "No log of Snakemake" in text
    assert counts(text)["attack"] == (3, 0, 0, 0, 3) and counts(text)["total"] == (jobs, 0, 0, 0, jobs)
    assert re.search(
        r"at most \d+ h \d+ min from the time limits of images, train, clean, attack, evaluate", unwrapped(text)
    )


@pytest.mark.slow
def test_finished_and_the_names_of_logs_and_benchmarks(finished):
    text = status(finished)
    jobs = counts(text)["total"][0]
    assert f"{jobs} of {jobs} jobs done" in text and "Nothing is left to do." in text and "last run ended" in text
    assert all(total == done for total, done, *_ in counts(text).values())
    took, disk = re.search(r"^attack .* (\d+ s) +([\d.]+ [kM]B)$", text, re.MULTILINE).groups()
    assert took, "the mean time"
    used = sum(path.stat().st_size for path in (finished.results / "adversarial").iterdir() if path.is_file())
    assert disk == f"{used / 1000:.1f} kB", "the sets and their sidecars"
    planned = jobs_of(Plan(load_study([finished.folder / "config.yaml"])))
    for folder, suffix in (("logs", ".log"), ("benchmarks", ".tsv")):
        written = finished.results / folder
        assert planned == {
            str(path.relative_to(written)).removesuffix(suffix) for path in written.rglob("*") if path.is_file()
        }


@pytest.mark.slow
def test_the_69_models_take_no_torch_and_their_logs_are_where_snakemake_says(tmp_path):
    study = ROOT / "studies/imagenet69.yaml"
    words = ["status", "--study", str(study), "--config", "tile_size=1"]
    script = f"import sys; from sat.__main__ import main; main({words}); sys.exit('torch' in sys.modules)"
    (tmp_path / "results/imagenet69/logs").mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begun < 30, "a second, on a machine with nothing else to do"
    assert counts(done.stdout)["evaluate"] == (4761, 0, 0, 0, 4761) and counts(done.stdout)["hub"][0] == 69
    listed = Project(tmp_path).snakemake("-n", "-s", str(ROOT / "Snakefile"), "--configfile", str(study))
    assert listed.returncode == 0, listed.stderr
    logs = re.findall(r"^    log: results/imagenet69/logs/(.+)\.log$", listed.stdout, re.MULTILINE)
    assert set(logs) == jobs_of(Plan(load_study([study])))


@pytest.mark.slow
def test_a_failed_job_with_the_end_of_its_log(project):
    project.configure(min_accuracy=1.0)
    assert project.snakemake("--keep-going").returncode == 1
    text = status(project)
    assert counts(text)["gate"] == (3, 0, 0, 3, 0) and counts(text)["attack"] == (3, 3, 0, 0, 0)
    failed = text[text.index("Failed (logs in results/tiny/logs/):") :]
    assert re.search(r"  gate/vit\.log \(written \d+ s ago\)\n    .*INFO gate", failed)
    assert "    Error: model 'vit': gets" in failed and "min_accuracy is 1" in failed
    # Elsewhere, where Snakemake's own folder is not: the logs of the jobs say the same.
    (project.folder / ".snakemake/log").rename(project.folder / ".snakemake/no log")
    text = status(project)
    assert counts(text)["gate"] == (3, 0, 0, 3, 0) and "No log of Snakemake" in text
    assert "its log says so" in text


@pytest.mark.slow
def test_an_older_log_is_not_taken_for_that_of_a_quiet_run(project):
    assert "Snakemake's last run ended" in status(project)
    project.run("--quiet", "--forcerun", "crate")
    text = status(project)
    assert "Nothing is left to do." in text and ".snakemake/log" not in text
    assert re.search(
        r"names a job of the last run \(with --quiet, none does\)\. It finished after \d+ s\.", unwrapped(text)
    )
    assert "\n  snakemake --quiet --forcerun crate\n" in text.replace(" --cores 2", "")


@pytest.mark.slow
def test_during_a_run_and_after_kills(project):
    project.configure(training={"epochs": 5000, "batch_size": 64, "learning_rate": 0.002})
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen(
        [SNAKEMAKE, "--cores", "2", "--keep-going"],
        cwd=project.folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def wait_for(*stage_counts):
        for _ in range(120):
            text = status(project)
            if counts(text)["train"] == stage_counts and text.count(" INFO epoch ") >= stage_counts[2]:
                return text
            time.sleep(0.5)
        raise AssertionError(text)

    try:
        text = wait_for(3, 0, 2, 0, 1)
        assert re.search(r"Snakemake is (perhaps )?at work", text)
        assert counts(text)["images"] == (3, 3, 0, 0, 0) and counts(text)["clean"] == (3, 0, 0, 0, 3)
        assert re.search(
            r"Running \(logs in results/tiny/logs/\):\n  weights/\w+\.log \(written \d+ s ago\)\n    .*epoch", text
        )
        assert "with 2 jobs side by side, as in the last minutes" in unwrapped(text)
        assert "Running jobs count as if they had not begun." in unwrapped(text)
        # From outside, as for its memory: its log ends as if it went on, and only Snakemake knows.
        jobs = [child for child in psutil.Process(run.pid).children(recursive=True) if "train" in child.cmdline()]
        jobs[0].kill()
        text = wait_for(3, 0, 2, 1, 0)
        assert "Snakemake says so, the log does not: was it killed" in text
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    # Nothing in any file says that the main process is gone.
    assert counts(status(project))["train"] == (3, 0, 2, 1, 0)
    for path in (*project.results.glob("logs/weights/*"), *project.folder.glob(".snakemake/log/*")):
        times = path.stat()
        os.utime(path, (times.st_atime, times.st_mtime - QUIET - 60))
    # The run began as long ago.
    history = project.results / HISTORY
    lines = [json.loads(line) for line in history.read_text().splitlines()]
    for line in lines:
        line["time"] = (datetime.fromisoformat(line["time"]) - timedelta(seconds=QUIET + 60)).isoformat()
    history.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    text = status(project)
    assert counts(text)["train"] == (3, 0, 0, 1, 2)
    assert "nothing has been written for 11 min" in text and "the 2 job(s) that it has started are silent" in unwrapped(
        text
    )


STARTED = """[Mon Nov 23 02:15:56 2026]
localrule gate:
    input: results/tiny/clean/vit.h5, results/tiny/clean/vit.h5.json
    log: results/tiny/logs/gate/vit.log
    jobid: 20
Shell command: python -m sat gate
"""
FAILED = """[Mon Nov 23 02:15:57 2026]
Error in rule gate:
    jobid: 20
    log: results/tiny/logs/gate/vit.log (check log file(s) for error details)
"""
ENDED = "Complete log(s): /there/.snakemake/log/x.snakemake.log\n"


@pytest.mark.parametrize(
    ("said", "log", "age", "benchmark_age", "state"),
    [
        (STARTED, None, 0, None, "running"),
        (STARTED, "02:15:56 INFO gate", 9 * QUIET, None, "running"),
        (STARTED + FAILED + STARTED, "Error: at the first try", 60, None, "running"),
        (STARTED + FAILED, None, 0, None, "failed"),
        (STARTED + FAILED + ENDED, "02:15:56 INFO gate", 60, None, "failed"),
        (STARTED + FAILED + ENDED, "Traceback (most recent call last):\nKeyboardInterrupt", 60, None, "to do"),
        (STARTED + ENDED, "02:15:56 INFO gate", 60, None, "to do"),
        ("", "Traceback (most recent call last):\nOSError: no space left", 9 * QUIET, None, "failed"),
        ("", "Error: tried again\n02:15:56 INFO second try", 9 * QUIET, None, "to do"),
        ("", "Error: once, but it succeeded later", 9 * QUIET, 8 * QUIET, "to do"),
        ("", "02:15:56 INFO gate", 60, None, "running"),
        ("", "02:15:56 INFO gate", 9 * QUIET, None, "to do"),
        ("", "", 9 * QUIET, None, "to do"),
    ],
)
def test_what_logs_say(write_study, tmp_path, monkeypatch, said, log, age, benchmark_age, state):
    plan = Plan(load_study([write_study()]))
    monkeypatch.chdir(tmp_path)
    now = time.time()

    def write(path, text, age):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (now - age, now - age))

    results = Path("results/tiny")
    if said:
        write(tmp_path / ".snakemake/log/2026-11-23T021555.5.snakemake.log", said, 5)
        # Newer, but a report's and another study's.
        write(tmp_path / ".snakemake/log/2026-11-23T031555.5.snakemake.log", "", 4)
        write(tmp_path / ".snakemake/log/2026-11-23T041555.5.snakemake.log", STARTED.replace("tiny", "other"), 3)
    if log is not None:
        write(results / "logs/gate/vit.log", log, age)
    if benchmark_age is not None:
        write(results / "benchmarks/gate/vit.tsv", "s\th:m:s\n1.0\t0:00:01\n", benchmark_age)
    found = progress(plan, results, now=now)
    assert {job.name: job.state for job in found.jobs if job.state != "to do"} == (
        {} if state == "to do" else {"gate/vit": state}
    )
    assert str(found)


@pytest.mark.slow
def test_time_left_from_benchmarks(project):
    plan = Plan(load_study([project.folder / "config.yaml"]))
    for job in ("c1-000/c1-000", "c1-000/c1-001", "c1-001/c1-000"):
        (project.results / f"tiles/{job}.h5.json").unlink()
    (project.results / "benchmarks/evaluate/c1-001/c1-001.tsv").write_text("s\th:m:s\n4000\t1:06:40\n")
    found = progress(plan, project.results, project.folder / ".snakemake")
    # Three jobs of 4,000 s, two at a time; the log names the results as the rules do.
    assert "about 3 h 20 min from the mean of 1 finished job(s); with one job at a time" in found.time_left()
    text = status(project)
    assert "about 1 h 40 min from the mean of 1 finished job(s); with 2 jobs side by side" in unwrapped(text)
