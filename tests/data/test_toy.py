import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from ganlab.data import line, mixture, toy
from ganlab.metrics import parzen
from ganlab.metrics.modes import HighQuality, Modes, ReverseKL
from ganlab.metrics.sliced import SlicedWasserstein
from ganlab.metrics.transport import Transport
from ganlab.random import generator_of, seed_of

RING, GRID = toy.ring(8, 1.0, 0.1), toy.grid(5, 2.0, 0.05)
N = 2500  # samples, as in PacGAN


def score(metric, x):
    metric.update(x, real=False)
    return metric.compute().item()


def draws(source, n=N, t=0):
    return source.sample(n, generator_of(7, "test", t))


def test_centres():
    assert_close(RING.means.norm(dim=1), torch.ones(8))
    assert_close((RING.means - RING.means.roll(1, 0)).norm(dim=1), torch.full((8,), 2 * math.sin(math.pi / 8)))
    assert sorted(GRID.means.unique().tolist()) == [-4, -2, 0, 2, 4]
    assert len(GRID.means.unique(dim=0)) == 25


def test_samples_follow_the_density_that_the_source_states():
    """Entropy of an equal mixture of disjoint modes: log K + d/2 log(2 pi e std^2), and -log p is its Monte Carlo."""
    for source, K, std in ((toy.ring(8, 1.0, 0.01), 8, 0.01), (GRID, 25, 0.05)):
        x, y = draws(source, 20_000)
        exact = math.log(K) + math.log(2 * math.pi * math.e * std**2)
        nats = -source.log_prob(x)
        assert abs(nats.mean().item() - exact) < 4 * nats.std().item() / math.sqrt(len(x))
        assert_close(torch.cdist(x, source.means).argmin(1), y)


def test_weights_are_the_shares_of_the_modes():
    source = line.mixture1d([-5.0, 0.0, 5.0], [0.1, 0.1, 0.1], [1.0, 2.0, 5.0])
    share = torch.bincount(draws(source, 40_000)[1]) / 40_000
    assert_close(share, torch.tensor([0.125, 0.25, 0.625]), atol=0.01, rtol=0)
    assert source.shape == (1,)


def test_minibatches_are_a_function_of_seed_and_iteration():
    everyone = slice(None)
    a = RING.minibatches(3, 2, 6, 0, everyone)
    assert a.x.shape == (2, 6, 2)
    assert a.y.shape == (2, 6)
    assert all(torch.equal(*pair) for pair in zip(a, RING.minibatches(3, 2, 6, 0, everyone), strict=True))
    assert not torch.equal(a.x, RING.minibatches(4, 2, 6, 0, everyone).x)
    assert not torch.equal(a.x, RING.minibatches(3, 2, 6, 1, everyone).x)
    halves = [RING.minibatches(3, 2, 6, 0, slice(r * 3, r * 3 + 3)).x for r in (0, 1)]
    assert torch.equal(torch.cat(halves, 1), a.x)


TILTED = mixture.mixture([[0.0, 1.0], [2.0, 0.0]], covariances=[[1.0, 0.5], [0.5, 1.0]], weights=[1.0, 3.0])
ON_LINE = line.LineMixture(torch.tensor([[-1.0], [1.0]]), torch.full((2, 1), 0.5))


@pytest.mark.parametrize("source", [RING, toy.gaussians(torch.zeros(2, 1), 1.0), TILTED, ON_LINE])
def test_minibatches_of_several_seeds_are_those_of_each(source):
    x, y = source.minibatches_of(5, 2, 8, (3, 1, 3))
    for i, seed in enumerate((3, 1, 3)):
        one = source.minibatches(5, 2, 8, seed, slice(None))
        assert torch.equal(x[:, i], one.x)
        assert torch.equal(y[:, i], one.y)


def test_seeds_do_not_repeat_within_a_run_on_any_device():
    t = range(100_000)
    assert len({seed_of(0, "noise", i) % 2**32 for i in t}) == len(t)  # all that torch's CPU generator keeps
    assert seed_of(0, "noise", 5) != seed_of(0, "data", 5)


@pytest.mark.parametrize(("source", "worst_kl"), [(RING, 0.0045), (GRID, 0.011), (toy.ring(8, 1.0, 0.01), 0.0045)])
def test_the_true_sampler_scores_what_it_must(source, worst_kl):
    """Within 3 standard deviations in the plane lie 1 - e^-4.5 = 98.9 %."""
    x = draws(source)[0]
    assert score(Modes(source), x) == source.classes
    assert 0.982 <= score(HighQuality(source), x) <= 0.995
    assert 0 <= score(ReverseKL(source), x) < worst_kl


def test_a_circle_has_all_modes_and_is_exposed_by_its_quality():
    angle = 2 * math.pi * torch.rand(N, generator=generator_of(0, "angle"))
    x, source = torch.stack([angle.cos(), angle.sin()], 1), toy.ring(8, 1.0, 0.01)
    assert score(Modes(source), x) == 8
    assert score(HighQuality(source), x) == pytest.approx(0.076, abs=0.016)


@pytest.mark.parametrize("source", [RING, GRID])
def test_collapse_to_one_mode_costs_log_k(source):
    x = source.means[:1].expand(N, 2)
    assert score(Modes(source), x) == 1
    assert score(ReverseKL(source), x) == pytest.approx(math.log(source.classes), abs=1e-5)


def test_without_a_high_quality_sample_the_kl_is_unknown():
    far = torch.full((10, 2), 50.0)
    assert score(Modes(RING), far) == 0
    assert math.isnan(score(ReverseKL(RING), far))


def test_exactly_three_standard_deviations_is_not_high_quality():
    source = line.mixture1d([0.0], [1.0])
    assert score(HighQuality(source), torch.tensor([[2.999], [3.0], [-3.0], [0.0]])) == 0.5


def test_sliced_wasserstein_on_the_line_is_the_distance_of_a_shift():
    source = line.mixture1d([0.0], [1.0])
    x = draws(source)[0]
    metric = SlicedWasserstein(source)
    metric.update(x, real=True)
    metric.update(x + 0.7, real=False)
    assert metric.compute().item() == pytest.approx(0.7, abs=1e-5)


def test_transport_is_the_exact_distance_between_samples():
    """On the line that of the sorted samples; in the plane a shift costs its length, and no pairing is cheaper."""
    rng = torch.Generator().manual_seed(0)
    a, b = torch.randn(200, 1, generator=rng), 2 * torch.randn(200, 1, generator=rng)
    metric = Transport(line.mixture1d([0.0], [1.0]))
    metric.update(a, real=True)
    metric.update(b, real=False)
    assert metric.compute().item() == pytest.approx((a.sort(0).values - b.sort(0).values).abs().mean().item(), abs=1e-6)
    x, shift = draws(RING, 100)[0], torch.tensor([0.03, 0.04])
    metric = Transport(RING, most=50)
    metric.update(x, real=True)
    metric.update((x + shift)[:50].flip(0), real=False)
    assert metric.compute().item() == pytest.approx(0.05, abs=1e-6)


def test_parzen_of_one_sample_is_its_gaussian():
    """protocols 5.1.5: one sample, duplicated samples, a sample at infinity, and the grid of sigmas."""
    x, mu = draws(RING, 7)[0].double(), torch.tensor([[0.3, -0.2]], dtype=torch.float64)
    for sigma in (0.1, 0.7):
        exact = torch.distributions.Normal(mu[0], sigma).log_prob(x).sum(1)
        found = parzen.log_likelihoods(x, mu, [sigma])[0]
        assert_close(found, exact, atol=1e-9, rtol=0)
    samples = draws(RING, 40, t=1)[0].double()
    one = parzen.log_likelihoods(x, samples, [0.2])
    assert_close(parzen.log_likelihoods(x, samples.repeat(3, 1), [0.2]), one, atol=1e-12, rtol=0)
    far = torch.cat([samples, torch.full((1, 2), 1e6, dtype=torch.float64)])
    assert_close(parzen.log_likelihoods(x, far, [0.2]), one - math.log(41 / 40), atol=1e-9, rtol=0)
    assert pytest.approx(np.logspace(-1, 0, 10), rel=1e-14) == parzen.SIGMAS


def test_parzen_chooses_sigma_on_other_points_than_it_scores():
    metric = parzen.ParzenWindow(RING, valid=300)
    metric.update(draws(RING, 2000, t=1)[0], real=False)
    real = draws(RING, 800, t=2)[0]
    metric.update(real, real=True)
    value = metric.compute().item()
    samples = draws(RING, 2000, t=1)[0]
    chosen = parzen.log_likelihoods(real[:300], samples, parzen.SIGMAS).mean(1)
    assert metric.details["sigma"] == parzen.SIGMAS[chosen.argmax()] == pytest.approx(0.1)
    scores = parzen.log_likelihoods(real[300:], samples, [metric.details["sigma"]])[0]
    assert value == pytest.approx(scores.mean().item(), abs=1e-5)
    assert metric.details["standard_error"] == pytest.approx(scores.std(correction=0).item() / math.sqrt(500), rel=1e-5)
    assert value < -RING.log_prob(real).neg().mean().item()  # no window is a better model of the ring than the ring


def test_swiss_roll_spirals_within_its_radii():
    source = toy.SwissRoll(noise=0.0, scale=7.5)
    radius = draws(source)[0].norm(dim=1)
    assert radius.min() >= 1.5 * math.pi / 7.5
    assert radius.max() <= 4.5 * math.pi / 7.5


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: toy.ring(0, 1.0, 0.1), "modes"),
        (lambda: toy.ring(8, 1.0, 0.0), "std"),
        (lambda: line.mixture1d([0.0, 1.0], [1.0]), "means and stds"),
        (lambda: line.mixture1d([0.0, 1.0], [1.0, 1.0], [1.0]), "weights"),
        (lambda: Modes(toy.SwissRoll(0.0, 1.0)), "metrics=points"),
    ],
)
def test_impossible_sources_are_refused_by_name(make, word):
    with pytest.raises(ValueError, match=word):
        make()
