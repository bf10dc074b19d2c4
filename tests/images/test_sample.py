"""Samples that depend on ids alone."""

from __future__ import annotations

import numpy as np

from sat.images.sample import sample_images


def test_a_sample_depends_on_ids_alone_and_grows():
    ids = np.arange(100, 200)
    chosen = sample_images(ids.tolist(), 30, "purpose", 0)
    assert len(set(chosen)) == 30 and (np.diff(chosen) > 0).all()
    order = np.random.default_rng(0).permutation(100)
    assert set(ids[order][sample_images(ids[order].tolist(), 30, "purpose", 0)]) == set(ids[chosen])
    assert set(chosen) < set(sample_images(ids.tolist(), 40, "purpose", 0))
    for other in (("purpose", 1), ("another", 0)):
        assert set(sample_images(ids.tolist(), 30, *other)) != set(chosen)
    assert sample_images(ids.tolist(), 500, "purpose", 0).tolist() == list(range(100))


def test_every_image_is_equally_likely():
    counts = np.zeros(20)
    for seed in range(2000):
        counts[sample_images(range(20), 5, "purpose", seed)] += 1
    # 500 are expected of each, with a standard deviation of 19.
    assert abs(counts - 500).max() < 80
