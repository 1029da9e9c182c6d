"""Statistics over seeds against scipy, enumeration and simulation; all simulations are seeded."""

import itertools
import math
import re
from functools import lru_cache

import numpy as np
import pytest
import scipy.stats

from ganlab.report.statistics import (
    ALPHA,
    PAIRS,
    REACH,
    Comparison,
    Interval,
    conclusion,
    contrast,
    curve_interval,
    holm,
    interquartile_mean,
    mean_interval,
    on_grid,
    smallest_p,
    t_power,
)

STUDIES = 800  # simulated: a coverage of 94 % is known to 3.5 * 0.84 = 2.9 points
X = np.array([0.31, 0.35, 0.29, 0.41, 0.33, 0.30, 0.95, 0.34, 0.28, 0.37])  # one seed of ten collapsed


def rng(seed=0):
    return np.random.default_rng(seed)


def seeds(values, first=0):
    return dict(enumerate(np.asarray(values, dtype=float).tolist(), first))


def two_modes(size, noise):
    return (rng(1).random(size) < 0.2) + noise * rng(2).standard_normal(size)


LAWS = {  # [n, STUDIES] draws, the mean of the law
    "normal": (lambda size: rng().standard_normal(size), 0.0),
    "lognormal": (lambda size: rng().lognormal(0.0, 0.5, size), math.exp(0.125)),
    "exponential": (lambda size: rng().exponential(size=size), 1.0),
    "wide": (lambda size: two_modes(size, 0.2), 0.2),
    "sharp": (lambda size: two_modes(size, 0.05), 0.2),
}
TABLE = re.findall(r"^ +(\d+) " + 5 * r" +([\d.]+) \([\d.]+\)" + "$", mean_interval.__doc__ or "", re.MULTILINE)
COVERAGE = {int(n): dict(zip(LAWS, [float(share) / 100 for share in shares], strict=True)) for n, *shares in TABLE}


@lru_cache
def covered(n, law):
    """The share of simulated studies of n seeds whose interval holds the mean of the law."""
    draw, mean = LAWS[law]
    _, low, high = curve_interval(draw((n, STUDIES)))
    return np.mean((low <= mean) & (mean <= high))


def test_the_docstring_of_the_interval_has_a_table_of_its_coverage():
    assert [*COVERAGE] == [5, 10, 20]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("n", COVERAGE)
def test_the_interval_covers_as_often_as_its_docstring_says(n, law):
    """Within 3.5 binomial standard deviations; the percentile bootstrap is 4.1 points lower at n = 10, 11 at n = 5."""
    expected = COVERAGE[n][law]
    assert abs(covered(n, law) - expected) < 3.5 * math.sqrt(expected * (1 - expected) / STUDIES)


@pytest.mark.parametrize("law", [law for law in LAWS if law != "sharp"])
def test_with_ten_seeds_the_coverage_is_between_90_and_98_percent_but_for_sharp_modes(law):
    assert 0.9 < covered(10, law) < 0.98


@pytest.mark.parametrize("n", [5, 10])
def test_where_no_seed_collapsed_no_interval_knows_of_the_collapse(n):
    """Sharp modes: the misses are the studies without a collapse, a share of 0.8^n, and at n = 10 hardly any others."""
    x = two_modes((n, STUDIES), 0.05)
    _, low, high = curve_interval(x)
    collapsed = (x > 0.5).any(0)
    covered = (low <= 0.2) & (high >= 0.2)
    assert not covered[~collapsed].any()
    assert n == 5 or covered[collapsed].mean() > 0.99


def test_the_interval_leans_to_the_long_tail_and_stays_within_its_reach():
    value, low, high = mean_interval(X)
    assert value == pytest.approx(X.mean())
    half = scipy.stats.t.ppf(0.975, 9) * scipy.stats.sem(X)
    assert high - value > 1.1 * half > 1.1 * (value - low) > 0
    assert high - value <= REACH * half * (1 + 1e-9)


def test_the_interval_is_that_of_very_many_plain_resamples():
    """100,000 random ones: each end within 2 % of the width."""
    x = rng(3).lognormal(size=6)
    draws = rng(4).choice(x, (100_000, len(x)))
    t = (draws.mean(1) - x.mean()) / np.maximum(scipy.stats.sem(draws, axis=1), 1e-12)  # one value six times has none
    reach = REACH * scipy.stats.t.ppf(0.975, 5)
    upper, lower = np.quantile(np.clip(t, -reach, reach), (0.025, 0.975))
    expected = x.mean() - np.array([lower, upper]) * scipy.stats.sem(x)
    _, low, high = mean_interval(x)
    np.testing.assert_allclose([low, high], expected, atol=0.02 * (high - low), rtol=0)


@pytest.mark.parametrize("n", [2, 3])
def test_two_or_three_seeds_have_students_interval_stretched(n):
    value, low, high = mean_interval(X[:n])
    half = REACH * scipy.stats.t.ppf(0.975, n - 1) * scipy.stats.sem(X[:n])
    np.testing.assert_allclose([low, high], [value - half, value + half], rtol=1e-9)


def test_the_interval_moves_scales_and_mirrors_with_the_scores():
    base = np.array(mean_interval(X))
    np.testing.assert_allclose(mean_interval(3 * X + 7), 3 * base + 7, rtol=1e-9)
    np.testing.assert_allclose(mean_interval(-X), -base[[0, 2, 1]], rtol=1e-9)
    assert mean_interval(X[::-1]) == mean_interval(X)


def test_a_higher_level_gives_a_wider_interval():
    narrow, wide = mean_interval(X, 0.8), mean_interval(X, 0.99)
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_degenerate_scores():
    assert mean_interval([]) is None
    assert mean_interval([0.3]) is None
    assert mean_interval([0.1] * 7) == Interval(0.1, 0.1, 0.1)  # exactly, though the mean of seven 0.1 is not 0.1
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="not finite"):
            mean_interval([0.1, bad])
        with pytest.raises(ValueError, match="not finite"):
            contrast({0: 0.1, 1: bad}, {0: 0.1, 1: 0.2})
    with pytest.raises(ValueError, match="per seed"):
        mean_interval([[0.1, 0.2]])
    with pytest.raises(ValueError, match="at least one seed"):
        contrast({}, {0: 0.1})


@pytest.mark.parametrize("n", [4, 8, 12])
def test_the_interquartile_mean_is_the_trimmed_mean_where_four_divides_n(n):
    x = rng(n).lognormal(size=n)
    assert interquartile_mean(x) == pytest.approx(scipy.stats.trim_mean(x, 0.25), rel=1e-12)


def test_the_interquartile_mean_counts_cut_observations_in_part():
    assert interquartile_mean([100.0, 3.0, 1.0, 2.0, -9.0]) == pytest.approx((0.75 * 1 + 2 + 0.75 * 3) / 2.5)
    assert interquartile_mean([0.0, 1.0, 2.0, 4.0, 5.0, 60.0]) == pytest.approx((0.5 * 1 + 2 + 4 + 0.5 * 5) / 3)
    assert interquartile_mean([5.0]) == 5
    assert interquartile_mean([1.0, 2.0]) == 1.5
    with pytest.raises(ValueError, match="no scores"):
        interquartile_mean([])


def test_few_seeds_are_compared_by_relabelling_them():
    a, b = [0.31, 0.35, 0.29, 0.41, 0.33], [0.30, 0.25, 0.34, 0.28, 0.22]
    c = contrast(seeds(a), seeds(b))
    pooled = np.array(a + b)
    differences = [2 * pooled[list(s)].mean() - 2 * pooled.mean() for s in itertools.combinations(range(10), 5)]
    p = np.mean(np.abs(differences) >= abs(np.mean(b) - np.mean(a)) - 1e-12)
    assert (c.p, c.n, c.paired) == (pytest.approx(p), (5, 5), False)
    theirs = scipy.stats.permutation_test((a, b), lambda x, y, axis: y.mean(axis) - x.mean(axis), vectorized=True)
    assert c.p == pytest.approx(theirs.pvalue)
    ci = scipy.stats.ttest_ind(b, a, equal_var=False).confidence_interval()
    np.testing.assert_allclose(c.difference, [np.mean(b) - np.mean(a), ci.low, ci.high], rtol=1e-9)


def test_unequal_numbers_of_seeds_are_compared_by_relabelling_them():
    a, b = [0.31, 0.35, 0.29], [0.30, 0.25, 0.34, 0.28, 0.22, 0.21]
    pooled = np.array(a + b) - np.mean(a + b)
    sums = [pooled[list(s)].sum() for s in itertools.combinations(range(9), 3)]
    assert contrast(seeds(a), seeds(b)).p == pytest.approx(np.mean(np.abs(sums) >= abs(pooled[:3].sum()) - 1e-12))
    assert contrast(seeds(a), seeds(b)).n == (3, 6)


def test_the_same_eight_seeds_are_compared_by_flipping_signs():
    d = np.array([0.3, -0.1, 0.4, 0.2, 0.5, -0.2, 0.1, 0.35])
    a = rng().normal(size=8)
    c = contrast(seeds(a), dict(reversed(seeds(a + d).items())))  # seeds are matched by number, not by place
    sums = [abs(np.dot(signs, d)) for signs in itertools.product((1, -1), repeat=8)]
    assert c.p == pytest.approx(np.mean(np.array(sums) >= d.sum() - 1e-9))
    theirs = scipy.stats.permutation_test((d,), np.mean, permutation_type="samples")
    assert (c.p, c.paired) == (pytest.approx(theirs.pvalue), True)
    np.testing.assert_allclose(c.difference, mean_interval(d), rtol=1e-6)


def test_pairing_needs_the_same_seeds_and_enough_of_them():
    x = seeds(rng().normal(size=PAIRS))
    assert contrast(x, x).paired
    assert not contrast(x, {seed + 1: v for seed, v in x.items()}).paired
    del x[0]
    assert not contrast(x, x).paired


@pytest.mark.parametrize("shift", [0, 100])  # seeds shared: paired; not shared: labels
def test_a_drawn_p_is_near_that_of_the_t_test(shift):
    """25 seeds: 2^25 and C(50, 25) are too many to enumerate. p within 4 standard deviations of a draw, and t's own error."""
    a, b = rng(5).normal(size=25), rng(6).normal(0.3, size=25)
    test = scipy.stats.ttest_ind if shift else scipy.stats.ttest_rel
    p = test(a, b).pvalue
    assert 0.005 < p < 0.2
    assert contrast(seeds(a), seeds(b, shift)).p == pytest.approx(p, abs=4 * math.sqrt(p / 20_000) + 0.1 * p)


@pytest.mark.parametrize("shift", [0, 100])
@pytest.mark.parametrize("n", [5, 10, 25])
def test_swapping_the_settings_turns_the_sign_and_nothing_else(n, shift):
    a, b = seeds(rng(7).lognormal(size=n)), seeds(rng(8).lognormal(size=n) + 0.2, shift)
    one, other = contrast(a, b), contrast(b, a)
    assert (one.p, one.paired, one.needed) == (other.p, other.paired, other.needed)
    (value, low, high), swapped = one.difference, other.difference
    np.testing.assert_allclose(swapped, [-value, -high, -low], rtol=1e-9)


def test_a_shift_of_both_settings_changes_nothing_and_a_scale_scales():
    a, b = rng(9).normal(size=6), rng(10).normal(size=6)
    c, moved = contrast(seeds(a), seeds(b)), contrast(seeds(10 * a + 5), seeds(10 * b + 5))
    assert (c.p, c.needed) == (moved.p, moved.needed)
    np.testing.assert_allclose(moved.difference, 10 * np.array(c.difference), rtol=1e-9)


def test_a_true_null_is_rejected_as_often_as_it_should_be():
    """400 studies of 5 unpaired seeds: the exact test's level is 12 / 252 = 0.0476; within 3.5 standard deviations of it."""
    x = rng(11).standard_normal((400, 2, 5))
    rejected = np.mean([contrast(seeds(a), seeds(b)).p < ALPHA for a, b in x])
    assert abs(rejected - 12 / 252) < 3.5 * math.sqrt(0.0476 * 0.9524 / 400)


def test_equal_settings_are_equal():
    for n in (3, PAIRS):
        assert contrast(seeds([0.1] * n), seeds([0.1] * n)) == Comparison(Interval(0, 0, 0), 1.0, (n, n), n == PAIRS, None)
    c = contrast(seeds([0.0] * 4), seeds([1.0] * 4))
    assert (c.difference, c.p, c.needed) == (Interval(1, 1, 1), pytest.approx(2 / 70), None)
    assert contrast(seeds([0.0] * 3), seeds([1.0] * 3)).needed == 4  # no spread at all, and still 4 for any p < 0.05


def test_one_seed_gives_no_interval_and_no_test():
    c = contrast({0: 0.3}, {0: 0.1, 1: 0.2})
    assert c.difference.value == pytest.approx(-0.15)
    assert all(math.isnan(v) for v in (c.difference.low, c.difference.high, c.p))
    assert (c.n, c.needed) == ((1, 2), None)


def test_holm_by_hand():
    """Sorted .01 .02 .03 .04 times 4 3 2 1 is .04 .06 .06 .04, and its running maximum .04 .06 .06 .06."""
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1, 1]
    assert holm([]) == []
    assert holm([0.2]) == [0.2]


def test_holm_leaves_out_what_was_not_tested_and_lies_between_none_and_bonferroni():
    one, _, two = holm([0.01, math.nan, 0.04])
    assert (one, two) == pytest.approx((0.02, 0.04))
    assert math.isnan(holm([0.01, math.nan, 0.04])[1])
    p = rng(12).random(9) / 10
    adjusted = np.array(holm(p))
    assert (p <= adjusted).all()
    assert (adjusted <= np.minimum(9 * p, 1)).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    np.testing.assert_array_equal(holm(p[::-1])[::-1], adjusted)


def test_the_smallest_p_is_what_the_clearest_difference_gives():
    assert smallest_p(5, paired=True) == 2 / 32 > ALPHA  # five pairs can never tell
    assert smallest_p(6, paired=True) == 2 / 64 < ALPHA
    assert smallest_p(3, paired=False) == 0.1
    assert smallest_p(4, paired=False) == 2 / 70
    for n in (2, 3, 5, 8, 10, 20):
        a, far = rng(n).random(n), 10 + rng(n + 1).random(n)
        assert contrast(seeds(a), seeds(far, 100)).p == pytest.approx(smallest_p(n, paired=False))
        if n >= PAIRS:
            assert contrast(seeds(a), seeds(far)).p == pytest.approx(smallest_p(n, paired=True))
    assert contrast(seeds([0.0, 0.1]), seeds([5.0, 6.0, 7.0])).p == pytest.approx(smallest_p(2, False, 3)) == 0.1


@pytest.mark.parametrize("paired", [True, False])
def test_the_power_of_t_is_that_of_simulated_tests(paired):
    """20,000 studies: within 3.5 * sqrt(0.25 / 20,000) = 1.2 points."""
    x = rng(13).standard_normal((2, 9, 20_000))
    test = scipy.stats.ttest_1samp(x[0] + 0.9, 0) if paired else scipy.stats.ttest_ind(x[0] + 0.9, x[1])
    assert np.mean(test.pvalue < ALPHA) == pytest.approx(t_power(0.9, 9, paired), abs=0.0124)
    assert t_power(0.9, 9, paired) == t_power(-0.9, 9, paired)
    assert t_power(0.0, 9, paired) == pytest.approx(ALPHA)
    assert t_power(100.0, 4, paired) == pytest.approx(1)


@pytest.mark.parametrize(("paired", "effect", "n"), [(False, 0.5, 64), (False, 0.8, 26), (False, 0.2, 394), (True, 0.5, 34)])
def test_the_seeds_needed_are_those_of_the_power_tables(paired, effect, n):
    """Cohen (1988), tables 2.4.1: two groups d = .2, .5, .8 need 393, 64, 26 (394 by the noncentral t); one of .5 needs 34."""
    assert t_power(effect, n, paired) >= 0.8 > t_power(effect, n - 1, paired)
    x = np.array([-1.0, 1.0] * 5) / math.sqrt(10 / 9)  # mean 0, standard deviation 1
    a, b = (np.zeros(10), x + effect) if paired else (x, x + effect)
    assert contrast(seeds(a), seeds(b, 0 if paired else 100)).needed == n


def test_no_seeds_are_needed_for_a_difference_that_is_none_or_is_seen():
    a = rng(14).normal(size=10)
    assert contrast(seeds(a), seeds(a)).needed is None
    assert contrast(seeds(a), seeds(a + 5)).needed is None
    assert contrast(seeds(a), seeds(a[::-1] + 1e-6, 100)).needed > 1e9  # nobody's budget, and no endless loop


def test_a_curve_has_at_each_point_the_interval_of_that_point():
    curves = rng(15).lognormal(size=(7, 230))  # more than two blocks
    curves[0, :50] = np.nan
    curves[3, 20:90] = np.inf
    curves[1:, 100] = np.nan  # one left
    curves[:, 101] = np.nan
    mean, low, high = curve_interval(curves)
    for t in (0, 30, 70, 150, 229):
        expected = mean_interval(curves[np.isfinite(curves[:, t]), t])
        np.testing.assert_allclose([mean[t], low[t], high[t]], expected, rtol=1e-9)
    assert np.flatnonzero(np.isnan(mean)).tolist() == [100, 101]
    np.testing.assert_array_equal(np.isnan(mean), np.isnan(low) & np.isnan(high))
    assert all(np.isnan(end).all() for end in curve_interval(curves[:1]))
    with pytest.raises(ValueError, match=r"\[n, T\]"):
        curve_interval([1.0, 2.0])


def test_a_curve_is_put_on_a_grid_without_inventing_what_lies_beyond():
    got = on_grid([0, 10, 20], [1.0, 3.0, 2.0], [-1, 0, 5, 10, 15, 20, 21])
    np.testing.assert_array_equal(got, [np.nan, 1, 2, 3, 2.5, 2, np.nan])
    np.testing.assert_array_equal(on_grid([0, 1, 2], [1.0, np.nan, 2.0], [0, 0.5, 1.5, 2]), [1, np.nan, np.nan, 2])
    assert np.isnan(on_grid([], [], [0, 1])).all()
    with pytest.raises(ValueError, match="increase"):
        on_grid([0, 0], [1.0, 2.0], [0])
    with pytest.raises(ValueError, match="one length"):
        on_grid([0, 1], [1.0], [0])


SEEN = Comparison(Interval(-0.0312, -0.0441, -0.0182), 0.002, (10, 10), True, None)
UNSEEN = Comparison(Interval(-0.0101, -0.031, 0.0108), 0.3, (5, 5), False, 14)


def test_the_sentence_of_a_difference_names_the_better_setting_first():
    numbers = "difference -0.031, 95 % CI [-0.044, -0.018], 10 seeds, p = 0.002"
    assert conclusion("k=1", "k=5", "jsd", True, SEEN, 0.002) == f"k=5 reaches lower jsd than k=1 ({numbers})"
    turned = (
        "k=1 reaches higher modes than k=5 (difference 0.031 %, 95 % CI [0.018, 0.044], 10 seeds, p = 0.002, 0.004 after Holm)"
    )
    assert conclusion("k=1", "k=5", "modes", False, SEEN, 0.004, unit="%") == turned
    uneven = SEEN._replace(n=(9, 10), paired=False)
    assert "10 and 9 seeds" in conclusion("k=1", "k=5", "jsd", True, uneven, 0.002)
    assert "9 and 10 seeds" in conclusion("k=1", "k=5", "modes", False, uneven, 0.002)


def test_the_sentence_of_no_difference_says_what_it_would_take():
    said = conclusion("k=1", "k=5", "jsd", True, UNSEEN, 0.3)
    assert said == (
        "k=5 and k=1 cannot be told apart on jsd with 5 seeds (difference -0.010, 95 % CI [-0.031, 0.011], p = 0.3); "
        "about 14 would be needed to show a difference of this size"
    )
    assert "about 6 would" in conclusion("k=1", "k=5", "jsd", True, UNSEEN._replace(needed=6), 0.3)
    assert "about 1200 would" in conclusion("k=1", "k=5", "jsd", True, UNSEEN._replace(needed=1234), 0.3)
    after = conclusion("k=1", "k=5", "jsd", True, SEEN, 0.06)
    assert after.startswith("k=5 and k=1 cannot be told apart")
    assert after.endswith("p = 0.002, 0.06 after Holm)")


def test_the_sentence_of_too_few_seeds_says_that_they_never_can():
    c = contrast(seeds([0.1, 0.2, 0.3]), seeds([5.0, 5.1, 5.3]))
    said = conclusion("k=1", "k=5", "jsd", True, c, c.p)
    assert said.startswith(
        "3 seeds cannot tell k=5 from k=1 on jsd, whatever they score, for p is at least 0.1 (difference 4.93"
    )
    assert said.endswith("; about 4 would be needed to show a difference of this size")


def test_the_sentence_of_one_seed_has_no_interval_and_no_test():
    said = conclusion("k=1", "k=5", "fid", True, contrast({0: 30.0}, {0: 21.5}), math.nan)
    assert said == "k=5 and k=1 differ by -8.5 on fid, one seed each: no interval, no test"
    assert "2 and 1 seeds: no" in conclusion("k=1", "k=5", "fid", True, contrast({0: 3.0}, {0: 2.0, 1: 2.0}), math.nan)


@pytest.mark.parametrize(("half", "shown"), [(0.013, "1.235, 95 % CI [1.222, 1.248]"), (7.0, "1.2, 95 % CI [-5.8, 8.2]"),
                                             (40.0, "1, 95 % CI [-39, 41]"), (4321.0, "0, 95 % CI [-4300, 4300]"),
                                             (0.0, "1.23, 95 % CI [1.23, 1.23]")])  # fmt: skip
def test_numbers_have_the_digits_that_their_interval_supports(half, shown):
    c = Comparison(Interval(1.2349, 1.2349 - half, 1.2349 + half), 0.3, (5, 5), False, None)
    assert f"(difference {shown}, p = 0.3)" in conclusion("a", "b", "m", True, c, 0.3)
