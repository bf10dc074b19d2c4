"""Which GPU is a job's own, where several jobs share a machine with several GPUs; torch is not needed.

A job that sees one GPU uses it. One that sees several leases one of them, by
an operating system's lock on a file named after the GPU's UUID, and sees only
that one from then on. Snakemake hands out numbers of GPUs, never which ones.

The kernel gives the lock back when the process ends, however it ends. Lock
files are never deleted: whoever deletes one may leave two processes with a
lock on two files of one name.

The locks are one user's. Those of another user, or of the same user under
another TMPDIR, cannot be seen, and neither can processes that take no lease;
who shares a machine divides its GPUs through CUDA_VISIBLE_DEVICES.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import re
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import lock_descriptor

from sat.errors import SatError

VISIBLE = "CUDA_VISIBLE_DEVICES"
PAUSE = (0.2, 1.0)
"""Seconds between two attempts; drawn anew each time, so that waiting processes do not march in step."""

log = logging.getLogger("sat")

_LISTED = re.compile(r"^(?:GPU ([0-9]+):|[ \t]+MIG ).*\(UUID: ([^)\s]+)\)", re.MULTILINE)
_ENTRY = re.compile(r"[0-9]+|(?:GPU|MIG)-\S+")
_held: set[int] = set()


@dataclass(frozen=True)
class Device:
    """A GPU, or a part of one (MIG)."""

    entry: str
    """What CUDA_VISIBLE_DEVICES calls it."""
    key: str
    """Its UUID; where nvidia-smi cannot say, its entry."""


@dataclass(frozen=True)
class Lease:
    """A slot of a device, held until the process ends."""

    device: Device
    slot: int
    descriptor: int
    """Of the open lock file. The lock does not hang on this object, which may be forgotten."""

    def release(self) -> None:
        """Give the slot back while the process goes on."""
        _held.remove(self.descriptor)
        os.close(self.descriptor)


def visible_devices(environment: Mapping[str, str], listing: str) -> list[Device]:
    """The devices that CUDA will see, in CUDA's order.

    Parameters
    ----------
    environment : mapping of str to str
        Of which CUDA_VISIBLE_DEVICES counts: indices, and UUIDs of GPUs and
        MIG devices, which may be cut short. Without it, all that are listed.
    listing : str
        What ``nvidia-smi -L`` prints; empty where it cannot be run.

    Returns
    -------
    list of Device
        As by CUDA's rules, the entries before the first invalid one, and none
        at all where a device is listed twice.

    Notes
    -----
    Indices are taken as nvidia-smi's. Where the GPUs of a machine differ, CUDA
    counts otherwise unless CUDA_DEVICE_ORDER is PCI_BUS_ID. Jobs that all use
    indices are still kept apart then; jobs that name a GPU in different ways
    are not.
    """
    gpus: dict[str, str] = {}
    whole = ""
    usable: list[str] = []
    uuids: list[str] = []
    for index, uuid in _LISTED.findall(listing):
        uuids.append(uuid)
        if index:
            gpus[index] = whole = uuid
        elif whole in usable:
            # CUDA computes on the parts of a GPU that is cut, not on the whole.
            usable.remove(whole)
        usable.append(uuid)
    if VISIBLE not in environment:
        return [Device(uuid, uuid) for uuid in usable]
    devices: list[Device] = []
    for entry in environment[VISIBLE].split(","):
        entry = entry.strip()
        key = _key(entry, gpus, uuids) if _ENTRY.fullmatch(entry) else None
        if key is None:
            break
        devices.append(Device(entry, key))
    repeated = len({device.key for device in devices}) < len(devices)
    return [] if repeated else devices


def _key(entry: str, gpus: Mapping[str, str], uuids: Sequence[str]) -> str | None:
    """UUID of a well-formed entry, or None if there is no such device."""
    if entry.isdecimal():
        index = str(int(entry))
        return gpus.get(index) if gpus else index
    if not uuids or entry in uuids:
        return entry
    matches = [uuid for uuid in uuids if uuid.startswith(entry)]
    return matches[0] if len(matches) == 1 else None


def lease(devices: Sequence[Device], slots: int, folder: Path) -> Lease:
    """Take a slot of a device; wait, as long as it takes, until one is free.

    Parameters
    ----------
    devices : sequence of Device
    slots : int
        How many processes may share a device. All devices get their first
        process before any gets a second.
    folder : Path
        Of the lock files, on a disk of this machine. It must exist.

    Returns
    -------
    Lease
        It lasts until the process ends; neither the processes that this one
        starts nor those that it forks hold it too.

    Raises
    ------
    ValueError
        If there is nothing to wait for.
    """
    if not devices or slots < 1:
        raise ValueError(f"no slot to lease: {len(devices)} devices with {slots} slots each")
    places = [(device, slot) for slot in range(slots) for device in devices]
    # A generator of its own: whoever seeds Python's gets the same numbers, waiting or not.
    pauses = random.Random()
    waiting = False
    while True:
        for device, slot in places:
            descriptor = _lock(folder / f"{re.sub(r'[^A-Za-z0-9.-]', '_', device.key)}.{slot}.lock")
            if descriptor is not None:
                log.info("leased GPU %s, slot %d of %d", device.key, slot + 1, slots)
                return Lease(device, slot, descriptor)
        if not waiting:
            waiting = True
            log.info("all %d slots of %d GPUs are taken; waiting for one", len(places), len(devices))
        time.sleep(pauses.uniform(*PAUSE))


def _lock(path: Path) -> int | None:
    # filelock's lock on a descriptor, not its FileLock, whose exit handler lets go while the process still has its
    # memory on the GPU. Python opens files such that started programs do not inherit them.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    # No link: something cleaned the folder between opening and locking, and the next process makes a new file.
    if lock_descriptor(descriptor, blocking=False) and os.fstat(descriptor).st_nlink:
        # Cleaners of /tmp go by age, and would take a file that was made weeks ago and is in use.
        os.utime(descriptor)
        _held.add(descriptor)
        return descriptor
    os.close(descriptor)
    return None


def _forget() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


# A forked process shares the parent's open files, and would keep the lock when the parent is killed.
os.register_at_fork(after_in_child=_forget)


def lease_device(jobs_per_gpu: int, folder: Path | None = None) -> dict[str, str | int] | None:
    """Lease one of the visible GPUs, if there are several, and make it the only one that CUDA sees.

    To be called once, before anything initialises CUDA. Variables of SLURM
    play no role.

    Parameters
    ----------
    jobs_per_gpu : int
        How many jobs may share a GPU.
    folder : Path, optional
        Of the lock files; by default a private one of the user's in the
        machine's folder for temporary files.

    Returns
    -------
    dict or None
        ``gpu`` (its name in CUDA_VISIBLE_DEVICES), ``gpu_uuid`` (where that
        is not known, the name again) and ``gpu_slot``, for the sidecar. None
        where there are not several devices: then CUDA_VISIBLE_DEVICES stays
        as it is, and torch is to find the device or its lack.

    Raises
    ------
    SatError
        If the folder is not the user's own.
    """
    listed = os.environ.get(VISIBLE)
    if listed is not None and "," not in listed:
        return None
    listing = _nvidia_smi()
    devices = visible_devices(os.environ, listing)
    if listed is None and not devices:
        log.warning("nvidia-smi lists no GPUs, so none is leased: if there are several, name them in %s", VISIBLE)
    if len(devices) < 2:
        return None
    leased = lease(devices, jobs_per_gpu, folder or _own_folder())
    os.environ[VISIBLE] = leased.device.entry
    return {"gpu": leased.device.entry, "gpu_uuid": leased.device.key, "gpu_slot": leased.slot}


def _nvidia_smi() -> str:
    try:
        # Not checked: with one broken GPU the status is an error, and the others are listed all the same.
        return subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _own_folder() -> Path:
    folder = Path(tempfile.gettempdir(), f"sat-gpu-leases-{os.getuid()}")
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    # Anyone may make a folder, or a link, of this name in /tmp.
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise SatError(f"{folder}: not a folder of yours, so GPUs cannot be leased there; set TMPDIR to another.")
    return folder
