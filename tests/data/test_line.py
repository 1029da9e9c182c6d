"""Universality of the uniform: F^{-1}(U) ~ X and F(X) ~ U, for every source on the line."""

import math

import pytest
import scipy.stats
import torch
from sources import CONFIGS, source
from torch.testing import assert_close

from ganlab.data.line import Line, LineMixture, mixture1d
from ganlab.random import generator_of

N = 20_000
SKEWED = mixture1d([-2.0, 0.5, 3.0], [0.1, 1.0, 0.02], [0.2, 0.5, 0.3])
PLAIN = {"normal1d", "mixture1d", "uniform1d", "exponential1d", "laplace1d", "student1d", "beta1d", "arcsine1d", "logistic1d"}


def draws(density, n=N):
    return density.sample(n, generator_of(3, "test"))


def test_every_distribution_of_the_line_is_a_choice():
    assert set(CONFIGS) == PLAIN


@pytest.mark.parametrize("name", CONFIGS)
def test_the_quantile_inverts_the_distribution_function_and_the_density_is_its_slope(name):
    density, u = source(name), torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    x = density.quantile(u)
    assert_close(density.cdf(x), u, atol=1e-12, rtol=0)
    assert_close(density.quantile(density.cdf(x)), x, atol=1e-8, rtol=1e-8)
    h, x = 1e-5, x[20:-20]  # where arcsine's slope is not yet infinite
    slope = (density.cdf(x + h) - density.cdf(x - h)) / (2 * h)
    assert_close(slope, density.log_prob(x[:, None]).exp(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_trained_on_has_mean_0_and_standard_deviation_1(name):
    """Or networks of default initialisation do not see it (protocols 5.2: N(4, 1/4) failed in every seed)."""
    u = (torch.arange(2_000_000, dtype=torch.float64) + 0.5) / 2_000_000
    x = source(name).quantile(u)
    assert abs(x.mean().item()) < 1e-3
    assert x.std().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name", CONFIGS)
def test_samples_follow_the_law_and_their_probability_integral_transform_is_uniform(name):
    """Both halves, by Kolmogorov and Smirnov's test at 0.1 % on a fixed seed."""
    density = source(name)
    x, y = draws(density)
    assert x.shape == (N, 1)
    assert x.dtype == torch.float32
    assert y.max() < density.classes
    assert scipy.stats.kstest(density.cdf(x[:, 0]).numpy(), "uniform").pvalue > 1e-3
    assert scipy.stats.kstest(x[:, 0].double().numpy(), lambda a: density.cdf(torch.as_tensor(a)).numpy()).pvalue > 1e-3


def test_a_wrong_law_is_noticed():
    x, _ = draws(source("normal1d"))
    assert scipy.stats.kstest(source("laplace1d").cdf(x[:, 0]).numpy(), "uniform").pvalue < 1e-3


def test_u_has_the_resolution_of_a_float64_and_never_reaches_0_or_1():
    """In float32 one u in 2^25 is rounded to 1, where F^{-1} is infinite: a run in ten met it within 6 million points."""
    seen = []

    class Spy(Line):
        def quantile(self, u):
            seen.append(u)
            return u

    Spy("norm").sample(1_000_000, generator_of(0, "resolution"))
    assert seen[0].dtype == torch.float64
    assert len(seen[0].unique()) > 999_990  # of 2^24 values, 30,000 would be drawn twice
    assert seen[0].min() > 0
    assert seen[0].max() < 1
    data = source("normal1d")
    assert data.sample(1280, generator_of(6, "data", 1382))[0].isfinite().all()  # where it happened


def test_minibatches_are_a_function_of_seed_and_iteration_and_ranks_share_them():
    density = source("mixture1d")
    a, b = density.minibatches(3, 2, 6, 0, slice(None)), density.minibatches(3, 2, 6, 0, slice(3, 6))
    assert a.x.shape == (2, 6, 1)
    assert torch.equal(a.x[:, 3:], b.x)
    assert torch.equal(a.y[:, 3:], b.y)
    assert not torch.equal(a.x, density.minibatches(4, 2, 6, 0, slice(None)).x)


def test_a_mixtures_labels_are_the_components_that_its_samples_came_from():
    """x and y have the joint distribution: shares, and the moments of each component."""
    x, y = draws(SKEWED)
    for k, (mean, std, weight) in enumerate([(-2.0, 0.1, 0.2), (0.5, 1.0, 0.5), (3.0, 0.02, 0.3)]):
        own = x[y == k, 0].double()
        assert len(own) / N == pytest.approx(weight, abs=4 * math.sqrt(weight * (1 - weight) / N))
        assert own.mean().item() == pytest.approx(mean, abs=4 * std / math.sqrt(len(own)))
        assert own.std().item() == pytest.approx(std, rel=4 / math.sqrt(2 * len(own)))


def test_a_mixtures_distribution_function_is_the_weighted_sum():
    x = torch.linspace(-4, 4, 41, dtype=torch.float64)
    parts = [(-2.0, 0.1, 0.2), (0.5, 1.0, 0.5), (3.0, 0.02, 0.3)]
    exact = sum(w * scipy.stats.norm.cdf(x.numpy(), m, s) for m, s, w in parts)
    assert_close(SKEWED.cdf(x), torch.as_tensor(exact), atol=2e-8, rtol=0)  # its parameters are float32
    u = torch.logspace(-12, -1, 50, dtype=torch.float64)
    assert_close(SKEWED.cdf(SKEWED.quantile(u)), u, atol=2e-12, rtol=0)


@pytest.mark.parametrize(("mean", "std"), [(50.0, 0.01), (100.0, 0.001)])
def test_modes_far_apart_are_exact(mean, std):
    density, u = mixture1d([-mean, mean], [std, std]), torch.linspace(0.001, 0.999, 998, dtype=torch.float64)
    assert_close(density.cdf(density.quantile(u)), u, atol=1e-9, rtol=0)


def test_modes_too_far_apart_are_refused():
    with pytest.raises(ValueError, match="for how far apart they are"):
        mixture1d([-1e9, 1e9], [1e-3, 1e-3])  # nearer ones take scipy minutes to give up


def test_outside_the_support_there_is_no_density():
    density = Line("uniform", loc=0.0, scale=1.0)
    assert density.log_prob(torch.tensor([[-0.1], [0.5], [1.1]])).tolist() == [-math.inf, 0.0, -math.inf]
    assert density.quantile(torch.tensor([0.0, 1.0])).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Line("norml"), "did you mean norm?"),
        (lambda: Line("norm", scale=-1.0), "norm has no density for {'scale': -1.0}"),
        (lambda: Line("t"), "t has the parameters df"),
        (lambda: Line("norm", scael=1.0), "unexpected keyword argument 'scael'"),
        (lambda: mixture1d([0.0], [-1.0]), "> 0"),
        (lambda: Line("norm", loc=math.nan), "loc must be a number, got nan"),
        (lambda: Line("norm", loc="x"), "loc must be a number, got 'x'"),
    ],
)
def test_impossible_distributions_are_refused_by_name(make, word):
    with pytest.raises(ValueError, match=word.replace("?", r"\?").replace("(", r"\(")):
        make()


def test_a_mixture_moves_to_a_device_and_stays_exact():
    moved = SKEWED.to(torch.device("cpu"))
    assert isinstance(moved, LineMixture)
    assert_close(moved.cdf(torch.tensor([0.5])), SKEWED.cdf(torch.tensor([0.5])))
