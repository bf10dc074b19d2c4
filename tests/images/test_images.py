import numpy as np
import pytest
from PIL import Image

from sat.images.images import listed_indices, split_indices, stratified_permutation, to_canvas

LABELS = np.random.default_rng(0).choice(10, 1797, p=np.arange(1, 11) / 55)


def test_a_permutation_whose_every_prefix_is_stratified():
    order = stratified_permutation(LABELS, 0)
    assert sorted(order) == list(range(len(LABELS)))
    share = np.bincount(LABELS) / len(LABELS)
    for size in (100, 500, 1000, 1797):
        counts = np.bincount(LABELS[order[:size]], minlength=10)
        # A class misses its due by less than two images, where chance alone would by many.
        assert np.abs(counts - share * size).max() < 2


def test_the_seed_decides():
    assert (stratified_permutation(LABELS, 0) == stratified_permutation(LABELS, 0)).all()
    assert (stratified_permutation(LABELS, 0) != stratified_permutation(LABELS, 1)).any()


def test_splits_are_disjoint_and_attack_images_are_a_prefix():
    train = split_indices(LABELS, "train", 0.6, 0)
    evaluation = split_indices(LABELS, "eval", 0.6, 0)
    assert sorted([*train, *evaluation]) == list(range(1797))
    assert len(train) == round(0.6 * 1797)
    assert (split_indices(LABELS, "attack", 0.6, 0) == evaluation).all()
    assert sorted(split_indices(LABELS, "eval", 0.0, 0)) == list(range(1797))


def test_a_folder_of_training_images_leaves_the_others_as_if_it_were_not_there():
    training = np.random.default_rng(1).random(len(LABELS)) < 0.7
    train, evaluation = (split_indices(LABELS, split, 0.0, 3, training) for split in ("train", "eval"))
    assert training[train].all() and not training[evaluation].any()
    assert sorted([*train, *evaluation]) == list(range(len(LABELS)))
    assert (split_indices(LABELS, "attack", 0.0, 3, training) == evaluation).all()
    alone = split_indices(LABELS[~training], "eval", 0.0, 3)
    assert (np.flatnonzero(~training)[alone] == evaluation).all()


def test_a_list_finds_images_by_name_file_or_stem():
    names = ["cat/1.png", "cat/2.png", "dog/2.png", "dog/3.png"]
    assert listed_indices(["3", "1.png", "dog/2.png"], names) == [3, 0, 2]
    for wanted, reason in (
        (["2.png"], "'2.png' is the name of 2 images"),
        (["9"], "'9' is the name of 0 images"),
        (["3", "dog/3.png"], "'dog/3.png' stands there twice"),
    ):
        with pytest.raises(ValueError, match=reason):
            listed_indices(wanted, names)


def test_every_class_is_split_alike():
    train = np.bincount(LABELS[split_indices(LABELS, "train", 0.6, 0)])
    assert np.abs(train / np.bincount(LABELS) - 0.6).max() < 0.06


@pytest.mark.parametrize("size", [(40, 40), (90, 50), (50, 90), (8, 8), (1, 9)])
def test_any_size_reaches_the_canvas(size):
    canvas = to_canvas(Image.new("RGB", size, (10, 20, 30)), 32, 0.875)
    assert canvas.shape == (3, 32, 32) and canvas.dtype == np.uint8
    assert (canvas == np.array([10, 20, 30]).reshape(3, 1, 1)).all()


def test_canvas_is_resize_and_centre_crop():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8))
    # Short side to floor(32 / 0.875) = 36, long side in proportion, centre of 36 x 54.
    resized = np.asarray(image.resize((54, 36), Image.Resampling.BICUBIC))
    assert (to_canvas(image, 32, 0.875) == resized[2:34, 11:43].transpose(2, 0, 1)).all()
    same = to_canvas(image.crop((0, 0, 60, 60)), 60, 1.0)
    assert (same == np.asarray(image)[:, :60].transpose(2, 0, 1)).all(), "nothing happens at native size"


def test_canvas_is_that_of_timm_and_torchvision_pixel_for_pixel():
    from timm.data import create_transform
    from torchvision import transforms

    random = np.random.default_rng(0)
    for number in range(200):
        width, height = random.integers(20, 400, 2)
        side = int(random.choice([32, 96, 224]))
        crop_pct = float(random.choice([0.875, 0.9, 0.95, 1.0]))
        coarse = Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        image = coarse.resize((int(width), int(height)), Image.Resampling.BICUBIC)
        timm = create_transform((3, side, side), interpolation="bicubic", crop_pct=crop_pct, normalize=False)
        bicubic = transforms.InterpolationMode.BICUBIC
        resize = transforms.Resize(int(side / crop_pct), interpolation=bicubic)
        ours, what = to_canvas(image, side, crop_pct), (number, width, height, side, crop_pct)
        assert (ours == timm(image).numpy()).all(), what
        torchvision = transforms.Compose([resize, transforms.CenterCrop(side)])
        assert (ours == np.asarray(torchvision(image)).transpose(2, 0, 1)).all(), what
