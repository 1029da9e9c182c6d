"""Intervals within the range of a score, against enumeration and simulation."""

import math

import numpy as np
import pytest
import scipy.stats

from ganlab.report.cells import FEW, cell
from ganlab.report.improvement import probability_of_improvement, share_intervals
from ganlab.report.ranges import difference_within, modes_of, range_of, within
from ganlab.report.statistics import Interval, mean_interval
from ganlab.report.text import compact
from ganlab.report.text import of_cell as told

RING = {"data": {"_target_": "ganlab.data.toy.ring", "modes": 8}}


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ("modes", (0, 8)), ("eval/modes", (0, 8)), ("evaluated/modes", (0, 8)), ("high_quality", (0, 1)),
        ("theory/ema_jsd", (0, math.log(2))), ("mode_jsd", (0, math.log(2))), ("theory/C", (-math.log(4), 0)),
        ("train/V", (-math.inf, 0)), ("fid", (0, math.inf)), ("evaluated/class_fid", (0, math.inf)),
        ("train/D_real", (0, 1)), ("inception_score", (1, math.inf)),
        ("eval/binned_jsd", (-math.inf, math.log(2))),
        ("kid", (-math.inf, math.inf)), ("mine", (-math.inf, math.inf)), ("log_likelihood", (-math.inf, math.inf)),
    ],
)  # fmt: skip
def test_a_score_lies_between_its_ends(score, expected):
    assert range_of(score, RING) == pytest.approx(expected)


def test_how_many_modes_there_are_is_in_the_data():
    data = (RING["data"], {"side": 5}, {"means": [[0], [1], [2]]}, {"name": "MNIST"})
    assert [modes_of({"data": each}) for each in data] == [8, 25, 3, None]
    assert (modes_of({}), range_of("modes", {})) == (None, (0, math.inf))


def test_modes_are_never_fewer_than_none_or_more_than_all():
    """6 [-4, 17] of 8 was told once."""
    values = [8.0, 8.0, 8.0, 8.0, 1.0]
    free = mean_interval(values)
    cut = cell(values, range_of("modes", RING)).mean
    assert free.high > 8
    assert (cut.value, cut.low, cut.high) == (free.value, max(free.low, 0), 8)
    assert difference_within(Interval(-7.0, -19.0, 5.0), (0, 8)) == (-7, -8, 5)


def test_what_was_seen_lies_within_whatever_the_range():
    assert within(Interval(-0.001, -0.1, 0.1), (0, math.inf), [-0.002]) == (-0.001, -0.002, 0.1)
    assert math.isnan(within(Interval(1.0, math.nan, math.nan), (0, 1)).low)


def test_cutting_at_the_ends_leaves_the_coverage_as_it_was():
    """Of shares near 1, simulated: the mean is in the cut interval exactly where it is in the whole one."""
    draws = scipy.stats.beta(9, 0.6).rvs((300, 5), random_state=0)
    mean, cuts = 9 / 9.6, 0
    for x in draws:
        whole = mean_interval(x)
        cut = within(whole, (0, 1), x)
        assert (whole.low <= mean <= whole.high) == (cut.low <= mean <= cut.high)
        assert 0 <= cut.low <= cut.value <= cut.high <= 1
        cuts += cut != whole
    assert cuts > 100


def test_few_seeds_are_shown_themselves():
    few = cell([0.412, 0.399, 0.425])
    assert math.isnan(few.mean.low)
    assert few.n == FEW
    assert told(few) == "0.412 (0.412, 0.399, 0.425)"
    assert told(cell([0.49, 0.23, 0.56])) == "0.43 (0.49, 0.23, 0.56)"
    assert told(cell([8.0, 5.0])) == "6.5 (8, 5)"
    assert told(cell([8.0])) == "8"
    assert told(cell([1.0, 2.0, 3.0, 4.0])) == "2.5 [-0.6, 5.6]"
    assert compact(few.mean) == ""
    assert compact(Interval(0.1, 0.012, 0.3)) == "0.012–0.3"
    assert compact(Interval(0.1, -0.1, 0.3)) == "-0.1 to 0.3"


# a probability of improvement


@pytest.mark.parametrize("lower", [True, False])
def test_the_probability_of_improvement_is_mann_and_whitneys_u(lower):
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, 7).astype(float), rng.integers(0, 9, 6).astype(float)  # with ties
    u = scipy.stats.mannwhitneyu(a, b).statistic / 42
    found = probability_of_improvement(a, b, lower)
    assert found.value == pytest.approx(u if lower else 1 - u, abs=1e-12)
    other = probability_of_improvement(b, a, lower)
    assert [found.value, found.low, found.high] == pytest.approx([1 - other.value, 1 - other.high, 1 - other.low], abs=1e-9)


def test_its_ends_lie_z_standard_errors_away_and_within_0_and_1():
    a, b = [1.0, 2.0, 3.0, 4.0, 5.0], [2.5, 0.5, 3.5, 1.5, 0.1]
    theta, low, high = probability_of_improvement(a, b, True)
    for t in (low, high):
        variance = t * (1 - t) * (1 + 4 * (1 - t) / (2 - t) + 4 * t / (1 + t)) / 25
        assert (theta - t) ** 2 / variance == pytest.approx(scipy.stats.norm.isf(0.025) ** 2, rel=1e-6)
    assert 0 < low < theta < high < 1
    always = probability_of_improvement([1.0] * 5, [0.0] * 5, True)
    assert (always.value, always.high) == (1, 1)
    assert 0.5 < always.low < 0.9  # five seeds of each do not prove that it always does
    assert math.isnan(probability_of_improvement([1.0], [0.0, 1.0], True).low)
    with pytest.raises(ValueError, match="finite"):
        probability_of_improvement([math.nan], [0.0], True)


def test_it_covers_95_per_cent():
    """Of two normal laws a standard deviation apart, n = 10, as its docstring says: 95.8; +- 3.5 standard errors."""
    rng, truth, studies = np.random.default_rng(0), scipy.stats.norm.cdf(1 / math.sqrt(2)), 400
    a, b = rng.standard_normal((studies, 10)), rng.standard_normal((studies, 10)) - 1
    intervals = [probability_of_improvement(x, y, True) for x, y in zip(a, b, strict=True)]
    hit = np.mean([one.low <= truth <= one.high for one in intervals])
    assert abs(hit - 0.958) < 3.5 * math.sqrt(0.958 * 0.042 / studies)


def test_the_interval_of_a_share_is_wilsons():
    shares = share_intervals(5)
    z = scipy.stats.norm.isf(0.025)
    assert shares[5] == pytest.approx((5 / (5 + z**2), 1))  # Wilson's, by hand
    assert shares[0] == pytest.approx((0, z**2 / (5 + z**2)))
    assert all(low <= k / 5 <= high for k, (low, high) in enumerate(shares))
