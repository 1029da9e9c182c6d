"""Two settings by how often one beats the other, and the shares of runs in performance profiles (Agarwal et al., 2021)."""

from __future__ import annotations

import math

import numpy as np
import scipy.optimize
import scipy.stats
from numpy.typing import ArrayLike

from ganlab.report.statistics import ALPHA, Interval


def probability_of_improvement(a: ArrayLike, b: ArrayLike, lower: bool) -> Interval:
    """The probability that a run of b [m] scores better than a run of a [n], a tie counting one half: Mann and Whitney's U over
    n m, 0 to 1. The interval, of 95 %, is Newcombe's (2006, method 5): the values theta that lie z standard errors, as they are
    at theta, from what was found. It stays in [0, 1] and has a width where one setting always won, where a bootstrap has none.

    Coverage in % for two normal laws whose theta is .5, .76 and .92 (40,000 studies each): at n = m = 5 94.5, 95.6, 95.2; at 10
    94.7, 95.8, 95.9; at 20 95.0, 95.4, 97.0. ValueError without a value on either side, or with one that is not finite.
    """
    a, b = (np.asarray(x, dtype=np.float64) for x in (a, b))
    if not (a.size and b.size and np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a probability of improvement needs finite values on both sides")
    wins = np.sign((a[:, None] - b[None, :]) * (1 if lower else -1))  # 1 where b is better
    theta = float((wins.mean() + 1) / 2)
    n, m = len(a), len(b)
    if min(n, m) < 2:
        return Interval(theta, math.nan, math.nan)
    z, others = float(scipy.stats.norm.isf(ALPHA / 2)), (n + m) / 2 - 1

    def off(t: float) -> float:
        variance = t * (1 - t) * (1 + others * ((1 - t) / (2 - t) + t / (1 + t))) / (n * m)
        return (theta - t) ** 2 - z**2 * variance

    low = 0.0 if theta == 0 else float(scipy.optimize.brentq(off, 0.0, theta - 1e-12 if theta == 1 else theta))
    high = 1.0 if theta == 1 else float(scipy.optimize.brentq(off, theta + 1e-12 if theta == 0 else theta, 1.0))
    return Interval(theta, low, high)


def share_intervals(n: int) -> list[tuple[float, float]]:
    """For k = 0 to n of n runs, the 95 % interval of the share of all runs that they stand for: Wilson's, in [0, 1]."""
    tests = (scipy.stats.binomtest(k, n).proportion_ci(1 - ALPHA, method="wilson") for k in range(n + 1))
    return [(float(each.low), float(each.high)) for each in tests]
