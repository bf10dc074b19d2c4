"""Archives: a zip file that holds a bag, which is the Library of Congress's form for files with checksums (RFC 8493).

Any program that reads zip files opens one, and ``sha256sum -c manifest-sha256.txt`` checks what was unpacked. The bytes
follow from the content: members are sorted, and all have the same time.
"""

from __future__ import annotations

import hashlib
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sat.errors import SatError
from sat.store.files import replacing

PAYLOAD, MANIFEST, TAGS = "data/", "manifest-sha256.txt", "tagmanifest-sha256.txt"
DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
TEXTS = {".csv", ".html", ".json", ".jsonl", ".md", ".py", ".rst", ".svg", ".txt", ".yaml", ".yml"}
"""Ends of names whose content is compressed. Anything else is compressed already, or gains nothing."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of every member: the earliest that a zip file can hold."""
CHUNK = 2**20
LARGEST_TEXT = 2**25
"""Most bytes of a text beside ``data/``, which is read whole: a manifest of some 300,000 files."""
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What Python raises when it reads a zip file that is damaged, truncated, encrypted or of another kind."""


@dataclass(frozen=True)
class Entry:
    """A file that an archive is to hold.

    Parameters
    ----------
    content : Path or bytes
        The file, or what it is to hold.
    sha256 : str
        SHA-256 that the content must have; empty if any will do.
    """

    content: Path | bytes
    sha256: str = ""


def write_bag(path: Path, entries: Mapping[str, Entry], tags: Mapping[str, str], info: Mapping[str, str]) -> int:
    """Write an archive, whole or not at all.

    Parameters
    ----------
    path : Path
        The archive. Its folder within is called as the file without its end.
    entries : mapping of str to Entry
        By name below ``data/``.
    tags : mapping of str to str
        Texts beside ``data/`` that describe the archive, by name.
    info : mapping of str to str
        What ``bag-info.txt`` says.

    Returns
    -------
    int
        Bytes of the archive.

    Raises
    ------
    SatError
        If a file is not what its digest says.
    """
    top = f"{path.name.removesuffix('.zip')}/"
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:

        def add(name: str, entry: Entry) -> tuple[str, int]:
            member = zipfile.ZipInfo(f"{top}{name}", EPOCH)
            # Otherwise the bytes would depend on the system.
            member.create_system, member.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            text = PurePosixPath(name).suffix in TEXTS
            member.compress_type = zipfile.ZIP_DEFLATED if text else zipfile.ZIP_STORED
            digest, size = hashlib.sha256(), 0
            with archive.open(member, "w", force_zip64=True) as stream:
                for part in _parts(entry.content):
                    digest.update(part)
                    size += stream.write(part)
            if entry.sha256 not in ("", digest.hexdigest()):
                raise SatError(
                    f"{name.removeprefix(PAYLOAD)}: its content is not what its sidecar says, so no archive was "
                    "written. 'sat verify --full' says how to make it again."
                )
            return digest.hexdigest(), size

        payload = {name: add(f"{PAYLOAD}{name}", entries[name]) for name in sorted(entries)}
        manifest = "".join(f"{digest}  {PAYLOAD}{name}\n" for name, (digest, _) in payload.items())
        oxum = f"{sum(size for _, size in payload.values())}.{len(payload)}"
        about = "".join(f"{key}: {value}\n" for key, value in {**info, "Payload-Oxum": oxum}.items())
        texts = {"bagit.txt": DECLARATION, "bag-info.txt": about.encode(), MANIFEST: manifest.encode()}
        texts |= {name: text.encode() for name, text in tags.items()}
        sums = {name: add(name, Entry(texts[name]))[0] for name in sorted(texts)}
        add(TAGS, Entry("".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode()))
    return path.stat().st_size


def _parts(content: Path | bytes) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as stream:
        while part := stream.read(CHUNK):
            yield part


class Bag:
    """An archive that is there already. Its names are checked when it is opened, its content when it is unpacked.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    digests : dict of str to str
        SHA-256 of every file, by its name below ``data/``.
    digest : str
        SHA-256 of the list of these, which stands for all that is in the archive.

    Raises
    ------
    SatError
        If it is not an archive, is damaged, or has a member that would be written outside of its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except OSError as error:
            raise SatError(f"{path}: cannot be read ({error.strerror}).") from None
        except DAMAGED:
            raise self._foreign() from None
        self._members = self._checked(self._archive.infolist())
        self.digests = self._read_manifest()

    @property
    def size(self) -> int:
        """Bytes of what is to be unpacked."""
        return sum(self._members[f"{PAYLOAD}{name}"].file_size for name in self.digests)

    def text(self, name: str) -> str:
        """Text of a file beside ``data/``.

        Raises
        ------
        SatError
            If it is not there, is damaged, or is too large to be read whole.
        """
        if name not in self._members:
            raise SatError(f"{self.path}: is not an archive of 'sat export': it has no {name}. Nothing was written.")
        member = self._members[name]
        if member.file_size > LARGEST_TEXT:
            raise SatError(
                f"{self.path}: its {name} has {member.file_size / 1e6:,.0f} MB when it is unpacked, and 'sat export' "
                f"writes at most {LARGEST_TEXT / 1e6:,.0f} MB; nothing was written. Do not trust this archive."
            )
        with self._reading(name), self._archive.open(member) as stream:
            # The size may be a lie. With a number, no more than that is unpacked.
            return stream.read(member.file_size).decode()

    def unpack(self, folder: Path, accept: Callable[[str], bool]) -> None:
        """Write the content below a folder, and compare all of it with the checksums.

        Parameters
        ----------
        folder : Path
        accept : callable
            Function that says of a name whether a file may have it.

        Raises
        ------
        SatError
            If a member is damaged, or has a name that is not accepted. What was written until then stays.
        """
        for name in self.digests:
            if not accept(name):
                raise SatError(f"{self.path}: holds {name}, which is not a file of a study; nothing was imported.")
        if (free := shutil.disk_usage(folder).free) < self.size:
            raise SatError(
                f"{folder.parent}: the disk has {free / 1e9:.1f} GB free, and {self.path} takes "
                f"{self.size / 1e9:.1f} GB."
            )
        for name, expected in self.digests.items():
            place, digest = folder / name, hashlib.sha256()
            place.parent.mkdir(parents=True, exist_ok=True)
            member = self._members[f"{PAYLOAD}{name}"]
            with self._reading(name), self._archive.open(member) as stream, place.open("wb") as output:
                while part := stream.read(CHUNK):
                    digest.update(part)
                    output.write(part)
            if digest.hexdigest() != expected:
                raise _damaged(self.path, name)

    def _checked(self, members: Iterable[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        """Members by their names below the archive's one folder; other programs add an entry for each folder."""
        found: dict[str, zipfile.ZipInfo] = {}
        tops, seen = set(), set()
        for member in members:
            name, kind = member.filename, stat.S_IFMT(member.external_attr >> 16)
            parts = PurePosixPath(name).parts
            if not parts:
                raise self._foreign()
            if name.startswith("/") or ".." in parts or "\\" in name or ":" in name or not name.isprintable():
                raise SatError(
                    f"{self.path}: its member {name!r} would be written outside of the folder of the import; nothing "
                    "was written. Do not trust this archive."
                )
            # Some programs say nothing of the kind.
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise SatError(
                    f"{self.path}: its member {name!r} is a link or a device, which 'sat export' never writes; nothing "
                    "was written. Do not trust this archive."
                )
            if name.casefold() in seen:
                raise SatError(f"{self.path}: its member {name!r} stands twice; nothing was written.")
            seen.add(name.casefold())
            tops.add(parts[0])
            if not member.is_dir():
                found["/".join(parts[1:])] = member
        if len(tops) != 1:
            raise SatError(f"{self.path}: is not an archive of 'sat export': its members are not in one folder.")
        return found

    def _foreign(self) -> SatError:
        return SatError(
            f"{self.path}: is not an archive of 'sat export', or is truncated or damaged; nothing was written. Copy it "
            "again from where it was made."
        )

    def _read_manifest(self) -> dict[str, str]:
        """SHA-256 of every file by its name below ``data/``; the texts that say so are compared with theirs."""
        for name, expected in self._sums(TAGS).items():
            if hashlib.sha256(self.text(name).encode()).hexdigest() != expected:
                raise _damaged(self.path, name)
        listed = self._sums(MANIFEST)
        self.digest = hashlib.sha256(self.text(MANIFEST).encode()).hexdigest()
        there = {name for name in self._members if name.startswith(PAYLOAD)}
        if odd := sorted(there ^ set(listed)):
            what = "is missing" if odd[0] in listed else "has no checksum"
            raise SatError(f"{self.path}: {odd[0]} {what}; nothing was written. Copy it again from where it was made.")
        return {name.removeprefix(PAYLOAD): digest for name, digest in listed.items()}

    def _sums(self, name: str) -> dict[str, str]:
        lines = (line.partition("  ") for line in self.text(name).splitlines())
        return {file: digest for digest, _, file in lines}

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """A block in which an error of the zip file's reader means that a member is damaged."""
        try:
            yield
        except DAMAGED:
            raise _damaged(self.path, name) from None


def _damaged(path: Path, name: str) -> SatError:
    return SatError(
        f"{path}: is damaged: {name} is not what its checksum says. Nothing was imported; copy the archive again from "
        "where it was made."
    )
