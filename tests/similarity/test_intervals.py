import numpy as np
import pytest
from scipy.stats import binomtest

from sat.similarity.intervals import wilson


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize(("hits", "n"), [(0, 7), (1, 7), (7, 7), (350, 700), (3, 4000), (1, 1)])
def test_against_scipy(hits, n, confidence):
    expected = binomtest(hits, n).proportion_ci(confidence, method="wilson")
    low, high = wilson(hits, n, confidence)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_no_trial_says_nothing_and_ends_are_exact():
    low, high = wilson([0, 0, 5], [0, 5, 5])
    assert low[0] == 0 and high[0] == 1
    assert low[1] == 0 and high[2] == 1
    assert np.all(low <= high)
