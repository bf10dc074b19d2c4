import numpy as np
import pytest
from scipy.stats import rankdata

from sat.statistics.correlation import ranked


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 66, 500])
def test_ranks_are_those_of_scipy_with_ties_and_without(n):
    random = np.random.default_rng(n)
    for values in (random.random(n), random.integers(0, 1 + n // 2, n).astype(float), np.zeros(n), -np.arange(n) / 3):
        np.testing.assert_array_equal(ranked(values), rankdata(values))


def test_a_value_that_is_not_known_leaves_no_ranks():
    values = np.array([3.0, np.nan, 1.0])
    np.testing.assert_array_equal(ranked(values), rankdata(values))
    assert np.isnan(ranked(values)).all()
    np.testing.assert_array_equal(ranked(np.array([np.inf, -np.inf, 0.0])), [3, 1, 2])
