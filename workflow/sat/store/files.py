"""Files on disk, which are written whole or not at all, and their digests."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".tmp"
"""End of the names of files that are being written. A killed job leaves such a file."""
ROOM = 2**20
"""Bytes. A disk with less than this is full, whatever an error says."""


def file_digest(path: Path | str) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Write a file so that no reader ever sees an incomplete one.

    Yields
    ------
    Path
        A temporary name in the same folder. On success it is flushed to disk
        and renamed, with the permissions of the umask; on failure it is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}{TEMPORARY}")
    try:
        yield temporary
        # Some libraries make files that only their owner may read.
        temporary.chmod(0o666 & ~_umask())
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)  # a rename survives a crash only once its folder is on disk
    finally:
        temporary.unlink(missing_ok=True)


def full_disk(error: BaseException, words: Sequence[str] = ()) -> str:
    """Say what to do if an error means that a disk is full.

    Libraries report a full disk in different ways: as an OSError, as text within another error, or not at all.

    Parameters
    ----------
    error : BaseException
    words : sequence of str
        Words of the command line. Paths among them are where the command may have written.

    Returns
    -------
    str
        Which disk is full and what to do; empty if the error is another one.
    """
    known = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    known = known or any(
        text in str(error)
        for text in ("No space left on device", "Disk quota exceeded", "code: 28", "PytorchStreamWriter failed")
    )
    # The last path of a command is that of its output.
    output = next((Path(word).absolute() for word in reversed(words) if "/" in word), Path.cwd())
    folders = [next(each for each in (output, *output.parents) if each.is_dir()), Path(tempfile.gettempdir())]
    free, folder = min((shutil.disk_usage(each).free, str(each)) for each in folders)
    if not known and free > ROOM:
        return ""
    return (
        f"the disk of {folder} is full ({free / 1e6:.1f} MB free), or your quota on it is used up. Nothing that is "
        "finished is lost. Make room and run the same command again; 'sat plan' says how much space the study takes."
    )


def forbidden(error: BaseException) -> str:
    """Say which place cannot be used, if an error means that it is read-only or that a permission is missing.

    Parameters
    ----------
    error : BaseException

    Returns
    -------
    str
        The place, what is missing, and what to do; empty if the error is another one.
    """
    if not isinstance(error, OSError) or error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
        return ""
    if error.filename is None:
        return f"{error}. Work where you may write, or ask for the permission."  # libraries name the file in the text
    path = Path(os.fsdecode(error.filename))
    # The name of a file that is being written means nothing to the user.
    path = path.parent if path.name.endswith(TEMPORARY) else path
    if error.errno == errno.EROFS:
        return f"{path}: cannot be written ({error.strerror}). Copy the study to a place where you may write."
    return f"{path}: cannot be read or written ({error.strerror}). Ask its owner for the permission, or copy the study."


def _flush(path: Path) -> None:
    """Flush a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems cannot flush a folder.
        if error.errno != errno.EINVAL or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
