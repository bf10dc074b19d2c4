import contextlib
import itertools
import json
import logging
import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections import defaultdict

import pytest

from conftest import ROOT
from sat.errors import SatError
from sat.store import leases
from sat.store.leases import Device, lease, lease_device, visible_devices

A, B, C = "GPU-aaaa1111-0000", "GPU-aaaa2222-0000", "GPU-cccc3333-0000"
ONE, TWO = "MIG-11111111-0000", "MIG-22222222-0000"
LISTING = f"""\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: {A})
GPU 1: NVIDIA A100-SXM4-40GB (UUID: {B})
GPU 2: NVIDIA RTX (6000) Ada (UUID: {C})
"""
SLICED = f"""\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: {A})
  MIG 3g.20gb     Device  0: (UUID: {ONE})
  MIG 3g.20gb     Device  1: (UUID: {TWO})
GPU 1: NVIDIA A100-SXM4-40GB (UUID: {B})
"""


@pytest.fixture(autouse=True)
def nothing_held():
    yield
    leases._forget()


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Set what nvidia-smi lists (None: there is none) and CUDA_VISIBLE_DEVICES (None: unset)."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def setup(listing, visible):
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible or "")
        if visible is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        if listing is not None:
            nvidia_smi(tmp_path / "bin", listing)

    return setup


def nvidia_smi(folder, listing):
    folder.mkdir()
    # The status of a machine with one broken GPU.
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n[ $1 = -L ] && echo '{listing}'\nexit 15\n")
    (folder / "nvidia-smi").chmod(0o755)


def own_folder(tmp_path):
    return tmp_path / f"sat-gpu-leases-{os.getuid()}"


@pytest.mark.parametrize(
    "entries, listing, expected",
    [
        (None, LISTING, {A: A, B: B, C: C}),
        ("2,0", LISTING, {"2": C, "0": A}),
        (" 2 , 01 ", LISTING, {"2": C, "01": B}),
        (f"{C},{A}", LISTING, {C: C, A: A}),
        ("GPU-c,GPU-aaaa2", LISTING, {"GPU-c": C, "GPU-aaaa2": B}),
        (f"{C},0", LISTING, {C: C, "0": A}),
        (f"{TWO},{ONE}", SLICED, {TWO: TWO, ONE: ONE}),
        (f"1,{ONE}", SLICED, {"1": B, ONE: ONE}),
        (None, SLICED, {ONE: ONE, TWO: TWO, B: B}),
        # The first invalid entry ends the list.
        ("1,3,0", LISTING, {"1": B}),
        ("1,-1,0", LISTING, {"1": B}),
        ("1,,0", LISTING, {"1": B}),
        ("1,x,0", LISTING, {"1": B}),
        ("GPU-c,GPU-aaaa,0", LISTING, {"GPU-c": C}),
        ("GPU-c,GPU-d,0", LISTING, {"GPU-c": C}),
        # No device at all.
        ("", LISTING, {}),
        ("-1", LISTING, {}),
        ("NoDevFiles", LISTING, {}),
        ("0,1,0", LISTING, {}),
        (f"0,{A}", LISTING, {}),
        # Without nvidia-smi.
        (None, "", {}),
        ("3,01", "", {"3": "3", "01": "1"}),
        (f"{ONE},{B}", "", {ONE: ONE, B: B}),
        ("1,-1,0", "", {"1": "1"}),
    ],
)
def test_visible_devices_are_those_of_cuda(entries, listing, expected):
    environment = {} if entries is None else {"CUDA_VISIBLE_DEVICES": entries}
    assert visible_devices(environment, listing) == [Device(*pair) for pair in expected.items()]


@pytest.mark.parametrize("visible", ["1", B, "", "-1", "NoDevFiles", "1,-1,0"])
def test_up_to_one_device_needs_no_lease(machine, tmp_path, visible):
    machine(LISTING, visible)
    assert lease_device(1) is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible
    assert not own_folder(tmp_path).exists()


def test_a_machine_with_one_device_needs_no_lease(machine, tmp_path):
    machine(LISTING.splitlines()[0], None)
    assert lease_device(1) is None
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert not own_folder(tmp_path).exists()


def test_a_machine_without_nvidia_smi_says_so(machine, caplog):
    machine(None, None)
    assert lease_device(1) is None
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert "nvidia-smi lists no GPUs" in caplog.text


def test_the_leased_device_is_the_only_one_that_cuda_sees(machine, tmp_path, monkeypatch):
    machine(LISTING, "2,0")
    # Variables of SLURM play no role: local jobs inside an allocation have all its GPUs.
    for name, value in {"SLURM_JOB_ID": "7", "SLURM_LOCALID": "1", "SLURM_STEP_GPUS": "1"}.items():
        monkeypatch.setenv(name, value)
    assert lease_device(1) == {"gpu": "2", "gpu_uuid": C, "gpu_slot": 0}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2"
    assert [path.name for path in own_folder(tmp_path).iterdir()] == [f"{C}.0.lock"]
    assert stat.S_IMODE(own_folder(tmp_path).stat().st_mode) == 0o700


def test_without_the_variable_the_leased_device_is_named_by_its_uuid(machine):
    machine(LISTING, None)
    assert lease_device(1) == {"gpu": A, "gpu_uuid": A, "gpu_slot": 0}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == A


def test_without_nvidia_smi_entries_are_leased(machine, tmp_path):
    machine(None, "MIG-GPU-1/1/0,5")
    assert lease_device(1) == {"gpu": "MIG-GPU-1/1/0", "gpu_uuid": "MIG-GPU-1/1/0", "gpu_slot": 0}
    assert [path.name for path in own_folder(tmp_path).iterdir()] == ["MIG-GPU-1_1_0.0.lock"]


def test_a_folder_of_somebody_else_is_refused(machine, tmp_path, monkeypatch):
    machine(LISTING, None)
    own_folder(tmp_path).symlink_to(tmp_path)
    with pytest.raises(SatError, match="not a folder of yours"):
        lease_device(1)
    own_folder(tmp_path).unlink()
    own_folder(tmp_path).mkdir()
    uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)
    own_folder(tmp_path).mkdir()
    with pytest.raises(SatError, match="not a folder of yours"):
        lease_device(1)


@pytest.mark.parametrize("devices, slots", [([], 1), ([Device("0", A)], 0)])
def test_no_slot_is_not_waited_for(tmp_path, devices, slots):
    with pytest.raises(ValueError, match="no slot to lease"):
        lease(devices, slots, tmp_path)


def test_waiting_is_logged_once_and_has_no_limit(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "sat")
    devices = [Device("0", A), Device("1", B)]
    first, second = lease(devices, 1, tmp_path), lease(devices, 1, tmp_path)
    assert (first.device.entry, second.device.entry) == ("0", "1")
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 20:
            second.release()

    monkeypatch.setattr(leases.time, "sleep", sleep)
    caplog.clear()
    assert lease(devices, 1, tmp_path).device == second.device
    assert caplog.messages == [
        "all 2 slots of 2 GPUs are taken; waiting for one",
        f"leased GPU {B}, slot 1 of 1",
    ]
    assert 0.2 <= min(pauses) < max(pauses) <= 1


def test_random_numbers_do_not_depend_on_waiting(tmp_path, monkeypatch):
    first = lease([Device("0", A)], 1, tmp_path)
    monkeypatch.setattr(leases.time, "sleep", lambda seconds: first.release())
    random.seed(1)
    expected = random.random()
    random.seed(1)
    lease([Device("0", A)], 1, tmp_path)
    assert random.random() == expected


def test_lock_files_stay_and_look_young_while_they_are_held(tmp_path):
    path = tmp_path / f"{A}.0.lock"
    first = lease([Device("0", A)], 1, tmp_path)
    number = path.stat().st_ino
    first.release()
    os.utime(path, (1, 1))
    lease([Device("0", A)], 1, tmp_path)
    assert path.stat().st_ino == number
    # A folder's cleaner goes by both.
    assert min(path.stat().st_atime, path.stat().st_mtime) > time.time() - 60


def test_a_lock_on_a_file_that_was_just_deleted_does_not_count(tmp_path, monkeypatch):
    path = tmp_path / f"{A}.0.lock"
    deletions = iter([path.unlink])
    real = leases.lock_descriptor

    def clean_then_lock(*words, **options):
        next(deletions, lambda: None)()
        return real(*words, **options)

    monkeypatch.setattr(leases, "lock_descriptor", clean_then_lock)
    monkeypatch.setattr(leases, "PAUSE", (0, 0))
    held = lease([Device("0", A)], 1, tmp_path)
    assert os.path.samestat(os.fstat(held.descriptor), path.stat())


AT_EXIT = """
import atexit, fcntl, gc, os, pathlib, sys

folder = pathlib.Path(sys.argv[1])

def held():
    with open(folder / "0.0.lock") as again:
        try:
            fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("held")

# The first to be registered runs last.
atexit.register(held)
from sat.store.leases import Device, lease

lease([Device("0", "0")], 1, folder)
gc.collect()
held()
"""


def test_a_lease_outlives_its_object_and_exit_handlers(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    words = [sys.executable, "-c", AT_EXIT, str(tmp_path)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "held\nheld\n"


WORKER = """
import json, os, pathlib, random, subprocess, sys, time

from sat.store import leases

folder, log, ending = pathlib.Path(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND), sys.argv[3]
leases.PAUSE = (0.001, 0.02)

def note(**what):
    os.write(log, (json.dumps({"pid": os.getpid(), **what, "time": time.monotonic()}) + "\\n").encode())

devices = leases.visible_devices(os.environ, leases.nvidia_smi())
for _ in range(4):
    lease = leases.lease(devices, 2, folder)
    note(event="start", place=[lease.device.key, lease.slot])
    time.sleep(random.uniform(0, 0.02))
    note(event="end")
    lease.release()

found = leases.lease_device(2, folder)
note(event="start", place=[found["gpu_uuid"], found["gpu_slot"]], visible=os.environ["CUDA_VISIBLE_DEVICES"])
if ending == "exit":
    time.sleep(random.uniform(0, 0.1))
    note(event="end")
    sys.exit()
if ending == "program":
    # Even one that is let inherit descriptors.
    note(event="child", child=subprocess.Popen(["sleep", "100"], close_fds=False).pid)
if ending == "fork":
    child = os.fork()
    if not child:
        time.sleep(100)
        os._exit(0)
    note(event="child", child=child)
note(event="ready")
time.sleep(100)
"""

ALL = """
import json, os, pathlib, sys

from sat.store import leases

devices = leases.visible_devices(os.environ, leases.nvidia_smi())
taken = [leases.lease(devices, 2, pathlib.Path(sys.argv[1])) for _ in range(6)]
print(json.dumps([[lease.device.key, lease.slot] for lease in taken]))
"""

NAMES = [{"0": A, "1": B, "2": C}, {C: C, A: A, "GPU-aaaa2": B}, {A: A, B: B, C: C}]
"""The same devices as index, UUID, part of one; the last is where CUDA_VISIBLE_DEVICES is unset."""


def test_no_slot_has_two_holders_and_none_is_lost(tmp_path):
    """24 processes want 3 GPUs of 2 slots; most are killed while they hold one, and some leave children behind."""
    folder, log = tmp_path / "leases", tmp_path / "log"
    folder.mkdir()
    log.touch()
    nvidia_smi(tmp_path / "bin", LISTING)
    clean = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    clean |= {"PATH": f"{tmp_path / 'bin'}:{clean['PATH']}", "PYTHONPATH": str(ROOT / "workflow")}

    def environment(names):
        return clean if names is NAMES[2] else {**clean, "CUDA_VISIBLE_DEVICES": ",".join(names)}

    def notes():
        # The last line may be half written.
        return [json.loads(line) for line in log.read_text().split("\n")[:-1]]

    endings = ["exit", "kill", "program", "fork"]
    workers, killed = {}, {}
    with (tmp_path / "errors").open("w") as errors:
        for names, ending in itertools.islice(itertools.cycle(itertools.product(NAMES, endings)), 24):
            words = [sys.executable, "-c", WORKER, folder, log, ending]
            process = subprocess.Popen(words, env=environment(names), stdout=errors, stderr=errors)
            workers[process.pid] = process, names, ending
    try:
        deadline = time.monotonic() + 60
        while any(process.poll() is None for process, _, _ in workers.values()):
            assert time.monotonic() < deadline, notes()
            time.sleep(0.02)
            for note in notes():
                if note["event"] == "ready" and note["pid"] not in killed and time.monotonic() > note["time"] + 0.05:
                    # It held its slot until now at least.
                    killed[note["pid"]] = time.monotonic()
                    workers[note["pid"]][0].kill()
        assert (tmp_path / "errors").read_text() == ""
        for process, _, ending in workers.values():
            assert process.returncode == (0 if ending == "exit" else -signal.SIGKILL)
        children = [note["child"] for note in notes() if note["event"] == "child"]
        assert len(children) == 12
        for child in children:
            os.kill(child, 0)

        holdings, started = defaultdict(list), {}
        for note in notes():
            if note["event"] == "start":
                started[note["pid"]] = note
            elif note["event"] in ("end", "ready"):
                start = started.pop(note["pid"])
                end = note["time"] if note["event"] == "end" else killed[note["pid"]]
                holdings[tuple(start["place"])].append((start["time"], end))
                if "visible" in start:
                    assert workers[note["pid"]][1][start["visible"]] == start["place"][0]
        assert not started
        assert sum(map(len, holdings.values())) == 24 * 5
        assert set(holdings) == set(itertools.product((A, B, C), (0, 1)))
        for place, times in holdings.items():
            for (_, end), (start, _) in itertools.pairwise(sorted(times)):
                assert end <= start, place

        words = [sys.executable, "-c", ALL, folder]
        done = subprocess.run(words, env=clean, capture_output=True, text=True, timeout=20, check=True)
        assert json.loads(done.stdout) == [[A, 0], [B, 0], [C, 0], [A, 1], [B, 1], [C, 1]]
    finally:
        for process, _, _ in workers.values():
            process.kill()
            process.wait()
        for note in notes():
            if note["event"] == "child":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(note["child"], signal.SIGKILL)
