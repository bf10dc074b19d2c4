"""A real SLURM of one node on this machine, with two GPUs that are none.

Everything of a cluster lies in one folder under the machine's folder for
temporary files, with ports of its own, so that test workers may each have one.
Root starts it, for the devices and for the jobs of its user.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TypeVar

PROGRAMS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
N_GPUS = 2
# What Snakemake must be told where there is no accounting; and to look often, since jobs here take seconds.
WITHOUT_ACCOUNTING = ("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "3")
# What the node claims: more than it has, so that nothing but GPUs is scarce.
CPUS, MEMORY = 64, 256_000
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

CONF = """
ClusterName=sat
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,batch_sched_delay=0,bf_interval=2
# A node that was set down stays down until it is set to resume.
ReturnToService=1
GresTypes=gpu
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
AccountingStoreFlags=job_comment
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed.txt
# Every job of a test session can be asked about at its end.
MinJobAge=86400
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=gpu Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


T = TypeVar("T")


class NoSlurm(Exception):
    """There is no SLURM here, or it does not start; says why."""


def wait_for(what: str, find: Callable[[], T | None], seconds: float = 120, pause: float = 0.2) -> T:
    """Ask until there is an answer that counts as true, and give it."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(pause)
    return found


@dataclass(frozen=True)
class SlurmJob:
    """What SLURM recorded of a job."""

    id: int
    name: str
    state: str
    comment: str
    folder: str
    start: datetime | None
    end: datetime | None
    minutes: int
    memory_mb: int
    restarts: int
    requested: str
    """How GPUs were asked for: TresPerJob=gres:gpu:1 (--gpus), TresPerNode=gres:gpu:1 (--gres), or nothing."""
    gpus: int
    """How many GPUs SLURM gave to it."""

    @property
    def rule(self) -> str:
        """Snakemake's rule."""
        found = re.match(r"rule_([a-z]+)", self.comment)
        return found[1] if found else ""

    @property
    def wildcards(self) -> str:
        """The values of the rule's wildcards, as Snakemake's plugin joins them; the study itself is no variant."""
        return self.comment.partition("_wildcards_")[2].removeprefix("_")

    @property
    def active(self) -> bool:
        """Whether it waits, runs or ends."""
        return self.state in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED")


class Cluster:
    """A cluster of one node; use it as a context manager, or start and stop it."""

    def __init__(self) -> None:
        self.folder = Path()
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def environment(self) -> dict[str, str]:
        """Environment in which programs find this cluster.

        Snakemake's plugin for the jobs' inner side drops SLURM_CONF, so the
        clients come by PATH, each with its SLURM_CONF.
        """
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
        return {**inherited, "PATH": f"{self.folder}/bin:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}

    def start(self) -> None:
        """Start all daemons.

        Raises
        ------
        NoSlurm
            If that is not possible here.
        """
        if missing := [name for name in (*PROGRAMS, *CLIENTS) if not shutil.which(name, path=PATH)]:
            raise NoSlurm(f"not installed: {', '.join(missing)} (Debian: apt-get install slurm-wlm munge)")
        if os.geteuid():
            raise NoSlurm("only root can start a SLURM with devices")
        # Not pytest's folder: a socket's path has 107 characters at most.
        self.folder = Path(tempfile.mkdtemp(prefix="sat-slurm-"))
        try:
            self._lay_out()
            self._launch("munged", "--foreground", "--force", *self._munge_options())
            wait_for("munged", (self.folder / "munge.socket").exists, 20, 0.05)
            self._launch("slurmctld", "-D", "-f", str(self.folder / "slurm.conf"))
            self.start_node()
            wait_for("the node", lambda: self.node_state().startswith("IDLE"), 60)
        except BaseException as error:
            logs = "".join(path.read_text(errors="replace")[-1500:] for path in sorted(self.folder.glob("*.log")))
            self.stop()
            if isinstance(error, (OSError, TimeoutError, subprocess.SubprocessError)):
                raise NoSlurm(f"SLURM does not start: {error}\n{logs}") from error
            raise

    def _lay_out(self) -> None:
        folder = self.folder
        # Jobs of all users come here.
        folder.chmod(0o755)
        for name in ("state", "spool", "bin"):
            (folder / name).mkdir()
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o600)
        for index in range(N_GPUS):
            os.mknod(folder / f"gpu{index}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        host = socket.gethostname().partition(".")[0]
        with _free_ports(2) as (controller_port, node_port):
            (folder / "slurm.conf").write_text(
                CONF.format(
                    host=host,
                    folder=folder,
                    controller_port=controller_port,
                    node_port=node_port,
                    cpus=CPUS,
                    memory=MEMORY,
                    gpus=N_GPUS,
                )
            )
        (folder / "gres.conf").write_text(f"NodeName={host} Name=gpu File={folder}/gpu[0-{N_GPUS - 1}]\n")
        for name in CLIENTS:
            wrapper = folder / "bin" / name
            wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which(name, path=PATH)} "$@"\n')
            wrapper.chmod(0o755)

    def _munge_options(self) -> list[str]:
        paths = {"socket": "munge.socket", "key-file": "munge.key", "seed-file": "munge.seed"}
        paths.update({"log-file": "munged.log", "pid-file": "munged.pid"})
        return [f"--{option}={self.folder / name}" for option, name in paths.items()]

    def _launch(self, program: str, *words: str) -> None:
        found = shutil.which(program, path=PATH)
        assert found
        with (self.folder / f"{program}.out").open("ab") as output:
            # They end with the tests, even if those are killed.
            self._daemons[program] = subprocess.Popen(
                [found, *words], stdout=output, stderr=output, preexec_fn=_end_with_parent
            )

    def start_node(self) -> None:
        """Start the node's daemon."""
        self._launch("slurmd", "-D", "-f", str(self.folder / "slurm.conf"))

    def stop(self) -> None:
        """Cancel what runs, end all daemons, and remove everything."""
        if not self.folder.name:
            return
        if "slurmctld" in self._daemons and (self.folder / "bin/scancel").exists():
            with contextlib.suppress(Exception):
                self.call("scancel", "--user=root", "--full", "--signal=KILL", timeout=20)
                self.call("scancel", "--user=root", timeout=20)
                wait_for("the jobs' end", lambda: not any(job.active for job in self.jobs()), 20)
        for program in reversed(PROGRAMS):
            if daemon := self._daemons.pop(program, None):
                daemon.send_signal(signal.SIGTERM)
                try:
                    daemon.wait(20)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
        self._kill_what_is_left()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder = Path()

    def _kill_what_is_left(self) -> None:
        """Kill what has this cluster's own folder in its environment: jobs, and what they started."""
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if process.name != str(os.getpid()) and os.fsencode(self.folder) in (process / "environ").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)

    def call(self, *words: str, timeout: float = 60) -> str:
        """Run one of SLURM's clients; return what it prints."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=timeout)
        if done.returncode:
            raise subprocess.SubprocessError(f"{' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def node_state(self) -> str:
        """State of the node; empty while the controller does not answer."""
        try:
            return self.call("sinfo", "--noheader", "--Node", "--format=%T").strip().upper()
        except subprocess.SubprocessError:
            return ""

    def jobs(self, **where: object) -> list[SlurmJob]:
        """All jobs that SLURM knows, oldest first; keywords select by fields and properties."""
        jobs = [_job(line) for line in self.call("scontrol", "--oneliner", "--details", "show", "job").splitlines()]
        known = sorted((job for job in jobs if job), key=lambda job: job.id)
        return [job for job in known if all(getattr(job, name) == value for name, value in where.items())]

    def completed(self) -> str:
        """SLURM's own file of completed jobs."""
        path = self.folder / "completed.txt"
        return path.read_text() if path.exists() else ""


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def most_at_once(jobs: list[SlurmJob]) -> int:
    """At most how many of the jobs ran at the same time, by SLURM's times of a second's accuracy."""
    events = [(job.start, 1) for job in jobs if job.start and job.end]
    events += [(job.end, -1) for job in jobs if job.start and job.end]
    most = running = 0
    # A job that ends within a second frees its place in it.
    for _, change in sorted(events):
        running += change
        most = max(most, running)
    return most


def _job(line: str) -> SlurmJob | None:
    def field(name: str, following: str = r"\S+") -> str:
        found = re.search(rf"(?:^|\s){name}=({following})", line)
        return found[1] if found else ""

    if not field("JobId"):
        return None
    # Values may hold spaces: they end where the next name begins.
    rest = r".*?(?=\s[A-Z]\w*=|\s*$)"
    memory = re.search(r"MinMemoryNode=([\d.]+)([KMGT]?)", line)
    factor = {"": 1, "K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}
    return SlurmJob(
        id=int(field("JobId")),
        name=field("JobName", rest),
        state=field("JobState"),
        comment=field("Comment", rest).strip(),
        folder=field("WorkDir", rest).strip(),
        start=_time(field("StartTime")),
        end=_time(field("EndTime")),
        minutes=_minutes(field("TimeLimit")),
        memory_mb=round(float(memory[1]) * factor[memory[2]]) if memory else 0,
        restarts=int(field("Restarts") or 0),
        requested=" ".join(re.findall(r"TresPer\w+=\S+", line)),
        gpus=int((re.search(r"\sJOB_GRES=gpu:(\d+)", line) or [0, 0])[1]),
    )


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _minutes(text: str) -> int:
    found = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", text)
    if not found:
        return 0
    days, hours, minutes, _ = (int(word or 0) for word in found.groups())
    return (days * 24 + hours) * 60 + minutes


@contextlib.contextmanager
def _free_ports(count: int) -> Iterator[list[int]]:
    """Free ports below those that the system gives to clients, kept until the block ends."""
    with contextlib.ExitStack() as stack:
        ports: list[int] = []
        offset = os.getpid() % 4000
        for port in (20_000 + (offset + step) % 8000 for step in range(8000)):
            listener = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                listener.bind(("127.0.0.1", port))
                ports.append(port)
            if len(ports) == count:
                break
        yield ports


def overlapping(jobs: list[SlurmJob]) -> list[tuple[SlurmJob, SlurmJob]]:
    """Pairs of jobs of one rule and the same wildcards of which the second began before the first had ended."""
    pairs = []
    for index, first in enumerate(jobs):
        for second in jobs[index + 1 :]:
            same = (first.rule, first.wildcards, first.folder) == (second.rule, second.wildcards, second.folder)
            if same and first.start and second.start and (not first.end or second.start < first.end):
                pairs.append((first, second))
    return pairs


DEMO = {
    "study": "slurm_demo",
    "models": "models.csv",
    "images": {"source": "digits", "canvas": 32, "crop_pct": 1.0, "train_fraction": 0.6, "attack_images": 200},
    "training": {"epochs": 3},
    "attack": {"eps": "24/255", "step": "6/255", "steps": 10},
    "tile_size": 2,
    "clusters": {"k": 2},
    "compute": {"device": "cpu", "gpu_request": "gpus", "batch_size": 64},
}
DEMO_MODELS = ("resnet", "efficientnet", "vit", "vit2")


def main() -> int:
    """Run a small study through profiles/slurm on a cluster of this machine's own, and show SLURM's record."""
    root = Path(__file__).resolve().parents[1]
    folder = root / "results" / "slurm_demo"
    folder.mkdir(parents=True, exist_ok=True)
    lines = (root / "studies/digits.csv").read_text().splitlines()
    rows = [line for line in lines if line.partition(",")[0] in ("model", *DEMO_MODELS)]
    (folder / "models.csv").write_text("\n".join(rows) + "\n")
    (folder / "config.yaml").write_text(json.dumps(DEMO, indent=2))
    command = [str(Path(sys.executable).with_name("snakemake")), "--profile", "slurm", *WITHOUT_ACCOUNTING]
    try:
        with Cluster() as cluster:
            words = [*command, "--configfile", str(folder / "config.yaml")]
            status = subprocess.run(words, cwd=root, env=cluster.environment).returncode
            jobs = cluster.jobs()
    except NoSlurm as reason:
        print(f"No SLURM here: {reason}", file=sys.stderr)
        return 1
    print(f"\n{'SLURM job':>9}  {'rule':<12}{'of':<22}{'state':<12}{'GPUs':>4}{'MB':>7}{'min':>5}  ran")
    for job in jobs:
        times = [f"{time:%H:%M:%S}" if time else "-" for time in (job.start, job.end)]
        numbers = f"{job.gpus:>4}{job.memory_mb:>7}{job.minutes:>5}"
        print(f"{job.id:>9}  {job.rule:<12}{job.wildcards:<22}{job.state:<12}{numbers}  {' to '.join(times)}")
    on_gpus = [job for job in jobs if job.gpus]
    print(f"\n{len(jobs)} SLURM jobs, {len(on_gpus)} with a GPU, at most {most_at_once(on_gpus)} of those at once.")
    print("Logs of SLURM: .snakemake/slurm_logs/   of commands: results/slurm_demo/logs/")
    print('Which job and GPU made a file: the entry "job" of its sidecar, results/slurm_demo/adversarial/vit.h5.json')
    return status


if __name__ == "__main__":
    sys.exit(main())
