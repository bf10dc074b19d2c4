"""How many images a target takes: closed forms, and simulated truth."""

import math

import numpy as np
import pytest

from sat.statistics.correlation import spearman
from sat.statistics.intervals import sat_interval
from sat.status.grow import Need, correlation_with, half_width_need, stability_need


def test_half_the_width_takes_four_times_the_images():
    need = half_width_need(500, 0.2, 0.1)
    assert not need.enough and need.needed == pytest.approx(2000)
    assert half_width_need(500, 0.2, 0.2).enough


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.4])
def test_the_law_holds_for_the_intervals_of_sat(rate):
    def half(images):
        one = 2 * rate * (1 - rate) * images
        table = sat_interval([rate**2 * images], [one / 2], [one / 2], [(1 - rate) ** 2 * images], 0.01)
        return float((table["sat_high"] - table["sat_low"])[0] / 2)

    assert half_width_need(1000, half(1000), half(4000)).needed == pytest.approx(4000, rel=0.05)


def test_the_images_that_are_said_to_suffice_for_a_rank_correlation_do():
    random = np.random.default_rng(0)
    pairs, noise = 4000, 6.0
    truth = random.standard_normal(pairs)

    def measured(images):
        """Two matrices of other images: each entry is the truth and the mean of that many images' noise."""
        return spearman(*(truth + random.standard_normal((2, pairs)) * noise / math.sqrt(images)))

    need = stability_need(images=80, size=40, correlation=measured(40), target=0.9)
    assert not need.enough
    assert need.reached == pytest.approx(measured(80), abs=0.02)
    assert measured(round(need.needed)) == pytest.approx(0.9, abs=0.01)


def test_twice_the_length_is_spearmans_and_browns_formula():
    assert correlation_with(2, 0.6) == pytest.approx(2 * 0.6 / 1.6)
    assert stability_need(100, 50, 0.6, 0.7).enough and not stability_need(100, 50, 0.6, 0.8).enough


def test_nothing_in_common_says_nothing_of_more_images():
    need = stability_need(100, 50, -0.1, 0.9)
    assert need.needed == math.inf and need.next(10_000) == 200


@pytest.mark.parametrize(
    ("needed", "available", "expected"),
    [
        (5000, 10_000, 640),
        (400, 10_000, 400),
        (401, 10_000, 416),
        (321, 10_000, 336),
        (5000, 500, 500),
        (400, 320, 320),
    ],
    ids=["at most double", "what is needed", "up to a whole batch", "one batch more", "all there are", "no more"],
)
def test_the_next_number(needed, available, expected):
    assert Need(320, 0.5, enough=False, needed=needed).next(available) == expected
