"""Studies through profiles/slurm, on a real SLURM that the tests start: what is asked for, given, and survived."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import WITHOUT_ACCOUNTING, Cluster, NoSlurm, SlurmJob, most_at_once, overlapping, wait_for
from conftest import ROOT, ROWS, TINY
from projects import ANALYSES, PAGES, SNAKEMAKE, Project, locked_copy

pytestmark = pytest.mark.slow

# The GPUs are none, so nothing computes on them; SLURM hands them out all the same.
GPUS = {"device": "cpu", "gpu_request": "gpus", "batch_size": 32}
SLURM = ("--profile", "slurm", *WITHOUT_ACCOUNTING, "--latency-wait", "20")
MODELS = ("vit1", "vit2", "vit3")
# Attacks that last, in many parts.
LONG = {
    **TINY,
    "images": {**TINY["images"], "attack_images": 240},
    "training": {"epochs": 3, "batch_size": 64, "learning_rate": 0.002},
    "attack": {"eps": "24/255", "step": "8/255", "steps": 100},
    "compute": {**GPUS, "batch_size": 16},
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of this test worker's own."""
    cluster = Cluster()
    try:
        cluster.start()
    except NoSlurm as reason:
        if os.environ.get("SAT_REQUIRE_SLURM"):
            pytest.fail(f"SAT_REQUIRE_SLURM is set, and there is no SLURM: {reason}")
        pytest.skip(f"no SLURM: {reason}")
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that has everything but attacks and what follows; not to be changed. One for all workers."""
    base = tmp_path_factory.getbasetemp()

    def make(folder: Path) -> None:
        rows = [{**ROWS[1], "model": model} for model in MODELS]
        Project.new(folder, LONG, rows).run(*(f"results/tiny/clean/{model}.gate.json" for model in MODELS))

    return Project(locked_copy((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "trained", make))


@pytest.fixture
def ready(trained: Project, tmp_path: Path) -> Project:
    """A copy of it, to do anything to."""
    return trained.copy(tmp_path / "a project")


class Run:
    """Snakemake at work in a project, with a cluster."""

    def __init__(self, cluster: Cluster, project: Project, *words: str, command: tuple[str, ...] = ()) -> None:
        self.output = project.folder / f"run-{uuid.uuid4().hex[:6]}.log"
        environment = {**cluster.environment, "PYTHONPATH": str(project.folder / "workflow")}
        with self.output.open("w") as stream:
            self.process = subprocess.Popen(
                [*(command or (SNAKEMAKE, *SLURM)), *words],
                cwd=project.folder,
                env=environment,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self.output.read_text()

    def wait(self, seconds: float = 420) -> int:
        try:
            return self.process.wait(seconds)
        finally:
            self.stop()

    def stop(self) -> None:
        """End what is left of it, whatever has happened."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def going(self) -> bool:
        """For conditions that only make sense while it goes on."""
        assert self.process.poll() is None, self.log[-6000:]
        return True


def jobs(cluster: Cluster, project: Project, rule: str | None = None, wildcards: str | None = None) -> list[SlurmJob]:
    """SLURM's record of a project's jobs."""
    found = cluster.jobs(folder=str(project.folder))
    return [job for job in found if rule in (None, job.rule) and wildcards in (None, job.wildcards)]


def sidecar(project: Project, name: str) -> dict[str, dict[str, object]]:
    return json.loads((project.results / f"{name}.json").read_text())


def parts(project: Project, model: str) -> list[Path]:
    return sorted(project.results.glob(f"adversarial/.{model}.h5.parts-*/*.part"))


def attacking(cluster: Cluster, project: Project, model: str) -> SlurmJob | None:
    """The SLURM job that attacks a model, once it runs and has left a part of its own."""
    written = max((part.stat().st_mtime for part in parts(project, model)), default=0)
    for job in jobs(cluster, project, "attack", model):
        if job.state == "RUNNING" and job.start and job.start.timestamp() <= written:
            return job
    return None


def attempt(cluster: Cluster, project: Project, model: str, number: int) -> SlurmJob | None:
    """The SLURM job of an attempt, counted from 1, to attack a model."""
    submitted = jobs(cluster, project, "attack", model)
    return submitted[number - 1] if len(submitted) >= number else None


@contextlib.contextmanager
def damaged(project: Project, name: str) -> Iterator[None]:
    """Bytes of a result that are not those of its sidecar, until the block ends; Snakemake does not see it."""
    path = project.results / name
    kept = path.with_name(f"{path.name}.kept")
    shutil.copy2(path, kept)
    with path.open("r+b") as stream:
        stream.seek(-4, os.SEEK_END)
        stream.write(bytes(byte ^ 255 for byte in path.read_bytes()[-4:]))
    try:
        yield
    finally:
        # The inode stays.
        path.write_bytes(kept.read_bytes())
        shutil.copystat(kept, path)
        kept.unlink()


def attacks(*models: str) -> list[str]:
    return [f"results/tiny/adversarial/{model}.h5" for model in models]


def check_end(project: Project) -> None:
    """Whatever has happened, the rest of the study, run here since that is quicker, ends in what the study asks."""
    project.run()
    verified = project.sat("verify", "--full")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert project.planned() == {}
    assert not list(project.results.glob("**/.*parts*")), "parts are left behind"


def test_the_whole_study_is_what_a_machine_alone_makes(cluster: Cluster, finished: Project, tmp_path: Path) -> None:
    project = Project.new(tmp_path / "a project", {**TINY, "compute": GPUS}, ROWS)
    run = Run(cluster, project)
    assert run.wait() == 0, run.log[-6000:]

    found = jobs(cluster, project)
    counts = {rule: sum(job.rule == rule for job in found) for rule in {job.rule for job in found}}
    on_gpus = {"train": 3, "clean": 3, "attack": 3, "evaluate": 4}
    without = {"images": 3, "similarity": 1, **dict.fromkeys((ANALYSES | PAGES) - {"crate"}, 1)}
    assert counts == on_gpus | without, "study, manifest, gates and the crate run beside Snakemake itself"
    assert all(job.state == "COMPLETED" for job in found)
    with_gpu = [job for job in found if job.rule in on_gpus]
    assert all(job.gpus == 1 and job.requested == "TresPerJob=gres:gpu:1" for job in with_gpu)
    assert not any(job.gpus for job in found if job.rule in without)
    # Two GPUs, and nothing else is scarce: the three attacks waited for each other.
    assert most_at_once(with_gpu) == 2
    # SLURM's own file of completed jobs, too, names each once.
    completed = re.findall(r"^JobId=(\d+) ", cluster.completed(), re.MULTILINE)
    assert all(completed.count(str(job.id)) == 1 for job in found)

    names = [f"adversarial/{row['model']}.h5" for row in ROWS]
    names += [f"tiles/{target}/{source}.h5" for target in ("c1-000", "c1-001") for source in ("c1-000", "c1-001")]
    ids = {str(job.id) for job in with_gpu}
    for name in names:
        made_by = sidecar(project, name)["job"]
        assert made_by["slurm_job"] in ids and made_by["visible_devices"] in ("0", "1")
    assert {sidecar(project, name)["job"]["visible_devices"] for name in names} == {"0", "1"}
    assert "slurm_job" not in json.loads((project.results / "study.json").read_text()).get("job", {})

    compared = 0
    for path in sorted(finished.results.glob("**/*.h5.json")):
        name = str(path.relative_to(finished.results))
        ours, theirs = json.loads((project.results / name).read_text()), json.loads(path.read_text())
        assert ours["content_sha256"] == theirs["content_sha256"], name
        compared += 1
    assert compared == 3 + 3 + 3 + 4
    for name in ("similarity/sat.csv", "similarity/pairs.parquet", "weights/vit.safetensors"):
        assert (project.results / name).read_bytes() == (finished.results / name).read_bytes(), name
    logs = list((project.folder / ".snakemake/slurm_logs").glob("**/*.log"))
    assert len(logs) == len(found), "logs are kept"
    events = [json.loads(line) for line in (project.results / "provenance/history.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["start", "end"], "the jobs' own Snakemakes write nothing"
    beside = {"study": 1, "manifest": 1, "gate": 3, "crate": 1}
    assert events[1]["ran"] == events[0]["planned"] == counts | beside
    check_end(project)


def test_cancelled_timed_out_failed_and_on_a_node_that_goes_down(cluster: Cluster, ready: Project) -> None:
    """One run in which everything happens to its three attacks, and which ends well by itself."""
    patterns = ("images/*", "weights/*", "clean/*")
    before = {pattern: ready.state(pattern) for pattern in patterns}
    host = cluster.call("sinfo", "--noheader", "--format=%n").strip()
    with contextlib.ExitStack() as damage:
        damage.enter_context(damaged(ready, "weights/vit3.safetensors"))
        run = Run(cluster, ready, *attacks(*MODELS))

        def downed() -> set[int]:
            if not any(attacking(cluster, ready, model) for model in ("vit1", "vit2")):
                return set()
            running = {job.id for job in jobs(cluster, ready) if job.state == "RUNNING"}
            cluster.call("scontrol", "update", f"NodeName={host}", "State=DOWN", "Reason=test")
            wait_for("the node to go down", lambda: "DOWN" in cluster.node_state())
            cluster.call("scontrol", "update", f"NodeName={host}", "State=RESUME")
            return running

        def cancelled() -> SlurmJob | None:
            if job := attacking(cluster, ready, "vit1"):
                cluster.call("scancel", str(job.id))
            return job

        def timed_out() -> SlurmJob | None:
            if job := attacking(cluster, ready, "vit2"):
                # It hangs: SLURM looks at limits twice a minute only.
                cluster.call("scancel", "--signal=STOP", str(job.id))
                cluster.call("scontrol", "update", f"JobId={job.id}", "EndTime=now+1")
            return job

        def failed() -> SlurmJob | None:
            job = attempt(cluster, ready, "vit3", 1)
            if job and job.state == "FAILED":
                damage.close()
                return job
            return None

        down = wait_for("a node that goes down", lambda: run.going() and downed())
        events = {"cancelled": cancelled, "timed out": timed_out, "failed": failed}
        happened: dict[str, SlurmJob] = {}

        def all_happened() -> bool:
            for name, event in events.items():
                if name not in happened and (job := event()):
                    happened[name] = job
            return run.going() and len(happened) == len(events)

        wait_for("all that is to happen", all_happened, 240)
    assert run.wait() == 0, run.log[-6000:]

    found = {job.id: job for job in jobs(cluster, ready)}
    states = {name: found[job.id].state for name, job in happened.items()}
    assert states == {"cancelled": "CANCELLED", "timed out": "TIMEOUT", "failed": "FAILED"}
    for first in happened.values():
        second = attempt(cluster, ready, first.wildcards, 2)
        assert second and second.id > first.id and second.name == first.name, "a new job of the same run"
        assert second.memory_mb > first.memory_mb and second.minutes > first.minutes
        assert second.requested == first.requested == "TresPerJob=gres:gpu:1"
    # SLURM itself queued again what the node took down.
    assert down and all(found[number].restarts == 1 for number in down)
    assert overlapping(list(found.values())) == []
    assert most_at_once([job for job in found.values() if job.gpus]) <= 2
    for model in ("vit1", "vit2"):
        assert sidecar(ready, f"adversarial/{model}.h5")["facts"]["n_resumed"] > 0, model
    assert {pattern: ready.state(pattern) for pattern in patterns} == before, "nothing finished was made again"
    check_end(ready)


def test_others_finish_when_a_job_fails_for_good(cluster: Cluster, ready: Project) -> None:
    ready.configure(attack={**LONG["attack"], "steps": 2})
    targets = attacks(*MODELS)
    with damaged(ready, "weights/vit1.safetensors"):
        run = Run(cluster, ready, "--retries", "0", *targets)
        assert run.wait() != 0
    said = "Error: results/tiny/weights/vit1.safetensors: its content is not what its sidecar"
    assert said in run.log, "the command's log is shown"
    states = {job.wildcards: job.state for job in jobs(cluster, ready, "attack")}
    assert states == {"vit1": "FAILED", "vit2": "COMPLETED", "vit3": "COMPLETED"}
    assert ready.planned(*targets) == {"attack": ["adversarial/vit1.h5"]}


@pytest.mark.parametrize(("request_", "asked", "gpus"), [("gres", "TresPerNode=gres:gpu:1", 1), ("none", "", 0)])
def test_a_gpu_is_asked_for_as_the_study_says_with_a_profile_of_the_users_own(
    cluster: Cluster, ready: Project, request_: str, asked: str, gpus: int
) -> None:
    ready.configure(attack={**LONG["attack"], "steps": 1}, compute={**LONG["compute"], "gpu_request": request_})
    (ready.folder / "mine").mkdir()
    (ready.folder / "mine/config.yaml").write_text("executor: slurm\njobs: 4\n")
    command = (str(SNAKEMAKE), "--profile", "mine", *WITHOUT_ACCOUNTING)
    run = Run(cluster, ready, *attacks("vit1"), command=command)
    assert run.wait() == 0, run.log[-6000:]
    (job,) = jobs(cluster, ready)
    assert (job.rule, job.requested, job.gpus) == ("attack", asked, gpus)
    assert job.memory_mb > 0 and job.minutes > 0
    assert ("visible_devices" in sidecar(ready, "adversarial/vit1.h5")["job"]) == bool(gpus)


@pytest.fixture
def orphaned(cluster: Cluster, ready: Project) -> Iterator[tuple[Project, list[SlurmJob]]]:
    """A project whose Snakemake was killed while two attacks ran; they go on."""
    # The third model is retired: nothing of it is left to do.
    ready.write_table([{**ROWS[1], "model": model, "use": "no" if model == "vit3" else "yes"} for model in MODELS])
    run = Run(cluster, ready, *attacks(*MODELS[:2]))
    running = [
        wait_for("an attack", lambda model=model: run.going() and attacking(cluster, ready, model))
        for model in MODELS[:2]
    ]
    run.process.send_signal(signal.SIGKILL)
    run.process.wait()
    yield ready, running
    cluster.call("scancel", *(str(job.id) for job in jobs(cluster, ready)))


def resume(cluster: Cluster, project: Project, *words: str) -> Run:
    command = (sys.executable, "-m", "sat", "resume", *words, "--", *SLURM[2:], *attacks(*MODELS[:2]))
    return Run(cluster, project, command=command)


def test_resume_cancels_the_jobs_of_a_dead_run_and_no_others(
    cluster: Cluster, orphaned: tuple[Project, list[SlurmJob]], tmp_path: Path
) -> None:
    project, running = orphaned
    patterns = ("images/*", "weights/*", "clean/*")
    before = {pattern: project.state(pattern) for pattern in patterns}
    (tmp_path / "elsewhere").mkdir()
    # A job of another folder's run, as of a copy of this one; and one of the user's own, in this folder.
    mine = {
        cluster.call(
            *f"sbatch --parsable -J {name} -D".split(), str(folder), "--mem=100", "--wrap", "sleep 600"
        ).strip()
        for name, folder in ((running[0].name, tmp_path / "elsewhere"), ("mine", project.folder))
    }
    run = resume(cluster, project)
    assert run.wait() == 0, run.log[-6000:]
    left = {str(job.id): job.state for job in cluster.jobs() if str(job.id) in mine}
    assert left == dict.fromkeys(mine, "RUNNING")
    cluster.call("scancel", *mine)

    found = [job for job in jobs(cluster, project) if job.name != "mine"]
    assert {job.state for job in found if job.name == running[0].name} == {"CANCELLED"}
    assert len({job.name for job in found}) == 2, "two runs"
    assert overlapping(found) == []
    for model in MODELS[:2]:
        assert sidecar(project, f"adversarial/{model}.h5")["facts"]["n_resumed"] > 0
    assert {pattern: project.state(pattern) for pattern in patterns} == before
    check_end(project)


def test_resume_waits_for_the_jobs_of_a_dead_run_and_takes_over_what_they_finish(
    cluster: Cluster, orphaned: tuple[Project, list[SlurmJob]]
) -> None:
    project, running = orphaned
    refused = project.snakemake("--profile", "slurm", environment=cluster.environment)
    assert refused.returncode != 0 and "of a run that was killed" in refused.stdout + refused.stderr
    run = resume(cluster, project, "--wait")
    wait_for(
        "the orphans' attacks",
        lambda: (
            run.going() and all((project.results / f"adversarial/{model}.h5.json").exists() for model in MODELS[:2])
        ),
    )
    made = {model: project.state(f"adversarial/{model}.h5*") for model in MODELS[:2]}
    assert run.wait() == 0, run.log[-6000:]
    assert {model: project.state(f"adversarial/{model}.h5*") for model in MODELS[:2]} == made
    assert "Nothing to be done" in run.log
    found = jobs(cluster, project)
    assert [job.id for job in found] == sorted(job.id for job in running), "no second job"
    assert {job.state for job in found} == {"COMPLETED"}
    check_end(project)
    # Snakemake has a record of what it did not see end: other settings make it again.
    assert project.planned("--config", "attack={steps: 101}")["attack"] == [
        "adversarial/vit1.h5",
        "adversarial/vit2.h5",
    ]


def test_resume_leaves_a_living_run_alone(cluster: Cluster, ready: Project) -> None:
    # It is cut off; on a quick machine a shorter attack would have ended by then.
    ready.configure(attack={**LONG["attack"], "steps": 400})
    run = Run(cluster, ready, *attacks("vit1"))
    wait_for("the attack", lambda: run.going() and attacking(cluster, ready, "vit1"))
    refused = resume(cluster, ready)
    assert refused.wait() == 1 and "another run is at work on results/tiny" in refused.log
    assert f"kill -INT {run.process.pid}" in refused.log
    # As the message says: an interrupted Snakemake cancels its jobs itself.
    run.process.send_signal(signal.SIGINT)
    assert run.wait(120) != 0
    wait_for("the end of its jobs", lambda: not any(job.active for job in jobs(cluster, ready)))
    assert [job.state for job in jobs(cluster, ready)] == ["CANCELLED"]


def test_nets_and_attacks_of_code_files_run_in_jobs_where_the_command_consents(
    cluster: Cluster, tmp_path: Path
) -> None:
    example = ROOT / "examples/own_nets"
    row = {"architecture": "my_nets:small", "weights": "saved.pth", "family": "own", "input_size": "32"}
    rows = [{"model": model, **row, "mean": "0.5", "std": "0.5"} for model in ("one", "two")]
    images = {**TINY["images"], "train_fraction": 0.5}
    project = Project.new(tmp_path / "own", {**TINY, "images": images, "compute": GPUS}, rows)
    project.configure(code=["my_nets.py", "nesterov.py"], attack={**TINY["attack"], "method": "nesterov"})
    for name in ("my_nets.py", "blocks.py", "train.py", "../own_units/nesterov.py"):
        shutil.copy(example / name, project.folder)
    subprocess.run([sys.executable, "train.py", "saved.pth", "0"], cwd=project.folder, check=True)
    assert "SAT_TRUST_CODE" not in cluster.environment
    run = Run(cluster, project, *attacks("one"), "--config", "trust_code=true")
    assert run.wait() == 0, run.log[-6000:]
    assert [job.state for job in jobs(cluster, project, "attack", "one")] == ["COMPLETED"]


@pytest.mark.parametrize("name", ["slurm", "gpu"])
def test_profiles_are_found_by_their_names(name: str, tmp_path: Path) -> None:
    assert (ROOT / name).readlink() == Path("profiles", name), "relative, so that a clone has it too"
    done = subprocess.run([SNAKEMAKE, "--profile", name, "-n", "--quiet"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Elsewhere, after one line.
    project = Project.new(tmp_path / "p", TINY, ROWS)
    (tmp_path / "home/snakemake").mkdir(parents=True)
    (tmp_path / "home/snakemake" / name).symlink_to(project.folder / "profiles" / name)
    done = subprocess.run(
        [SNAKEMAKE, "-s", project.folder / "Snakefile", "--profile", name, "-n", "--quiet"],
        cwd=tmp_path,
        env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
