"""The simulation behind docs/images.md, against closed forms."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from conftest import ROOT


@pytest.fixture
def images(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import images

    return images


def test_images_fool_at_the_given_rates_and_together_as_one_factor_says(images):
    rates = np.array([[0.99, 0.3, 0.05], [0.3, 0.99, 0.2], [0.05, 0.2, 0.99]])
    scores = images.simulate(["a", "b", "c"], rates, 60_000, np.random.default_rng(0))
    n = scores.both.sum(axis=1)
    assert n / 60_000 == pytest.approx(0.8, abs=0.01)
    given = rates[scores.first, scores.second]
    for fooled in (scores.forth, scores.back):
        assert fooled.sum(axis=1) / n == pytest.approx(given, abs=0.01)
    off = scores.first != scores.second
    together = (scores.forth & scores.back).sum(axis=1)[off] / n[off]
    factor = multivariate_normal(cov=[[1, 0.3], [0.3, 1]])
    assert together == pytest.approx([factor.cdf([norm.ppf(rate)] * 2) for rate in given[off]], abs=0.01)


def test_the_same_images_say_the_same(images):
    names, rates = list("abcdef"), np.full((6, 6), 0.2)
    one = images.Measured(
        images.simulate(names, rates, 500, np.random.default_rng(0)), {"x": names[:3], "y": names[3:]}, 2
    )
    half_width, *same, within, largest, _ = one.beside(one)
    assert half_width > 0 and same == pytest.approx([1] * 6) and within == largest == 0
