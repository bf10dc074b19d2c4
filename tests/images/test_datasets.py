import io
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import tarfile
import zlib
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from sat.errors import SatError
from sat.images.datasets import decode, open_dataset
from sat.images.images import TooManyPixels, to_canvas

RED, GREEN = (250, 10, 10), (10, 250, 10)


def encoded(colour=RED, size=(12, 8), kind="PNG", mode="RGB", **options):
    stream = io.BytesIO()
    Image.new("RGB", size, colour).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Two classes, whose natural order is not that of the alphabet."""
    root = tmp_path / "some images"
    for name, colour in (("class2", RED), ("class10", GREEN)):
        (root / name).mkdir(parents=True)
        for number in range(3):
            (root / name / f"{number}.png").write_bytes(encoded(colour))
    (root / "notes.txt").write_text("no image")
    return root


def colours(dataset, rows):
    return {row: np.asarray(decode(raw)[0])[0, 0].argmax() for row, raw in dataset.read(rows)}


def test_folder(folder):
    dataset = open_dataset("folder", str(folder), "", None)
    listing = dataset.listing()
    assert listing.names == tuple(f"{name}/{number}.png" for name in ("class2", "class10") for number in range(3))
    assert listing.classes == ("class2", "class10")
    assert listing.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert colours(dataset, [4, 0]) == {4: 1, 0: 0}


def test_ids_follow_the_name_and_not_the_place(folder):
    before = open_dataset("folder", str(folder), "", None).listing()
    (folder / "class2/00.png").write_bytes(encoded())
    after = open_dataset("folder", str(folder), "", None).listing()
    same = dict(zip(after.names, after.ids, strict=True))
    assert len(set(after.ids)) == 7
    assert all(same[name] == number for name, number in zip(before.names, before.ids, strict=True))


def test_class_map_says_which_output(folder, tmp_path):
    (tmp_path / "map.txt").write_text("other\nclass10\n")
    listing = open_dataset("folder", str(folder), "", str(tmp_path / "map.txt")).listing()
    # A class that the map leaves out is not among the images.
    assert listing.labels.tolist() == [1, 1, 1] and listing.classes is None


def pack(path, root, prefix=""):
    with tarfile.open(path, "w") as archive:
        archive.add(root, prefix, recursive=True)


@pytest.mark.parametrize("several", [False, True], ids=["one tar", "a tar a class"])
def test_tars(folder, tmp_path, several):
    if several:
        root = tmp_path / "tars"
        root.mkdir()
        for name in ("class2", "class10"):
            pack(root / f"{name}.tar", folder / name)
    else:
        root = tmp_path / "all.tar"
        pack(root, folder, "all")
    dataset = open_dataset("folder", str(root), "", None)
    listing = dataset.listing()
    assert listing.classes == ("class2", "class10") and sorted(listing.labels) == [0, 0, 0, 1, 1, 1]
    assert len(set(listing.names)) == 6, "names in several tars must not meet"
    assert colours(dataset, range(6)) == dict(enumerate(listing.labels.tolist()))
    assert not list(tmp_path.rglob("*.pickle"))


def test_hfds(folder, tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["red", "green"])})
    rows = [
        {"image": {"bytes": encoded(colour), "path": None}, "label": label} for label, colour in enumerate((RED, GREEN))
    ]
    (tmp_path / "hub").mkdir()
    datasets.Dataset.from_list(rows, features=features).to_parquet(tmp_path / "hub/validation.parquet")
    dataset = open_dataset(f"hfds/{tmp_path / 'hub'}", str(tmp_path / "cache"), "validation", None)
    listing = dataset.listing()
    assert listing.classes == ("red", "green") and listing.labels.tolist() == [0, 1]
    assert colours(dataset, [1, 0]) == {0: 0, 1: 1}


def write_shards(folder, contents):
    folder.mkdir()
    for shard in range(2):
        with tarfile.open(folder / f"some-validation-{shard}.tar", "w") as archive:
            for number, (image, label) in enumerate(contents[shard::2]):
                for suffix, content in (("png", image), ("cls", str(label).encode())):
                    info = tarfile.TarInfo(f"{shard}{number}.{suffix}")
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
    names = [f"some-validation-{shard}.tar" for shard in range(2)]
    lengths = [len(contents[shard::2]) for shard in range(2)]
    split = {"name": "validation", "num_samples": len(contents), "filenames": names, "shard_lengths": lengths}
    (folder / "_info.json").write_text(json.dumps({"splits": {"validation": split}}))


def test_wds(tmp_path):
    pytest.importorskip("webdataset")
    contents = [(encoded(RED), 0), (encoded(GREEN), 1), (encoded(GREEN), 1), (encoded(RED), 0)]
    write_shards(tmp_path / "shards", contents)
    dataset = open_dataset("wds/some", str(tmp_path / "shards"), "validation", None)
    listing = dataset.listing()
    # Shard by shard: the first holds items 0 and 2.
    assert listing.labels.tolist() == [0, 1, 1, 0] and listing.classes is None and dataset.dropped == 0
    assert colours(dataset, [3, 1]) == {1: 1, 3: 0}


def test_images_that_a_stream_drops_are_counted(tmp_path):
    pytest.importorskip("webdataset")
    write_shards(tmp_path / "shards", [(encoded(), 0), (b"broken", 1), (encoded(), 0)])
    dataset = open_dataset("wds/some", str(tmp_path / "shards"), "validation", None)
    assert len(dataset.listing().names) == 2 and dataset.dropped == 1


@pytest.mark.parametrize(
    ("source", "root", "advice"),
    [
        ("folder", "nowhere", "images.root"),
        ("folder", ".", "Found 0 images"),
        ("hfds/nowhere/at-all", None, "cannot be opened"),
        ("tfds/mnist", None, "pip install tensorflow-datasets"),
    ],
)
def test_what_cannot_be_opened_is_said(tmp_path, monkeypatch, source, root, advice):
    monkeypatch.chdir(tmp_path)
    # As HF_HUB_OFFLINE=1, which the hub's client reads when it is imported.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SatError, match=advice):
        open_dataset(source, root, "validation", None)


def test_digits_are_the_real_ones():
    dataset = open_dataset("digits", None, "", None)
    listing = dataset.listing()
    assert len(listing.names) == 1797 and set(listing.labels) == set(range(10))
    assert (listing.ids == np.arange(1797)).all()
    levels = np.unique(np.stack([np.asarray(image) for _, image in dataset.read(range(1797))]))
    assert len(levels) == 17 and levels[0] == 0 and levels[-1] == 255


@pytest.mark.parametrize(
    ("mode", "colour", "kind"),
    [
        ("RGB", (10, 40, 200), "PNG"),
        ("L", (40, 40, 40), "PNG"),
        ("1", (255, 255, 255), "PNG"),
        ("P", (255, 0, 0), "GIF"),
        ("RGBA", (10, 40, 200), "PNG"),
        ("LA", (40, 40, 40), "PNG"),
        ("CMYK", (10, 40, 200), "JPEG"),
    ],
)
def test_every_mode_becomes_rgb(mode, colour, kind):
    image, digest = decode(encoded(colour, mode=mode, kind=kind))
    assert image.mode == "RGB" and len(digest) == 64
    assert np.abs(np.asarray(image, int) - np.array(colour)).max() < 4


def test_16_bits_are_scaled_and_not_cut():
    values = np.array([[0, 257, 65535, 32896]], np.uint16)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    image, _ = decode(stream.getvalue())
    assert np.asarray(image)[0, :, 0].tolist() == [0, 1, 255, 128]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    # A camera that was held otherwise stores the picture turned, and says so.
    upright = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6) * 10)
    turned = {
        1: upright,
        2: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: upright.transpose(Image.Transpose.ROTATE_180),
        4: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: upright.transpose(Image.Transpose.TRANSPOSE),
        6: upright.transpose(Image.Transpose.ROTATE_90),
        7: upright.transpose(Image.Transpose.TRANSVERSE),
        8: upright.transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    turned.save(stream, "PNG", exif=exif)
    image, _ = decode(stream.getvalue())
    assert (np.asarray(image)[..., 0] == np.asarray(upright)).all()


@pytest.mark.parametrize("content", [b"", b"no image", encoded()[:-40], encoded(kind="JPEG", size=(64, 64))[:400]])
def test_what_is_no_image_is_said(content):
    with pytest.raises(ValueError, match=r"\w"):
        decode(content)


# Hostile and unusual images.

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"


def bomb(width, height):
    """A PNG whose header promises many pixels, all of one colour."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * (height * (1 + (width + 7) // 8)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_postscript_named_png_starts_no_program(monkeypatch):
    started = []
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *args, **kwargs: started.append(args))
    monkeypatch.setattr("subprocess.check_call", lambda *args, **kwargs: started.append(args))
    with pytest.raises(ValueError, match=r"its format is EPS, and these are read: BMP, GIF, JPEG, PNG"):
        decode(POSTSCRIPT)
    assert not started


def test_a_stream_s_reader_opens_the_same_formats(tmp_path, monkeypatch):
    pytest.importorskip("webdataset")
    opened = []
    monkeypatch.setattr("PIL.EpsImagePlugin.EpsImageFile._open", lambda self: opened.append(self))
    write_shards(tmp_path / "shards", [(encoded(), 0), (POSTSCRIPT, 1), (encoded(), 0)])
    dataset = open_dataset("wds/some", str(tmp_path / "shards"), "validation", None)
    assert len(dataset.listing().names) == 2 and dataset.dropped == 1 and not opened
    assert "EPS" in Image.ID, "others who use Pillow are not to be restricted"


def test_bombs_are_refused_before_they_are_decoded():
    # 100 million pixels are below Pillow's own limits, at which it warns or refuses.
    content = bomb(10_000, 10_000)
    assert len(content) < 20_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TooManyPixels, match=r"10000 x 10000 = 100\.0 million pixels, and key 'compute\.max"):
        decode(content, 64)
    # A grey image of that size alone takes 100 MB; the unit is KiB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert decode(bomb(100, 2_000), 0.2)[0].size == (100, 2_000)


def test_the_key_raises_the_limit_above_pillow_s(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert decode(bomb(100, 100), 1)[0].size == (100, 100)
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_a_strip_does_not_grow_into_a_bomb():
    strip, _ = decode(bomb(60_000, 1), 64)
    # 256 x 15,360,000 pixels, where the strip has 60,000.
    with pytest.raises(TooManyPixels, match=r"would be resized to 15360000 x 256 = 3932\.2 million pixels"):
        to_canvas(strip, 224, 0.875, 64)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_picture_is_taken(kind):
    pictures = [Image.new("RGB", (12, 8), colour) for colour in (RED, GREEN)]
    stream = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    pictures[0].save(stream, kind, save_all=True, append_images=pictures[1:], **options)
    assert np.abs(np.asarray(decode(stream.getvalue())[0], int) - np.array(RED)).max() < 9


@pytest.mark.parametrize("values", [np.float32([[0, 0.5, 1]]), np.int32([[0, 70_000, 2**30]]), np.int32([[-1, 0, 1]])])
def test_numbers_that_are_no_grey_levels_are_refused(values):
    # Pillow would make them black or white.
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "TIFF")
    with pytest.raises(ValueError, match="not grey levels"):
        decode(stream.getvalue())


def test_what_is_no_file_is_said_and_not_opened(folder):
    os.mkfifo(folder / "class2/pipe.png")
    (folder / "class2/lost.png").symlink_to("nowhere.png")
    with (folder / "class2/huge.png").open("wb") as stream:
        stream.truncate(2**40)
    dataset = open_dataset("folder", str(folder), "", None)
    listing = dataset.listing()
    # An open pipe would wait for ever, so the alarm ends the test.
    with alarm(20):
        faults = {}
        for row, raw in dataset.read(range(len(listing.names))):
            try:
                decode(raw)
            except ValueError as error:
                faults[listing.names[row]] = str(error)
    assert faults == {
        "class2/huge.png": "it claims 1099.5 GB, which no image takes",
        "class2/lost.png": "it is a broken link, or is not there",
        "class2/pipe.png": "it is not a regular file",
    }


@contextmanager
def alarm(seconds):
    def end(*_):
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_links_that_lead_back_are_named(folder):
    # Two of them: each path to one of them has two continuations, up to the system's limit of 40.
    for name in ("one", "two"):
        (folder / "class2" / name).symlink_to(folder, target_is_directory=True)
    with alarm(20), pytest.raises(SatError, match=r"class2/(one|two): leads back to a folder above it"):
        open_dataset("folder", str(folder), "", None)


def test_links_without_a_loop_can_make_too_many_paths_too(folder, tmp_path):
    chain = [tmp_path / f"chain/{number}" for number in range(30)]
    for place in chain:
        place.mkdir(parents=True)
    for above, below in pairwise(chain):
        for name in ("left", "right"):
            (above / name).symlink_to(below, target_is_directory=True)
    (folder / "class3").symlink_to(chain[0], target_is_directory=True)
    with alarm(20), pytest.raises(SatError, match="is reached by over 100 paths"):
        open_dataset("folder", str(folder), "", None)


def test_links_to_elsewhere_stay_allowed(folder, tmp_path):
    (folder / "class2").rename(tmp_path / "elsewhere")
    (folder / "class2").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    # A link to itself is no folder, and a folder that may be reached twice is no loop.
    (folder / "itself").symlink_to("itself")
    (folder / "class3").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    dataset = open_dataset("folder", str(folder), "", None)
    assert dataset.listing().classes == ("class2", "class3", "class10")
    assert colours(dataset, [0, 3, 8]) == {0: 0, 3: 0, 8: 1}


def test_a_folder_of_pipes_named_tar_is_not_opened(tmp_path):
    root = tmp_path / "tars"
    root.mkdir()
    os.mkfifo(root / "a.tar")
    with alarm(20), pytest.raises(SatError, match="Found 0 images"):
        open_dataset("folder", str(root), "", None)


def test_a_member_of_a_tar_that_claims_too_much_is_not_read(tmp_path):
    content = encoded()
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        for name in ("a/0.png", "b/0.png"):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    dataset = open_dataset("folder", str(tmp_path / "all.tar"), "", None)
    # As a sparse member: the reader has its size from the header.
    dataset.reader.samples[1][0].size = 2**40
    (_, first), (_, second) = dataset.read([0, 1])
    assert first == content and isinstance(second, OSError)


def test_the_digits_are_those_of_scikit_learn_which_is_not_imported(monkeypatch):
    from sklearn.datasets import load_digits

    theirs = load_digits()
    ours = open_dataset("digits", None, "", None)
    monkeypatch.setattr("sat.images.datasets.find_spec", lambda name: None)
    for digits in (ours, open_dataset("digits", None, "", None)):
        assert (digits.images == np.rint(theirs.images * 255 / 16)).all() and digits.images.dtype == np.uint8
        assert (digits.labels == theirs.target).all() and digits.labels.dtype == np.int64
    code = "import sys; from sat.images.datasets import Digits; Digits(); sys.exit('sklearn' in sys.modules)"
    assert not subprocess.run([sys.executable, "-c", code], check=False).returncode
