"""Leases of GPUs, for several jobs on a machine with several GPUs. This module does not need torch.

A job that sees one GPU uses it. A job that sees several GPUs leases one of them, and
sees only that one from then on. A lease is a lock of the operating system on a file
that is named after the GPU's UUID. Snakemake only counts GPUs, and does not say which
one a job gets.

The kernel releases the lock when the process ends, however it ends. Lock files are
never deleted: deleting one could leave two processes with locks on two files of the
same name.

The locks belong to one user. Locks of another user, or of the same user with another
TMPDIR, cannot be seen. Neither can processes that take no lease. People who share a
machine must divide its GPUs through CUDA_VISIBLE_DEVICES.
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
"""Range of the seconds between two attempts. They are random, so that waiting processes do not try at the same time."""

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
    """UUID of the device, or its entry if nvidia-smi does not give a UUID."""


@dataclass(frozen=True)
class Lease:
    """A slot of a device, which is held until the process ends."""

    device: Device
    slot: int
    descriptor: int
    """Descriptor of the open lock file. The lock remains even if this object is deleted."""

    def release(self) -> None:
        """Release the slot before the process ends."""
        _held.remove(self.descriptor)
        os.close(self.descriptor)


def visible_devices(environment: Mapping[str, str], listing: str) -> list[Device]:
    """List the devices that CUDA will see, in CUDA's order.

    Parameters
    ----------
    environment : mapping of str to str
        Environment variables. Only CUDA_VISIBLE_DEVICES is used. It holds indices, or
        UUIDs of GPUs and MIG devices, which may be abbreviated. Without it, all
        listed devices are visible.
    listing : str
        Output of ``nvidia-smi -L``; empty if it cannot be run.

    Returns
    -------
    list of Device
        Following CUDA's rules, the entries before the first invalid one. The list is
        empty if a device is named twice.

    Notes
    -----
    Indices are taken to be those of nvidia-smi. If the GPUs of a machine differ, CUDA
    counts in another order unless CUDA_DEVICE_ORDER is PCI_BUS_ID. Jobs that all use
    indices are still kept apart then. Jobs that name a GPU in different ways are not.
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
            # If a GPU is partitioned, CUDA computes on its parts and not on the whole GPU.
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
    """Find the UUID of a well-formed entry; None if there is no such device."""
    if entry.isdecimal():
        index = str(int(entry))
        return gpus.get(index) if gpus else index
    if not uuids or entry in uuids:
        return entry
    matches = [uuid for uuid in uuids if uuid.startswith(entry)]
    return matches[0] if len(matches) == 1 else None


def lease(devices: Sequence[Device], slots: int, folder: Path) -> Lease:
    """Take a slot of a device, and wait without limit until one is free.

    Parameters
    ----------
    devices : sequence of Device
    slots : int
        How many processes may share a device. All devices get their first
        process before any gets a second.
    folder : Path
        Folder of the lock files, on a disk of this machine. It must exist.

    Returns
    -------
    Lease
        The lease, which lasts until the process ends. Processes that this process
        starts or forks do not hold it.

    Raises
    ------
    ValueError
        If there is no device or no slot.
    """
    if not devices or slots < 1:
        raise ValueError(f"no slot to lease: {len(devices)} devices with {slots} slots each")
    places = [(device, slot) for slot in range(slots) for device in devices]
    # The pauses have their own generator, so that waiting does not change the numbers of Python's generator.
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
    # This uses filelock's lock on a descriptor. The exit handler of its FileLock would release the lock while the
    # process still has memory on the GPU. Programs that Python starts do not inherit open files.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    # If there is no link, the file was deleted between opening and locking, and the next process makes a new file.
    if lock_descriptor(descriptor, blocking=False) and os.fstat(descriptor).st_nlink:
        # Programs that clean /tmp go by age, and would delete a file that was made weeks ago and is still in use.
        os.utime(descriptor)
        _held.add(descriptor)
        return descriptor
    os.close(descriptor)
    return None


def _forget() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


# A forked process shares the parent's open files, and would keep the lock after the parent was killed.
os.register_at_fork(after_in_child=_forget)


def lease_device(jobs_per_gpu: int, folder: Path | None = None) -> dict[str, str | int] | None:
    """Lease one of the visible GPUs, if there are several, and make it the only one that CUDA sees.

    Call this once, before anything initialises CUDA. SLURM's variables are not used.

    Parameters
    ----------
    jobs_per_gpu : int
        How many jobs may share a GPU.
    folder : Path, optional
        Folder of the lock files; by default a private folder of the user in the
        machine's folder for temporary files.

    Returns
    -------
    dict or None
        Keys ``gpu`` (the name in CUDA_VISIBLE_DEVICES), ``gpu_uuid`` (or the name
        again, if the UUID is not known) and ``gpu_slot``, for the sidecar. None if
        there is at most one device. CUDA_VISIBLE_DEVICES then stays as it is, and torch
        finds out whether there is a device.

    Raises
    ------
    SatError
        If the folder does not belong to the user.
    """
    listed = os.environ.get(VISIBLE)
    if listed is not None and "," not in listed:
        return None
    listing = nvidia_smi()
    devices = visible_devices(os.environ, listing)
    if listed is None and not devices:
        log.warning("nvidia-smi lists no GPUs, so none is leased: if there are several, name them in %s", VISIBLE)
    if len(devices) < 2:
        return None
    leased = lease(devices, jobs_per_gpu, folder or _own_folder())
    os.environ[VISIBLE] = leased.device.entry
    return {"gpu": leased.device.entry, "gpu_uuid": leased.device.key, "gpu_slot": leased.slot}


def nvidia_smi() -> str:
    """Output of ``nvidia-smi -L``, a line for each GPU of this machine; empty if it cannot be run."""
    try:
        # The status is not checked: it is an error if one GPU is broken, but the other GPUs are still listed.
        return subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _own_folder() -> Path:
    folder = Path(tempfile.gettempdir(), f"sat-gpu-leases-{os.getuid()}")
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    # Any user may make a folder or a link of this name in /tmp.
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise SatError(f"{folder}: not a folder of yours, so GPUs cannot be leased there; set TMPDIR to another.")
    return folder
