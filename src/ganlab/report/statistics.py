"""Statistics over training seeds: pure functions on arrays; a value per seed comes in, and an interval or a p comes out.

What is measured once per training seed is one observation, however many samples it was scored on. Every function is
deterministic (a fixed seed) and does not depend on the order of the seeds. A score that is not finite is the caller's to
leave out, and to report: leaving out the runs that diverged flatters a setting.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

ALPHA, POWER = 0.05, 0.8  # settings differ if p < ALPHA, two-sided
RESAMPLES, BLOCK = 2**13, 100  # of a bootstrap; columns at a time: 8 MB
REACH = 1.5  # a bootstrap-t interval's end lies at most this many Student-t half-widths from the mean
EXACT, SHUFFLES = 200_000, 19_999  # arrangements are enumerated up to EXACT (17 pairs, 10 seeds against 10), drawn beyond
PAIRS = 8  # fewest seeds to pair


class Interval(NamedTuple):
    """An estimate with the ends of its interval, in the unit of the scores; the ends are NaN where there is no interval."""

    value: float
    low: float
    high: float


class Comparison(NamedTuple):
    """What `contrast` found of setting b against setting a."""

    difference: Interval  # mean of b - mean of a, 95 %
    p: float  # two-sided, for one comparison; NaN without a test: fewer than two seeds on a side
    n: tuple[int, int]  # seeds of a, of b
    paired: bool
    needed: int | None  # seeds per setting; None if the difference is 0 or distinguishable (p < ALPHA), or without a test


def mean_interval(x: ArrayLike, level: float = 0.95) -> Interval | None:
    """The mean of x [n] over training seeds with its bootstrap-t interval (Efron & Tibshirani 1993, chapter 12): the quantiles
    of (mean* - mean) / se* over resamples take the place of Student's t, so that a skewed law gets a lopsided interval.

    None for fewer than two values, zero width if all are equal; ValueError if one is not finite. Assumes independent seeds.
    Neither end is farther from the mean than REACH = 1.5 times Student's t interval: a resample that is one value n times
    has se* = 0. With 2 or 3 seeds those decide, and the interval is 1.5 times Student's.

    Coverage in % of the mean of a law by the 95 % interval, over 40,000 simulated studies (in brackets that of Student's t):

         n  normal       lognormal .5  exponential  bimodal, wide  bimodal, sharp
         5  94.7 (95.1)  92.9 (91.7)   91.4 (88.4)  87.9 (86.3)    67.4 (66.8)
        10  94.7 (94.8)  93.5 (92.0)   93.4 (89.9)  91.3 (90.4)    89.3 (88.7)
        20  94.9 (95.1)  94.1 (93.1)   94.1 (91.7)  95.7 (93.4)    96.3 (92.3)

    Bimodal: a seed collapses with probability 0.2; the standard deviation within a mode is 0.2 (wide) or 0.05 (sharp) of the
    gap. It fails where modes are sharp and seeds few, as any method must: with probability 0.8^n (33 % at n = 5, 11 % at 10)
    no seed collapses, and no score tells of it. Scipy's bootstraps, percentile and BCa, cover 84 % (n = 5) and 90 % (10) of
    a normal.
    """
    x = _scores(x)
    if len(x) < 2:
        return None
    return Interval(*(float(end[0]) for end in _bootstrap_t(x[None], level)))


def curve_interval(curves: ArrayLike, level: float = 0.95) -> tuple[Array, Array, Array]:
    """The mean [T] of curves [n, T] over n seeds and the ends [T], [T] of its `mean_interval` at each point by itself.

    A point takes the seeds that are finite there; NaN where they are fewer than two. Pointwise: of 100 independent points
    some five lie outside, so that a band does not hold a whole curve with 95 %.
    """
    curves = np.asarray(curves, dtype=np.float64)
    if curves.ndim != 2:
        raise ValueError(f"curves must be [n, T], got shape {curves.shape}")
    columns = np.sort(np.where(np.isfinite(curves), curves, np.nan), axis=0).T  # [T, n], NaN last
    count = np.isfinite(columns).sum(1)
    result = np.full((3, len(columns)), np.nan)
    for n in np.unique(count[count > 1]):
        at = np.flatnonzero(count == n)
        for block in np.split(at, range(BLOCK, len(at), BLOCK)):
            result[:, block] = _bootstrap_t(columns[block, :n], level)
    return result[0], result[1], result[2]


def on_grid(x: ArrayLike, y: ArrayLike, grid: ArrayLike) -> Array:
    """The curve y at the increasing x, at the points of grid [T] by linear interpolation; NaN before x[0] and after x[-1],
    and between two points of which one is NaN. ValueError if x does not increase."""
    x, y, grid = (np.asarray(v, dtype=np.float64) for v in (x, y, grid))
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"x and y must be two vectors of one length, got shapes {x.shape} and {y.shape}")
    if not (np.diff(x) > 0).all():
        raise ValueError("x must increase from point to point")
    return np.interp(grid, x, y, left=np.nan, right=np.nan) if len(x) else np.full(grid.shape, np.nan)


def interquartile_mean(x: ArrayLike) -> float:
    """The mean of the middle half of x [n], n >= 1: robust to a quarter of the seeds on either side (Agarwal et al. 2021).

    An observation that a quartile cuts counts in part, so that exactly n / 2 observations count. rliable takes
    scipy.stats.trim_mean(x, 0.25), which cuts whole observations: the same where 4 divides n.
    """
    x = np.sort(_scores(x))
    if not (n := len(x)):
        raise ValueError("the interquartile mean of no scores is not defined")
    weight = np.diff(np.clip(np.arange(n + 1), 0.25 * n, 0.75 * n))
    return float(weight @ x / weight.sum())


def contrast(a: Mapping[int, float], b: Mapping[int, float]) -> Comparison:
    """Setting b against setting a, by the scores of their training seeds {seed: score}.

    Paired if both have the same seeds, at least PAIRS = 8: then the interval is `mean_interval` of the differences, and p is
    of a sign-flip test (assumes that differences are symmetric about 0 if the settings do not differ). Otherwise Welch's t
    interval, and a permutation test of the labels (assumes one law for both if they do not differ; with equal n it is right
    in large samples if only the means are equal). Near p = 0.05 the interval and p may disagree, being made differently.

    Two seeds of one number share noise only where the code makes them: pairing is legitimate where a seed fixes the order of
    the data and the stream of z whatever the setting. It helps if the scores then correlate, the variance of the difference
    being 2 s^2 (1 - rho) / n. If they do not (training is chaotic) the paired test stays right, and loses half its degrees
    of freedom. Below 8 seeds that costs too much: five pairs can never give p < 0.05 (`smallest_p`), five against five can
    give 0.008; and seeds that correlate only make the unpaired test more cautious.

    `needed` is for 80 % power at p < 0.05 in a t test of the same kind, if the observed difference and spread were the true
    ones. They are not: it says whether to add five seeds or five hundred.
    """
    if not a or not b:
        raise ValueError("a comparison needs at least one seed of each setting")
    n = len(a), len(b)
    paired = a.keys() == b.keys() and len(a) >= PAIRS
    x, y = _scores([a[seed] for seed in sorted(a)]), _scores([b[seed] for seed in sorted(b)])
    if min(n) < 2:
        return Comparison(Interval(float(y.mean() - x.mean()), math.nan, math.nan), math.nan, n, paired, None)
    if paired:
        interval, p, spread = mean_interval(y - x), _sign_flip_p(y - x), _spread(y - x)
        assert interval is not None  # two values or more
    else:
        interval, p, spread = _welch(x, y), _label_p(x, y), math.hypot(_spread(x), _spread(y)) / math.sqrt(2)
    needed = None if p < ALPHA or interval.value == 0 else _needed(interval.value, spread, paired)
    return Comparison(interval, p, n, paired, needed)


def holm(p: Sequence[float]) -> list[float]:
    """The p values of a family of comparisons, adjusted so that the chance of any false one stays below ALPHA, whatever their
    dependence (Holm 1979): in the order given, <= 1. NaN (no test was made) stays NaN and does not count."""
    values = np.array(p, dtype=np.float64)
    tests = np.flatnonzero(~np.isnan(values))
    order = tests[np.argsort(values[tests], kind="stable")]
    values[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(order), 0, -1)), 1)
    return values.tolist()


def smallest_p(n: int, paired: bool, other: int | None = None) -> float:
    """The smallest p that a sign-flip test of n pairs, or a permutation test of n seeds against n (or `other`), can give."""
    if paired:
        return 2 / 2**n if 2**n <= EXACT else 1 / (SHUFFLES + 1)
    labels = math.comb(n + (n if other is None else other), n)
    return (2 if other in (n, None) else 1) / labels if labels <= EXACT else 1 / (SHUFFLES + 1)  # 2: and its mirror


def t_power(effect: float, n: int, paired: bool) -> float:
    """The chance that a two-sided t test at ALPHA with n >= 2 seeds per setting sees a difference of `effect` standard
    deviations (paired: of the differences; otherwise: of one setting), of normal laws with one spread."""
    df, shift = (n - 1, effect * math.sqrt(n)) if paired else (2 * n - 2, effect * math.sqrt(n / 2))
    critical = scipy.stats.t.isf(ALPHA / 2, df)
    return float(scipy.stats.nct.sf(critical, df, abs(shift)) + scipy.stats.nct.cdf(-critical, df, abs(shift)))


def conclusion(
    name_a: str, name_b: str, metric: str, lower_is_better: bool, comparison: Comparison, p_adjusted: float, unit: str = ""
) -> str:
    """What a comparison says, in words; p_adjusted < ALPHA decides. The better setting comes first, and the difference is its
    score minus the other's; without a better one it is that of b minus that of a."""
    (value, low, high), p, n, paired, needed = comparison
    if math.isnan(p):
        few = "one seed each" if n == (1, 1) else f"{n[1]} and {n[0]} seeds"
        return f"{name_b} and {name_a} differ by {_number(value, 0, unit)} on {metric}, {few}: no interval, no test"
    told, least = p_adjusted < ALPHA, smallest_p(n[0], paired, n[1])
    if told and (value < 0) != lower_is_better:
        name_a, name_b, value, low, high, n = name_b, name_a, -value, -high, -low, n[::-1]
    half = (high - low) / 2
    seeds = f"{n[0]} seeds" if n[0] == n[1] else f"{n[1]} and {n[0]} seeds"
    difference = f"difference {_number(value, half, unit)}, 95 % CI [{_number(low, half)}, {_number(high, half)}]"
    found = f"p = {p:.2g}" if p_adjusted == p else f"p = {p:.2g}, {p_adjusted:.2g} after Holm"
    if told:
        better = "lower" if lower_is_better else "higher"
        return f"{name_b} reaches {better} {metric} than {name_a} ({difference}, {seeds}, {found})"
    more = f"; about {float(f'{needed:.2g}'):.0f} would be needed to show a difference of this size" if needed else ""
    if least >= ALPHA:
        never = f"whatever they score, for p is at least {least:.2g}"
        return f"{seeds} cannot tell {name_b} from {name_a} on {metric}, {never} ({difference}, {found}){more}"
    return f"{name_b} and {name_a} cannot be told apart on {metric} with {seeds} ({difference}, {found}){more}"


def _scores(x: ArrayLike) -> Array:
    if (x := np.asarray(x, dtype=np.float64)).ndim != 1:
        raise ValueError(f"scores must be [n], one per seed, got shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("a score is not finite: leave that seed out, and say so")
    return x


def _spread(x: Array) -> float:
    """The standard deviation of x [n], n >= 2; 0, not rounding errors, if all are equal."""
    return float(x.std(ddof=1)) if np.ptp(x) else 0.0


def _bootstrap_t(x: Array, level: float) -> tuple[Array, Array, Array]:
    """Mean, low and high, each [C], of the rows of x [C, n], n >= 2."""
    n = x.shape[1]
    x = np.sort(x, axis=1)
    equal = x[:, 0] == x[:, -1]
    mean = np.where(equal, x[:, 0], x.mean(1))
    s = np.where(equal, 0, x.std(1, ddof=1))
    d = (x - mean[:, None]) / np.where(equal, 1, s)[:, None]
    centre = d @ (weights := _weights(n))  # [C, R]
    tail = (1 - level) / 2
    reach = REACH * scipy.stats.t.isf(tail, n - 1)
    error = np.sqrt(np.maximum(d**2 @ weights - centre**2, 0) / (n - 1))
    error = np.maximum(error, np.abs(centre) / reach)
    t = np.divide(centre, error, out=np.zeros_like(centre), where=error > 0)
    low, high = np.quantile(t, (tail, 1 - tail), axis=1) * s / math.sqrt(n)
    return mean, mean - high, mean - low


@lru_cache  # a report asks for the same ones hundreds of times, and they take 40 ms
def _weights(n: int) -> Array:
    """[n, R]: the share of each of n values in R resamples with replacement. Quasi-random: half the error of random ones."""
    points = scipy.stats.qmc.Sobol(n, scramble=False).random_base2(round(math.log2(RESAMPLES)) - 1)
    chosen = ((points + np.random.default_rng(0).random(n)) % 1 * n).astype(int)
    weights = (chosen[:, :, None] == np.arange(n)).mean(1)
    return np.concatenate([weights, weights[:, ::-1]]).T  # both ways round, so that -x has the mirrored interval


def _welch(x: Array, y: Array) -> Interval:
    """Welch's t interval of mean(y) - mean(x). Of 95 % it covers 94 to 98 % for the laws of `mean_interval`, alike or mixed, at
    n = 5 and 10 (99 % for two sharp bimodal ones at n = 5): in a difference, skewness cancels."""
    difference = float(y.mean() - x.mean())
    v, w = _spread(x) ** 2 / len(x), _spread(y) ** 2 / len(y)
    if not v + w:
        return Interval(difference, difference, difference)
    df = 1 / ((v / (v + w)) ** 2 / (len(x) - 1) + (w / (v + w)) ** 2 / (len(y) - 1))
    half = float(scipy.stats.t.isf(ALPHA / 2, df)) * math.sqrt(v + w)
    return Interval(difference, difference - half, difference + half)


def _sign_flip_p(d: Array) -> float:
    """Of the sums of +-d, the share as far from 0 as that of d. Scipy's permutation_test takes 300 times as long."""
    size = np.sort(np.abs(d))
    if 2 ** len(d) > EXACT:
        signs = np.random.default_rng(0).choice((-1.0, 1.0), (SHUFFLES, len(d)))
        return _share(signs @ size, d.sum(), size.sum(), drawn=True)
    sums = np.zeros(1)
    for v in size:
        sums = np.concatenate([sums + v, sums - v])
    return _share(sums, d.sum(), size.sum(), drawn=False)


def _label_p(x: Array, y: Array) -> float:
    """Of the ways to choose len(x) of all scores, the share whose sum is as far from its expectation as that of x."""
    both = np.sort(np.concatenate([x, y]))
    centre, k = both.mean(), min(len(x), len(y))  # the two sums are each other's negative: take the one of fewer terms
    both = both - centre
    observed, scale = float((x - centre).sum()), float(np.abs(both).sum())
    if math.comb(len(both), k) > EXACT:
        shuffled = np.random.default_rng(0).permuted(np.tile(both, (SHUFFLES, 1)), axis=1)
        return _share(shuffled[:, :k].sum(1), observed, scale, drawn=True)
    sums = [np.zeros(1)] + [np.zeros(0)] * k  # sums[j]: of all subsets of j scores
    for v in both:
        sums = [sums[0]] + [np.concatenate([sums[j], sums[j - 1] + v]) for j in range(1, k + 1)]
    return _share(sums[k], observed, scale, drawn=False)


def _share(sums: Array, observed: float, scale: float, drawn: bool) -> float:
    """A drawn p counts the observed arrangement as one more, so that it is never 0 (Phipson & Smyth 2010)."""
    as_far = np.abs(sums) >= abs(observed) - 1e-10 * scale  # equal sums, added in another order, differ in their last digits
    return float((as_far.sum() + drawn) / (len(sums) + drawn))


def _needed(difference: float, spread: float, paired: bool) -> int:
    """The fewest seeds per setting whose `t_power` is POWER, and whose `smallest_p` is below ALPHA."""
    n = next(n for n in range(2, 10) if smallest_p(n, paired) < ALPHA)
    effect = abs(difference) / max(spread, abs(difference) / 100)
    quantiles = scipy.stats.norm.isf(ALPHA / 2) + scipy.stats.norm.ppf(POWER)
    n = max(n, math.ceil((1 if paired else 2) * (quantiles / effect) ** 2))  # for a known spread; t needs a few more
    while n < 1000 and t_power(effect, n, paired) < POWER:
        n += 1
    return n


def _number(x: float, precision: float, unit: str = "") -> str:
    """x to two digits of its precision (to three of its own without one), and its unit."""
    text = f"{x:.3g}"
    if precision > 1e-9 * abs(x):
        digits = 1 - math.floor(math.log10(precision))
        text = f"{round(x, digits) + 0.0:.{max(digits, 0)}f}"  # + 0.0: no -0.00
    return f"{text} {unit}".rstrip()
