import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from sat.errors import SatError
from sat.images.datasets import decode, open_dataset

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
