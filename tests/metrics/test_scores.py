"""Scores of samples against closed forms, against what others compute, and against what is known to be worse."""

import logging
import math
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import SHARED, points
from torch.nn.functional import avg_pool2d, one_hot
from torch.testing import assert_close

from ganlab.data import line, toy
from ganlab.data.idx import read_idx
from ganlab.metrics import kernel, prdc
from ganlab.metrics.classes import ClassCounts, Classes, ClassKL, Stacked, StackedKL, StackedModes
from ganlab.metrics.density import BinnedJSD, LogLikelihood
from ganlab.metrics.frechet import FrechetDistance, frechet_distance, moments
from ganlab.metrics.inception import InceptionScore
from ganlab.metrics.kernel import MMD, KernelDistance
from ganlab.metrics.prdc import PRDC, Coverage, Density, Precision, Recall
from ganlab.random import generator_of
from ganlab.types import Features

RING, GRID, NORMAL = toy.ring(8, 1.0, 0.1), toy.grid(5, 2.0, 0.05), line.mixture1d([0.0], [1.0])
UNEQUAL = toy.Mixture(torch.tensor([[0.0, 0.0], [0.5, 3.0]]), torch.tensor([[1.0, 0.5], [1.0, 2.0]]), torch.tensor([1.0, 5.0]))
MNIST = SHARED / "MNIST" / "raw"
needs_mnist = pytest.mark.skipif(not MNIST.is_dir(), reason=f"no MNIST in {MNIST}")


class Itself:
    """An extractor whose features and logits are x, the same tensor for the same x."""

    dims = classes = 10
    calls = 0

    def __call__(self, x):
        self.calls += 1
        return Features(x, x.flatten(1))

    def card(self):
        return {}


class Linear(Itself):
    """A random linear net on a coarse view of the pixels, [n, 1, 28, 28] -> 16 features."""

    dims = 16

    def __init__(self):
        self.weight = points(49, 16, seed=5)

    def __call__(self, x):
        features = (avg_pool2d(x, 4).flatten(1).double() + 1) @ self.weight
        return Features(features, features[:, :10])


class Written(Itself):
    """Reads the digit off the first pixel of an image of one channel."""

    def __call__(self, x):
        self.calls += 1
        assert x.shape[1] == 1
        return Features(x.flatten(1), 9.0 * one_hot(x[:, 0, 0, 0].long(), 10))


def score(metric, real, fake):
    if real is not None:
        metric.update(real, real=True)
    metric.update(fake, real=False)
    return metric.compute().item()


def draws(source, n, t=0):
    return source.sample(n, generator_of(7, "scores", t))[0]


def relu(n, seed, d=16):
    """Features that are no Gaussian: [n, d]."""
    return (points(n, 8, seed) @ points(8, d, 999)).relu()


def near_zero(values, ses=4.0):
    """Whether the mean is 0 within so many standard errors."""
    values = torch.tensor(values)
    return abs(values.mean()) < ses * values.std() / math.sqrt(len(values))


# FID


def test_frechet_distance_of_commuting_covariances_is_that_of_their_standard_deviations():
    rotation = torch.linalg.qr(points(6, 6)).Q
    a, b = torch.arange(1.0, 7, dtype=torch.float64), torch.tensor([4.0, 0, 2, 9, 1, 0], dtype=torch.float64)
    covs = [rotation @ v.diag() @ rotation.T for v in (a, b)]
    mu = points(1, 6, 3)[0]
    exact = mu.square().sum() + (a.sqrt() - b.sqrt()).square().sum()
    assert_close(frechet_distance(mu, covs[0], 0 * mu, covs[1]), exact, atol=1e-7, rtol=0)  # of b, two eigenvalues are 0
    assert 0 <= frechet_distance(mu, covs[0], mu, covs[0]) < 1e-12
    assert 0 <= frechet_distance(mu, covs[1], mu, covs[1]) < 1e-7


def test_frechet_distance_of_covariances_in_the_plane_that_do_not_commute():
    """tr (AB)^1/2 = (tr AB + 2 (det A det B)^1/2)^1/2 for 2 x 2."""
    A, B = (torch.tensor(m, dtype=torch.float64) for m in ([[2.0, 1.0], [1.0, 3.0]], [[5.0, -1.0], [-1.0, 0.5]]))
    shared = ((A @ B).trace() + 2 * (A.det() * B.det()).sqrt()).sqrt()
    zero = torch.zeros(2)
    assert_close(frechet_distance(zero, A, zero, B), A.trace() + B.trace() - 2 * shared, atol=1e-12, rtol=0)


@pytest.mark.parametrize("n", [12, 40, 41, 300])
def test_fid_with_fewer_samples_than_dimensions_is_exact(n):
    """tr (A^1/2 B A^1/2)^1/2 is the sum of the singular values of X Y', X and Y centred: no covariance, no root."""
    x, y = points(n, 40, 1), 2 * points(n + 5, 40, 2) + 0.3
    X, Y = ((a - a.mean(0)) / math.sqrt(len(a) - 1) for a in (x, y))
    exact = (x.mean(0) - y.mean(0)).square().sum() + X.square().sum() + Y.square().sum()
    exact -= 2 * torch.linalg.svdvals(X @ Y.T).sum()
    assert score(FrechetDistance(Itself()), x, y) == pytest.approx(exact.item(), abs=1e-7)
    assert 0 <= score(FrechetDistance(Itself()), x, x) < 1e-6


def test_fid_is_that_of_torch_fidelity():
    fid = pytest.importorskip("torch_fidelity.metric_fid")
    x, y = relu(700, 1), relu(500, 2) * 1.2
    theirs = fid.fid_statistics_to_metric(*map(fid.fid_features_to_statistics, (x, y)), verbose=False)
    assert score(FrechetDistance(Itself()), x, y) == pytest.approx(theirs[fid.KEY_METRIC_FID], rel=1e-9)


def test_fid_is_the_same_in_parts():
    x, y = relu(90, 1), relu(60, 2)
    metric = FrechetDistance(Itself())
    for part in x.split(20):
        metric.update(part, real=True)
    assert score(metric, None, y) == pytest.approx(score(FrechetDistance(Itself()), x, y), rel=1e-10)
    mean, cov = moments(x)
    assert_close(cov, x.T.cov())
    assert_close(mean, x.mean(0))


def test_fid_of_equal_laws_falls_as_one_over_n_and_is_the_bias_that_it_expects():
    means = {}
    for n, m in ((200, 200), (800, 800), (800, 200)):
        pairs = []
        for seed in range(16):
            metric = FrechetDistance(Itself())
            value = score(metric, relu(n, 100 + seed), relu(m, 200 + seed))
            pairs.append((value, metric.expected_bias()))
        found, expected = torch.tensor(pairs).mean(0).tolist()
        assert found == pytest.approx(expected, rel=0.15)
        means[n, m] = found
    assert means[200, 200] / means[800, 800] == pytest.approx(4, rel=0.15)
    assert means[800, 200] / means[800, 800] == pytest.approx(2.5, rel=0.15)


def test_the_expected_bias_of_a_gaussian_is_d_plus_a_quarter_of_d_squared_over_n():
    n, d = 1000, 20
    metric = FrechetDistance(Itself())
    score(metric, points(n, d, 1), points(n, d, 2))
    assert metric.expected_bias() == pytest.approx((d + d * (d + 1) / 4) * 2 / n, rel=0.15)


def test_fid_of_too_few_samples_is_said_to_be_biased_once(caplog):
    metric = FrechetDistance(Itself())
    with caplog.at_level(logging.WARNING, "ganlab"):
        score(metric, relu(64, 1), relu(31, 2))
        metric.reset()
        score(metric, None, relu(31, 3))
        assert len(caplog.records) == 1
        assert "31 samples and 64 real ones in 16 dimensions" in caplog.text
        assert score(FrechetDistance(Itself()), relu(32, 1), relu(32, 2)) > 0
    assert len(caplog.records) == 1


# KID and MMD


def test_kid_is_that_of_torch_fidelity():
    kid = pytest.importorskip("torch_fidelity.metric_kid")
    x, y = relu(300, 1), relu(250, 2) * 1.1
    metric = KernelDistance(Itself(), subsets=10, subset_size=100)
    ours = score(metric, x, y)
    theirs = kid.kid_features_to_metric(y, x, kid_subsets=10, kid_subset_size=100, verbose=False)
    assert ours == pytest.approx(theirs[kid.KEY_METRIC_KID_MEAN], rel=1e-9)
    assert metric.std == pytest.approx(theirs[kid.KEY_METRIC_KID_STD], rel=1e-9)
    single = KernelDistance(Itself(), subsets=10, subset_size=100)
    assert score(single, x.float(), y.float()) == pytest.approx(ours, abs=1e-5 * metric.std)


def test_kid_of_fewer_samples_than_a_subset_is_of_all():
    x, y = relu(60, 1), relu(60, 2)
    kernels = [((a @ b.T) / 16 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y))]
    within = [(K.sum() - K.trace()) / (60 * 59) for K in kernels[:2]]
    assert score(KernelDistance(Itself()), x, y) == pytest.approx((sum(within) - 2 * kernels[2].mean()).item(), rel=1e-9)
    assert math.isfinite(score(KernelDistance(Itself(), subsets=3), relu(40, 1), y))


def test_kid_and_mmd_are_zero_on_average_on_equal_laws_and_not_on_others():
    equal = [score(KernelDistance(Itself()), relu(50, i), relu(50, 1000 + i)) for i in range(100)]
    assert near_zero(equal)
    assert not near_zero([score(KernelDistance(Itself()), relu(50, i), relu(50, 1000 + i) * 1.3) for i in range(100)])
    equal = [score(MMD(RING), draws(RING, 100, i), draws(RING, 70, 1000 + i)) for i in range(200)]
    assert near_zero(equal)
    assert not near_zero([score(MMD(RING), draws(RING, 100, i), draws(RING, 70, 1000 + i) + 0.15) for i in range(200)])


def test_mmd_is_its_definition(monkeypatch):
    real, fake = points(9, 2, 1), points(6, 2, 2) + 0.5

    def k(a, b):
        r2 = (a[:, None] - b).square().sum(2)
        return sum(torch.exp(-r2 / (2 * (median * 2.0**i) ** 2)) for i in range(-4, 3)) / 7

    pairs = torch.combinations(torch.arange(9))
    median = (real[pairs[:, 0]] - real[pairs[:, 1]]).norm(dim=1).median()
    exact = (k(real, real).sum() - 9) / 72 + (k(fake, fake).sum() - 6) / 30 - 2 * k(real, fake).mean()
    assert score(MMD(RING), real, fake) == pytest.approx(exact.item(), abs=1e-12)
    monkeypatch.setattr(kernel, "CHUNK", 4)
    assert score(MMD(RING), real, fake) == pytest.approx(exact.item(), abs=1e-12)


def test_mmd_sees_narrow_modes_collapse_and_is_unknown_of_a_single_point():
    narrow, x = toy.ring(8, 1.0, 0.01), draws(toy.ring(8, 1.0, 0.01), 500)
    kept = [x[x[:, 0] > edge] for edge in (-2.0, -0.9, -0.5, 0.9)]  # 8, 7, 5 and 1 mode
    values = [score(MMD(narrow), draws(narrow, 500, 1), part) for part in kept]
    assert values == sorted(values)
    assert values[1] > 0.003 > abs(values[0])
    assert math.isnan(score(MMD(toy.Dirac()), torch.zeros(5, 1), torch.zeros(5, 1)))


# Inception score


def test_inception_score_is_that_of_torch_fidelity():
    isc = pytest.importorskip("torch_fidelity.metric_isc")
    logits = 3 * points(237, 10)
    metric = InceptionScore(Itself(), splits=5)
    theirs = isc.isc_features_to_metric(logits, splits=5)
    assert score(metric, points(3, 10), logits) == pytest.approx(theirs[isc.KEY_METRIC_ISC_MEAN], rel=1e-12)
    assert metric.std == pytest.approx(theirs[isc.KEY_METRIC_ISC_STD], rel=1e-9)


def test_inception_score_of_sure_and_even_verdicts_is_the_number_of_classes():
    sure = 1000.0 * one_hot(torch.arange(200) % 10, 10)
    assert score(InceptionScore(Itself(), splits=1), None, sure) == pytest.approx(10, rel=1e-12)
    assert score(InceptionScore(Itself(), splits=1), None, sure[:, :5].repeat(1, 2)[sure[:, :5].sum(1) > 0]) == pytest.approx(5)
    assert score(InceptionScore(Itself(), splits=4), None, points(1, 10).expand(40, 10)) == pytest.approx(1, rel=1e-12)


# Precision, recall, density, coverage

FOUR = (Precision, Recall, Density, Coverage)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_prdc_is_that_of_the_package(k, monkeypatch, capsys):
    package = pytest.importorskip("prdc")
    monkeypatch.setattr(prdc, "BLOCK", 7000)  # several blocks
    x, y = relu(300, 1).float(), (relu(220, 2) * 1.2 + 0.2).float()
    theirs = package.compute_prdc(x.numpy(), y.numpy(), nearest_k=k)
    for metric in FOUR:
        assert score(metric(Itself(), k=k), x, y) == pytest.approx(theirs[metric.__name__.lower()], abs=1e-9)
    assert all(0.1 < theirs[name] < 1 for name in theirs)


def all_of(metric, real, fake):
    """Of a metric of several scores: {name: value}."""
    if real is not None:
        metric.update(real, real=True)
    metric.update(fake, real=False)
    return {name: value.item() for name, value in metric.compute().items()}


def test_the_four_share_their_distances_and_what_is_real_is_searched_once(monkeypatch):
    searched = []
    distances = prdc.squared_distances
    monkeypatch.setattr(prdc, "squared_distances", lambda a, b: searched.append(len(a)) or distances(a, b))
    real, first, second = relu(50, 1), relu(40, 2), relu(40, 3)
    metric = PRDC(Itself())
    a = all_of(metric, real, first)
    assert sorted(searched) == [40, 50, 50]  # samples, real ones, and both
    metric.reset()
    b = all_of(metric, None, second)
    assert sorted(searched[3:]) == [40, 50]
    assert all(a[name] != b[name] for name in ("precision", "recall", "density", "coverage"))
    assert b == {each.value: score(each(Itself()), real, second) for each in FOUR}
    metric.update(relu(9, 4), real=True)
    metric.compute()
    assert sorted(searched)[-2:] == [59, 59]  # other real ones are searched anew


@pytest.mark.parametrize(
    ("together", "alone"),
    [
        (lambda: PRDC(Itself(), k=2), {each.value: partial(each, k=2) for each in FOUR}),
        (lambda: ClassCounts(Itself()), {"classes": Classes, "class_kl": ClassKL}),
    ],
    ids=["prdc", "classes"],
)
def test_scores_that_are_found_together_are_those_found_alone(together, alone):
    real, fake = points(60, 10), points(40, 10, 1)
    found = all_of(together(), real, fake)
    assert found == {name: score(make(Itself()), real, fake) for name, make in alone.items()}
    assert len(set(found.values())) == len(alone)


def test_density_and_coverage_of_equal_laws_have_the_means_that_they_state():
    n, k = 60, 5
    coverage = 1 - math.prod((n - i) / (2 * n - i) for i in range(1, k + 1))
    found = []
    for seed in range(100):
        real, fake = relu(n, seed), relu(n, 1000 + seed)
        found.append([score(metric(Itself()), real, fake) for metric in (Density, Coverage)])
    densities, coverages = zip(*found, strict=True)
    assert near_zero([value - 1 for value in densities])
    assert near_zero([value - coverage for value in coverages])
    assert coverage == pytest.approx(1 - 2**-k, abs=0.01)


def test_a_dropped_mode_costs_recall_and_coverage_and_wrong_samples_cost_precision_and_density():
    real, fake = draws(RING, 400), draws(RING, 400, 1)
    one = fake[fake[:, 0] > 0.6]
    good, dropped, wrong = ([score(metric(Itself()), real, x) for metric in FOUR] for x in (fake, one, 2 * fake))
    assert min(good) > 0.8
    assert dropped[0] > 0.8
    assert dropped[1] < 0.5
    assert dropped[3] < 0.5
    assert wrong[0] == wrong[2] == wrong[3] == 0
    assert 0 < wrong[1] < 0.2  # balls around scattered samples are large


# classes


def test_class_kl_of_one_of_k_equal_classes_is_log_k():
    labels = torch.arange(80_000) % 10
    real = 5.0 * one_hot(labels[labels < 8], 10)
    metric, seen = ClassKL(Itself()), Classes(Itself())
    assert score(metric, real, real[:8]) == pytest.approx(0, abs=1e-3)
    metric.reset()
    assert score(metric, None, real[:1].expand(50, 10)) == pytest.approx(math.log(8), abs=1e-3)
    assert metric.histogram().tolist() == [50] + 9 * [0]
    assert metric.histogram(real=True).tolist() == 8 * [8000] + 2 * [0]
    assert score(seen, real, real[:3]) == 3
    assert score(seen, None, real[5:6]) == 4
    never = score(ClassKL(Itself()), real, 5.0 * one_hot(torch.tensor([9]), 10))
    assert never == pytest.approx(-math.log(0.5 / (64_000 + 5)))  # finite: half a count


def test_class_kl_of_equal_laws_has_the_mean_that_it_states():
    n, m = 500, 1000
    values = [score(ClassKL(Itself()), points(m, 10, i), points(n, 10, 1000 + i)) for i in range(150)]
    assert np.mean(values) == pytest.approx(9 / 2 * (1 / n + 1 / m), rel=0.15)


def stacked(digits):
    """Images of 3 channels on which `Written` reads these, [n, 3] -> [n, 3, 2, 2]."""
    return digits[:, :, None, None].expand(-1, -1, 2, 2).float()


def test_stacked_mnist_counts_triples_and_stays_above_its_floor():
    """protocols 3.5: KL of a uniform sampler at n = 26,000."""
    digits = torch.randint(10, (26_000, 3), generator=torch.Generator().manual_seed(0))
    extractor = Written()
    metric, x = Stacked(extractor), stacked(digits)
    found = all_of(metric, x, x)
    assert found["modes"] == 1000
    assert found["kl"] == pytest.approx(0.0193, abs=4 * 0.0009)
    assert found["kl"] == score(StackedKL(Written()), x, x)
    assert extractor.calls == 2  # for both scores: of x as real ones, and as samples
    assert metric.histogram().view(10, 10, 10)[1, 2, 3] == (digits == torch.tensor([1, 2, 3])).all(1).sum()
    assert score(StackedModes(Written()), None, stacked(torch.tensor([[1, 2, 3], [3, 2, 1], [1, 2, 3]]))) == 2
    assert score(StackedKL(Written()), None, stacked(torch.tensor([[1, 2, 3]] * 7))) == pytest.approx(math.log(1000))
    with pytest.raises(ValueError, match="a digit in each channel"):
        metric.update(x[:, :1], real=False)


@needs_mnist
def test_real_stacked_mnist_has_the_divergence_of_its_unequal_digits():
    labels = read_idx(MNIST / "train-labels-idx1-ubyte", axes=1).long()
    rng = torch.Generator().manual_seed(0)
    digits = labels[torch.randint(len(labels), (26_000, 3), generator=rng)]
    assert score(StackedKL(Written()), None, stacked(digits)) == pytest.approx(0.0236, abs=4 * 0.0009)


# known densities


@pytest.mark.parametrize("std", [0.01, 0.1])
def test_log_likelihood_of_the_true_sampler_is_its_negative_entropy(std):
    source = toy.ring(8, 1.0, std)
    x = draws(source, 4000)
    entropy = math.log(8) + math.log(2 * math.pi * math.e * std**2)  # of modes that do not overlap
    metric = LogLikelihood(source)
    tolerance = 4 / math.sqrt(4000)  # the standard deviation of -log p of a Gaussian in the plane is 1
    assert score(metric, draws(source, 4000, 1), x) == pytest.approx(-entropy, abs=tolerance)
    assert metric.negative_entropy == pytest.approx(-entropy, abs=tolerance)
    assert score(LogLikelihood(source), None, source.means) == pytest.approx(-entropy + 1, abs=1e-4)  # the top of the modes


def test_log_likelihood_outside_of_the_support_is_minus_infinity_and_says_how_often():
    metric = LogLikelihood(line.Line("uniform", loc=0.0, scale=4.0))
    inside = torch.tensor([[0.5], [3.0], [1.0]])
    assert score(metric, None, inside) == pytest.approx(-math.log(4))
    assert metric.outside == 0
    assert score(metric, None, torch.tensor([[5.0]])) == -math.inf
    assert metric.outside == 0.25


def test_the_density_of_a_curve_is_that_of_its_noise_around_it():
    roll = toy.SwissRoll(noise=0.25, scale=7.5)
    x = draws(roll, 2000)
    near, far = (score(LogLikelihood(roll), None, part) for part in (x, x * 1.1))
    assert near > far + 1
    metric = BinnedJSD(roll, cells=100)
    assert abs(score(metric, None, draws(roll, 20_000))) < metric.bias


@pytest.mark.parametrize(
    "source",
    [toy.ring(8, 1.0, 0.01), RING, GRID, UNEQUAL, NORMAL, line.Line("beta", a=0.5, b=0.5)],
    ids=["narrow", "ring", "grid", "unequal", "normal", "beta"],
)
def test_binned_jsd_is_zero_on_average_on_equal_laws(source):
    """Less the bias of protocols 4.4, which is there otherwise."""
    metrics = [BinnedJSD(source, cells=64) for _ in range(60)]
    values = [score(metric, None, draws(source, 1000, t)) for t, metric in enumerate(metrics)]
    bias = metrics[0].bias
    assert bias == 63 / 8000
    assert np.mean(values) == pytest.approx(0, abs=4 * np.std(values) / math.sqrt(60) + 0.03 * bias)
    assert np.std(values) < bias / 3


@pytest.mark.parametrize(("std", "kept", "exact"), [(0.01, 1, 0.496929), (0.03, 4, 0.215762), (0.01, 7, 0.045407)])
def test_binned_jsd_of_collapse_is_that_of_the_modes(std, kept, exact):
    """protocols 4.2: 16 strips of 16 keep the 8 modes apart."""
    source = toy.ring(8, 1.0, std)
    x, y = source.sample(200_000, generator_of(0, "collapse"))
    metric = BinnedJSD(source)
    value = score(metric, None, x[y < kept])
    assert exact - metric.bias - 0.0005 < value < exact + 0.0005


def test_binned_jsd_on_the_line_is_a_lower_bound_that_is_reached():
    """protocols 4.2: N(0, 1) against N(1, 1); nothing in common; the wrong width."""
    x = draws(NORMAL, 100_000)
    assert score(BinnedJSD(NORMAL), None, x + 1) == pytest.approx(0.111421482185, abs=0.003)
    assert score(BinnedJSD(NORMAL), None, 2 * x) == pytest.approx(0.092733381666, abs=0.003)
    coarse, fine = (score(BinnedJSD(NORMAL, cells=cells), None, x + 1) for cells in (2, 64))
    assert coarse < fine < 0.115
    far = score(BinnedJSD(NORMAL, cells=64), None, x + 50)
    p, q = torch.full((64,), 1 / 64), one_hot(torch.tensor(63), 64)
    exact = (torch.special.entr((p + q) / 2).sum() - torch.special.entr(p).sum() / 2).item()
    assert far == pytest.approx(exact, abs=1e-4)


# all of them

POINTS = (MMD, LogLikelihood, BinnedJSD)
FEATURES = (FrechetDistance, KernelDistance, InceptionScore, *FOUR, Classes, ClassKL)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("make", [*POINTS, *FEATURES, StackedModes, StackedKL], ids=lambda make: make.__name__)
def test_samples_that_are_not_finite_have_no_score(make, bad):
    if make in POINTS:
        metric, x = make(RING), draws(RING, 40)
    elif make in FEATURES:
        metric, x = make(Itself()), points(40, 10)
    else:
        metric, x = make(SimpleNamespace(classes=10, __call__=None)), points(40, 12).view(40, 3, 2, 2)
        metric.extractor = lambda x: Features(x, x.flatten(1).repeat(1, 3)[:, :10])
        metric.extractor.classes = 10
    broken = x.clone()
    broken[3] = bad
    metric.update(x, real=True)
    metric.update(x, real=False)
    value = metric.compute()
    assert value.dim() == 0
    assert not value.isnan()
    metric.update(broken, real=False)
    assert metric.compute().isnan()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: KernelDistance(Itself(), subsets=0), "subsets must be >= 1"),
        (lambda: KernelDistance(Itself(), subset_size=1), "subset_size must be >= 2"),
        (lambda: InceptionScore(Itself(), splits=0), "splits must be >= 1"),
        (lambda: Coverage(Itself(), k=0), "k must be >= 1"),
        (lambda: BinnedJSD(RING, cells=200), "cells must be"),
        (lambda: BinnedJSD(NORMAL, cells=1), "cells must be"),
        (lambda: BinnedJSD(toy.gaussians(torch.zeros(2, 3), 1.0)), "on the line or a mixture in the plane"),
        (lambda: LogLikelihood(toy.SwissRoll(0.0, 7.5)), "known density"),
        (lambda: LogLikelihood(toy.Dirac()), "metrics=points"),
    ],
)
def test_impossible_scores_are_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# real digits


@pytest.fixture(scope="module")
def digits():
    """4,000 digits, [n, 1, 28, 28] in [-1, 1], and their labels; shuffled, for each writer's are together."""
    order = torch.randperm(60_000, generator=torch.Generator().manual_seed(0))[:4000]
    x = read_idx(MNIST / "train-images-idx3-ubyte", axes=3)[order]
    y = read_idx(MNIST / "train-labels-idx1-ubyte", axes=1)[order]
    return x[:, None].float() / 127.5 - 1, y


def blurred(x, times):
    for _ in range(times):
        x = avg_pool2d(x, 3, stride=1, padding=1)
    return x


@needs_mnist
@pytest.mark.parametrize("make", [FrechetDistance, partial(KernelDistance, subsets=10, subset_size=2000)])
def test_distances_rise_with_noise_with_blur_and_with_dropped_digits(make, digits):
    (real, fake), labels = digits[0].split(2000), digits[1][2000:]
    noise = torch.randn(fake.shape, generator=torch.Generator().manual_seed(0))
    worse = {
        "noise": [fake + std * noise for std in (0.0, 0.5, 1.0, 2.0)],
        "blur": [blurred(fake, times) for times in (0, 1, 2, 4)],
        "dropped": [fake[labels < kept] for kept in (10, 8, 5, 1)],
    }
    for kind, steps in worse.items():
        values = [score(make(Linear()), real, x) for x in steps]
        assert values == sorted(values), kind
        assert values[1] > 1.5 * abs(values[0]), kind


@needs_mnist
def test_fid_of_halves_of_real_digits_is_its_expected_bias(digits):
    x = digits[0]
    found = {}
    for n in (250, 1000):
        halves, expected = zip(*(_halves(x[i : i + 2 * n]) for i in range(0, 4000, 2 * n)), strict=True)
        found[n] = np.mean(halves)
        assert found[n] == pytest.approx(np.mean(expected), rel=0.35)
    assert found[250] / found[1000] == pytest.approx(4, rel=0.35)


def _halves(x):
    metric = FrechetDistance(Linear())
    return score(metric, *x.chunk(2)), metric.expected_bias()
