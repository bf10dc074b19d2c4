"""Archives: programs of others open and check them, and one that was changed is refused."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import struct
import subprocess
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sat.errors import SatError
from sat.store.bag import Bag, Entry, write_bag

TEXT = b"a,b\n" * 500


@pytest.fixture
def entries(tmp_path: Path) -> dict[str, Entry]:
    big = tmp_path / "big.h5"
    big.write_bytes(os.urandom(3_000_000))
    return {"results/s/b.h5": Entry(big), "results/s/a.csv": Entry(TEXT), "studies/s/study.yaml": Entry(b"study: s\n")}


@pytest.fixture
def archive(tmp_path: Path, entries: dict[str, Entry]) -> Path:
    path = tmp_path / "s.sat.zip"
    write_bag(path, entries, {"README.txt": "a word\n"}, {"External-Identifier": "s"})
    return path


def take(path: Path, folder: Path) -> None:
    folder.mkdir()
    Bag(path).unpack(folder, lambda name: True)


def test_other_programs_unpack_an_archive_and_check_its_sums(archive: Path, tmp_path: Path) -> None:
    subprocess.run(
        [shutil.which("unzip") or pytest.skip("no unzip"), "-q", archive, "-d", tmp_path / "out"], check=True
    )
    bag = tmp_path / "out/s.sat"
    for sums in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        subprocess.run(["sha256sum", "--quiet", "--strict", "-c", sums], cwd=bag, check=True)
    payload = [path for path in (bag / "data").rglob("*") if path.is_file()]
    assert (bag / "data/results/s/a.csv").read_bytes() == TEXT and len(payload) == 3
    # RFC 8493: the declaration to the letter, and the sum of bytes and files.
    assert (bag / "bagit.txt").read_text() == "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
    assert f"Payload-Oxum: {sum(path.stat().st_size for path in payload)}.3\n" in (bag / "bag-info.txt").read_text()


def test_the_bytes_of_an_archive_follow_from_its_content(
    archive: Path, entries: dict[str, Entry], tmp_path: Path
) -> None:
    again = tmp_path / "later/s.sat.zip"
    os.utime(entries["results/s/b.h5"].content, (1_000_000_000,) * 2)
    write_bag(again, dict(reversed(entries.items())), {"README.txt": "a word\n"}, {"External-Identifier": "s"})
    assert again.read_bytes() == archive.read_bytes()
    with zipfile.ZipFile(archive) as opened:
        kinds = {Path(one.filename).name: one.compress_type for one in opened.infolist()}
    assert kinds["b.h5"] == zipfile.ZIP_STORED and kinds["a.csv"] == zipfile.ZIP_DEFLATED


def test_a_file_that_is_not_what_its_sidecar_says_is_not_packed(tmp_path: Path, entries: dict[str, Entry]) -> None:
    wrong = {**entries, "results/s/a.csv": Entry(TEXT, hashlib.sha256(b"other").hexdigest())}
    with pytest.raises(SatError, match=r"results/s/a.csv: its content is not what its sidecar says"):
        write_bag(tmp_path / "x.zip", wrong, {}, {})
    assert not [path for path in tmp_path.iterdir() if "x.zip" in path.name]


def test_an_archive_that_was_cut_off_or_changed_anywhere_is_refused(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    bad = tmp_path / "bad.zip"
    for number, share in enumerate((0, 0.3, 0.9, 0.9999)):
        bad.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(SatError, match="truncated or damaged"):
            take(bad, tmp_path / f"cut{number}")
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
    for number, member in enumerate(members):
        name_and_extra = struct.unpack_from("<HH", whole, member.header_offset + 26)
        place = member.header_offset + 30 + sum(name_and_extra) + member.compress_size // 2
        bad.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(SatError, match="damaged"):
            take(bad, tmp_path / f"changed{number}")
    assert len(members) == 8


def test_a_member_whose_zip_checks_hold_and_whose_sum_does_not_is_refused(archive: Path, tmp_path: Path) -> None:
    """As after an edit with a program that reads zip files and knows nothing of the sums."""
    edited = tmp_path / "edited.zip"
    for name in ("data/results/s/a.csv", "manifest-sha256.txt", "README.txt"):
        with zipfile.ZipFile(archive) as old, zipfile.ZipFile(edited, "w") as new:
            for member in old.infolist():
                content = old.read(member)
                new.writestr(member, content.replace(b"a", b"A") if member.filename == f"s.sat/{name}" else content)
        with pytest.raises(SatError, match=f"damaged: .*{Path(name).name} is not what its checksum says"):
            take(edited, tmp_path / Path(name).stem)


def rewritten(archive: Path, change: Callable[[zipfile.ZipFile], None], path: Path) -> Path:
    """An archive with further members."""
    shutil.copy(archive, path)
    with zipfile.ZipFile(path, "a") as opened:
        change(opened)
    return path


def link(opened: zipfile.ZipFile) -> None:
    member = zipfile.ZipInfo("s.sat/data/results/s/link")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    opened.writestr(member, "/etc/passwd")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda opened: opened.writestr("s.sat/data/../../../x", "x"), "outside of the folder"),
        (lambda opened: opened.writestr("/tmp/x", "x"), "outside of the folder"),
        (lambda opened: opened.writestr("s.sat/data/..\\x", "x"), "outside of the folder"),
        (lambda opened: opened.writestr("C:/x", "x"), "outside of the folder"),
        (link, "is a link"),
        (lambda opened: opened.writestr("s.sat/data/results/s/A.csv", "x"), "stands twice"),
        (lambda opened: opened.writestr("s.sat/data/results/s/more.csv", "x"), "has no checksum"),
        (lambda opened: opened.writestr("other/x", "x"), "not in one folder"),
        (lambda opened: opened.writestr(".", "x"), "truncated or damaged"),
        (lambda opened: opened.writestr("./", "x"), "truncated or damaged"),
    ],
)
def test_members_that_would_lead_elsewhere_are_refused_before_anything_is_written(
    archive: Path, tmp_path: Path, change: Callable[[zipfile.ZipFile], None], words: str
) -> None:
    hostile = rewritten(archive, change, tmp_path / "hostile.zip")
    before = set(tmp_path.rglob("*"))
    with pytest.raises(SatError, match=words):
        Bag(hostile)
    assert set(tmp_path.rglob("*")) == before


def bomb(path: Path, name: str, megabytes: int) -> Path:
    """An archive with a text that takes a thousandth of its size as long as it is packed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        if name != "tagmanifest-sha256.txt":
            opened.writestr("s/tagmanifest-sha256.txt", f"{'0' * 64}  {name}\n")
        with opened.open(f"s/{name}", "w") as stream:
            for _ in range(megabytes):
                stream.write(b"0" * 2**20)
    return path


@pytest.mark.parametrize("name", ["tagmanifest-sha256.txt", "manifest-sha256.txt", "README.txt"])
def test_a_text_that_would_fill_the_memory_is_refused_before_it_is_unpacked(tmp_path: Path, name: str) -> None:
    path = bomb(tmp_path / "bomb.zip", name, 100)
    assert path.stat().st_size < 200_000
    tracemalloc.start()
    try:
        with pytest.raises(SatError, match=f"its {name} has 105 MB when it is unpacked"):
            Bag(path)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


def test_a_text_that_lies_about_its_size_fills_no_memory(tmp_path: Path) -> None:
    path = bomb(tmp_path / "bomb.zip", "tagmanifest-sha256.txt", 100)
    raw = path.read_bytes()
    true, false = struct.pack("<I", 100 * 2**20), struct.pack("<I", 1000)
    assert raw.count(true) == 2, "in the member's own header and in the list at the end"
    path.write_bytes(raw.replace(true, false))
    tracemalloc.start()
    try:
        with pytest.raises(SatError, match="is damaged"):
            Bag(path)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()
