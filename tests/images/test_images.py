import numpy as np
import pytest
from PIL import Image

from sat.images.images import read_digits, split_indices, stratified_permutation, to_canvas

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


def test_splits_are_disjoint_and_attack_images_nest():
    train = split_indices(LABELS, "train", 0.6, 0)
    evaluation = split_indices(LABELS, "eval", 0.6, 0)
    assert sorted([*train, *evaluation]) == list(range(1797))
    assert len(train) == round(0.6 * 1797)
    few, more = (split_indices(LABELS, "attack", 0.6, 0, count) for count in (100, 500))
    assert set(few) < set(more) < set(evaluation)
    assert (split_indices(LABELS, "attack", 0.6, 0) == evaluation).all()
    with pytest.raises(ValueError, match="720 attack images of 719"):
        split_indices(LABELS, "attack", 0.6, 0, 720)


def test_every_class_is_split_alike():
    train = np.bincount(LABELS[split_indices(LABELS, "train", 0.6, 0)])
    assert np.abs(train / np.bincount(LABELS) - 0.6).max() < 0.06


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1"])
@pytest.mark.parametrize("size", [(40, 40), (90, 50), (50, 90), (8, 8), (1, 9)])
def test_any_image_reaches_the_canvas(mode, size):
    canvas = to_canvas(Image.new(mode, size), 32, 0.875)
    assert canvas.shape == (3, 32, 32) and canvas.dtype == np.uint8


def test_canvas_is_resize_and_centre_crop():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8))
    # Short side to round(32 / 0.875) = 37, long side in proportion, centre of 37 x 56.
    resized = np.asarray(image.resize((56, 37), Image.Resampling.BICUBIC))
    assert (to_canvas(image, 32, 0.875) == resized[2:34, 12:44].transpose(2, 0, 1)).all()
    same = to_canvas(image.crop((0, 0, 60, 60)), 60, 1.0)
    assert (same == np.asarray(image)[:, :60].transpose(2, 0, 1)).all(), "nothing happens at native size"


def test_digits_are_the_real_ones():
    images, labels = read_digits()
    assert len(images) == len(labels) == 1797
    assert set(labels) == set(range(10))
    levels = np.unique(np.stack([np.asarray(image) for image in images]))
    assert len(levels) == 17 and levels[0] == 0 and levels[-1] == 255
