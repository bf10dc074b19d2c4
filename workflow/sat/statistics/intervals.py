"""Intervals for shares, and for SAT."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, gamma, norm, t


def wilson(hits: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the Wilson score interval of a share.

    Parameters
    ----------
    hits : array_like
        Number of successes. It need not be whole, as for a mean of two indicators.
    n : array_like
        Number of trials. Where it is 0, the interval is 0 to 1.
    confidence : float

    Returns
    -------
    low, high : float array
        Ends of the interval, within 0 to 1.

    References
    ----------
    Wilson, E. B. (1927). JASA 22(158), 209-212.
    """
    hits, n = np.asarray(hits, float), np.asarray(n, float)
    z2 = norm.isf((1 - confidence) / 2) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(n > 0, hits / n, 0.5)
        centre = (share + z2 / (2 * n)) / (1 + z2 / n)
        half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    low = np.where(n > 0, np.clip(centre - half, 0, 1), 0.0)
    high = np.where(n > 0, np.clip(centre + half, 0, 1), 1.0)
    # The ends 0 and 1 are set exactly, since rounding would leave 1e-17.
    return np.where(share <= 0, 0.0, low), np.where(share >= 1, 1.0, high)


def sat_interval(
    n11: ArrayLike, n10: ArrayLike, n01: ArrayLike, n00: ArrayLike, eps_s: float, confidence: float = 0.95
) -> pd.DataFrame:
    """Compute the interval of SAT from how often both, one or no direction of a pair transfers.

    Every image of X_AB has two indicators, "A errs on x_B" and "B errs on x_A". They
    are correlated, so neither n nor 2n is the right number of trials. Kish's design
    effect is the factor by which the variance of the mean of the 2n indicators exceeds
    that of independent ones. Wilson's interval is computed with 2n / design_effect
    trials, and SAT's logarithm is applied to its ends.

    Parameters
    ----------
    n11, n10, n01, n00 : array_like, shape (pairs,)
        Numbers of images of X_AB on which both, only A, only B, and neither errs.
    eps_s : float
        Floor within the logarithm, in per cent.
    confidence : float

    Returns
    -------
    DataFrame
        One row per pair. Columns: n_both_correct, rate (mean of both directions, a
        share), design_effect (above 0, at most 2), n_effective, rate_low, rate_high,
        sat, sat_low, sat_high (per cent within the logarithm), and upper_bound (no
        image transferred, so only sat_high is informative). rate and sat are NaN where
        no image is correct for both.

    Notes
    -----
    Two changes to the plain formula keep its coverage in extreme cases:

    * The design effect is estimated with half an image more on which both err,
      and half an image more on which neither does. Without a hit it is 2, as if
      both directions agreed on every image, which is the worst case. And it never
      becomes 0 where the directions differ on every image.
    * Wilson's lower end is too high where the effective number of hits is 1, 2
      or 3: coverage falls to 84 % where it should be 95 %. In these cases the limit of
      Brown, Cai & DasGupta is used: the Poisson mean at which that many hits or
      more have a probability of 1 - confidence. The upper end is treated in the same
      way for misses.

    Where very few hits are expected, the intervals are too wide rather than too narrow. With 0.1 expected hits, for
    example, a set of outcomes has a probability of 90 or 99 %, and none has one between these.

    References
    ----------
    Brown, Cai & DasGupta (2001). Interval estimation for a binomial proportion.
    Statistical Science 16(2), 101-133 (section 4.1.1).
    Kish (1965). Survey Sampling. Wiley.
    """
    both, only_a, only_b, neither = (np.atleast_1d(np.asarray(count, float)) for count in (n11, n10, n01, n00))
    one = only_a + only_b
    n = both + one + neither
    rate = (both + one / 2) / np.where(n > 0, n, np.nan)
    mean = (both + 0.5 + one / 2) / (n + 1)
    variance = (both + 0.5 + one / 4) / (n + 1) - mean**2
    design_effect = 2 * variance / (mean * (1 - mean))
    n_effective = 2 * n / design_effect
    hits = np.nan_to_num(rate) * n_effective
    low, high = wilson(hits, n_effective, confidence)
    low = np.minimum(low, _few(hits, n_effective, 1 - confidence))
    high = np.maximum(high, 1 - _few(n_effective - hits, n_effective, 1 - confidence))
    table = pd.DataFrame({"n_both_correct": n.astype(np.int64), "rate": rate})
    table["design_effect"], table["n_effective"] = design_effect, n_effective
    table["rate_low"], table["rate_high"] = low, high
    for name, share in (("sat", rate), ("sat_low", low), ("sat_high", high)):
        table[name] = np.log(np.maximum(100 * share, eps_s))
    table["upper_bound"] = rate == 0
    return table


def _few(hits: NDArray[np.float64], n: NDArray[np.float64], error: float) -> NDArray[np.float64]:
    """Brown, Cai & DasGupta's lower limit of a share for 1 to 3 hits; for other numbers 1, which limits nothing."""
    # The threshold is 3 plus a tolerance for rounding of effective hits; 3.5 would include too much.
    few = (hits > 0) & (hits < 3 + 1e-6)
    limit: NDArray[np.float64] = gamma.ppf(error, np.where(few, hits, 1)) / np.where(n > 0, n, 1)
    return np.where(few, limit, 1.0)


def jackknife_interval(value: float, without: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Compute the interval of a statistic from its values without each unit.

    Parameters
    ----------
    value : float
        The statistic of all units.
    without : array_like, shape (units,)
        The statistic without each unit.
    confidence : float

    Returns
    -------
    low, high : float
        Ends of the interval, by Student's t with one degree of freedom less than there are units. NaN with fewer than
        three units, or if the statistic does not exist when some unit is left out.

    References
    ----------
    Tukey (1958). Bias and confidence in not-quite large samples. Annals of Mathematical Statistics 29, 614.
    """
    left = np.asarray(without, float)
    units = len(left)
    if units < 3:
        return float("nan"), float("nan")
    half = float(t.isf((1 - confidence) / 2, units - 1) * np.sqrt((units - 1) * np.var(left)))
    return value - half, value + half


MANY = 200
"""Number of differing images above which the sum of their signs is taken as normally distributed."""


def sign_flip_p(up_two: ArrayLike, up_one: ArrayLike, down_one: ArrayLike, down_two: ArrayLike) -> NDArray[np.float64]:
    """One-sided p of Fisher's randomisation test that the mean of paired differences (-2 to 2) is above 0.

    Under the null hypothesis, the two sides of each image are exchangeable, so each
    difference is equally likely to be negative or positive. p is the share of all
    choices of signs whose sum is at least the observed one. If all differences are 1 or
    -1, this is McNemar's exact test.

    Parameters
    ----------
    up_two, up_one, down_one, down_two : array_like of int, shape (pairs,)
        Numbers of images whose difference is 2, 1, -1 and -2.

    Returns
    -------
    float array, shape (pairs,)
        p; 1 where no image differs. p is exact for up to 200 images that differ. For
        more, it uses the normal distribution with a continuity correction.

    References
    ----------
    McNemar (1947). Psychometrika 12(2), 153-157.
    Fisher (1935). The Design of Experiments, section 21. Oliver and Boyd.
    """
    ups, up, down, downs = np.broadcast_arrays(*(np.atleast_1d(n) for n in (up_two, up_one, down_one, down_two)))
    ones, twos = (up + down).astype(np.int64), (ups + downs).astype(np.int64)
    total = 2 * (ups - downs) + up - down
    # The sum moves in steps of 2, or of 4 where all differences are 2.
    step = np.where(ones > 0, 1, 2)
    p: NDArray[np.float64] = norm.sf((total - step) / np.sqrt(np.maximum(ones + 4 * twos, 1)))
    for i in np.flatnonzero(ones + twos <= MANY):
        heads = np.arange(twos[i] + 1)
        needed = (total[i] - 4 * heads + 2 * twos[i] + ones[i]) // 2
        p[i] = binom.pmf(heads, twos[i], 0.5) @ binom.sf(needed - 1, ones[i], 0.5)
    return np.minimum(p, 1.0)


def rank_range(value: Sequence[float], low: Sequence[float], high: Sequence[float]) -> pd.DataFrame:
    """Rank by value, and say which ranks the intervals allow.

    Parameters
    ----------
    value, low, high : sequence of float, shape (n,)
        Values and the ends of their intervals. An interval that does not contain its value is widened to do so. NaN
        means that an end is unbounded.

    Returns
    -------
    DataFrame
        Columns: rank (1 for the largest value; equal values share the better rank),
        rank_best (1 + the number of intervals that lie wholly above), rank_worst (n -
        the number that lie wholly below), tied (whether another interval overlaps).
        Missing where the value is NaN.
    """
    table = pd.DataFrame({"value": np.array(value, float), "low": np.array(low, float), "high": np.array(high, float)})
    known = table[table["value"].notna()]
    bottom = known["low"].fillna(-np.inf).clip(upper=known["value"]).to_numpy()
    top = known["high"].fillna(np.inf).clip(lower=known["value"]).to_numpy()
    above = len(known) - np.searchsorted(np.sort(bottom), top, "right")
    below = np.searchsorted(np.sort(top), bottom, "left")
    ranks = pd.DataFrame(
        {
            "rank": known["value"].rank(ascending=False, method="min").astype("Int64"),
            "rank_best": pd.array(1 + above, "Int64"),
            "rank_worst": pd.array(len(known) - below, "Int64"),
            "tied": pd.array(above + below < len(known) - 1, "boolean"),
        },
        index=known.index,
    )
    return ranks.reindex(table.index)
