"""Mixtures of one's own: unequal weights, correlated components, any dimension; and what measures them."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch.testing import assert_close

from ganlab.data.mixture import Correlated, mixture
from ganlab.data.toy import grid
from ganlab.errors import UserError
from ganlab.game.losses import NonSaturating
from ganlab.game.priors import Normal
from ganlab.metrics.density import BinnedJSD, LogLikelihood
from ganlab.metrics.modes import CellJSD, HighQuality, ModeJSD, Modes, ReverseKL, reach
from ganlab.random import generator_of
from ganlab.theory.divergences import jsd
from ganlab.theory.estimate import Estimate
from ganlab.types import Subject

MEANS = [[-1.0, -0.5], [1.0, -0.5], [0.0, 1.2]]
COVARIANCES = [[[0.04, 0.03], [0.03, 0.04]], [[0.01, 0.0], [0.0, 0.09]], [[0.02, -0.01], [-0.01, 0.02]]]
WEIGHTS = [0.6, 0.3, 0.1]
TYPED = (f"data.means={MEANS}", "data.stds=null", f"data.covariances={COVARIANCES}", f"data.weights={WEIGHTS}")
UNEQUAL = mixture(MEANS, covariances=COVARIANCES, weights=WEIGHTS)
STEEP = mixture([[0.0, 0.0], [0.5, 0.0]], covariances=[[1.0, 0.995], [0.995, 1.0]], weights=[1, 3])  # nearly a line
TENTH = mixture(
    [[2.0 * (i == k) for i in range(10)] for k in range(3)], covariances=(0.05 * np.eye(10) + 0.02).tolist(), weights=WEIGHTS
)


def draws(source, n, t=0):
    return source.sample(n, generator_of(7, "mixture", t))


def score(metric, x):
    metric.update(x, real=False)
    return metric.compute().item()


def exact_density(x, means=MEANS, covariances=COVARIANCES, weights=WEIGHTS):
    """By scipy, which knows nothing of ours."""
    laws = [scipy.stats.multivariate_normal(m, c) for m, c in zip(means, covariances, strict=True)]
    return sum(w * law.pdf(x) for w, law in zip(weights, laws, strict=True))


@pytest.mark.parametrize("source", [UNEQUAL, STEEP, mixture(MEANS, stds=[[0.1, 0.3]], weights=WEIGHTS)])
def test_samples_fall_into_equally_likely_cells_as_often_as_they_must(source):
    """Pearson's chi-square over 256 cells of the exact masses; two-sided, so that samples that are too even fail as well."""
    n, metric = 40_000, BinnedJSD(source, cells=256)
    metric.update(draws(source, n)[0], real=False)
    statistic = ((metric.counts - n / 256) ** 2 / (n / 256)).sum().item()
    assert 1e-4 < scipy.stats.chi2.sf(statistic, 255) < 1 - 1e-4
    assert metric.compute().item() == pytest.approx(0.0, abs=5e-4)


def test_components_have_their_shares_and_their_ellipses():
    x, y = draws(UNEQUAL, 20_000)
    assert scipy.stats.chisquare(torch.bincount(y).numpy(), 20_000 * np.array(WEIGHTS)).pvalue > 1e-4
    for k in range(3):
        own = x[y == k].double().numpy()
        squared = np.einsum("ni,ij,nj->n", own - MEANS[k], np.linalg.inv(COVARIANCES[k]), own - MEANS[k])
        assert scipy.stats.kstest(squared, scipy.stats.chi2(2).cdf).pvalue > 1e-4
        assert_close(UNEQUAL.deviations(x[y == k])[:, k].double(), torch.from_numpy(squared).sqrt(), rtol=1e-3, atol=1e-4)


def test_the_density_is_scipys():
    x = draws(UNEQUAL, 50)[0]
    exact = torch.from_numpy(np.log(exact_density(x.double().numpy())))
    assert_close(UNEQUAL.log_prob(x), exact, rtol=1e-6, atol=1e-6)
    wide = [(np.array(c) + 0.25 * np.eye(2)).tolist() for c in COVARIANCES]
    assert_close(UNEQUAL.blurred(0.5).log_prob(x).exp(), torch.from_numpy(exact_density(x.double().numpy(), covariances=wide)),
                 rtol=1e-6, atol=1e-6)  # fmt: skip
    assert score(LogLikelihood(UNEQUAL), x) == pytest.approx(exact.mean().item(), abs=1e-5)


def test_a_full_covariance_that_is_diagonal_is_the_mixture_of_standard_deviations():
    full = mixture(MEANS, covariances=[[[0.01, 0.0], [0.0, 0.09]]] * 3, weights=WEIGHTS)
    stds = mixture(MEANS, stds=[[0.1, 0.3]], weights=WEIGHTS)
    x, y = draws(stds, 500)
    assert isinstance(full, Correlated)
    assert_close(draws(full, 500)[0], x)
    assert_close(full.deviations(x), stds.deviations(x), rtol=1e-4, atol=1e-5)
    assert_close(full.log_prob(x), stds.log_prob(x), rtol=1e-5, atol=1e-5)
    tensor = torch.tensor([0.1, 0.2], dtype=torch.float64)
    assert_close(full.blurred(tensor).log_prob(x), stds.blurred(tensor).log_prob(x), rtol=1e-5, atol=1e-5)
    edges = [BinnedJSD(source, cells=64) for source in (full, stds)]
    assert_close(edges[0].cuts, edges[1].cuts, rtol=1e-5, atol=1e-6)
    assert torch.bincount(y).argmax() == 0


@pytest.mark.parametrize("source", [UNEQUAL, TENTH])
def test_a_perfect_sampler_has_all_modes_and_no_divergence_but_that_of_its_counts(source):
    n = 20_000
    x, _ = draws(source, n)
    assert score(Modes(source), x) == 3
    assert score(HighQuality(source), x) == pytest.approx(1 - math.exp(-4.5), abs=0.004)
    assert 0 <= score(ReverseKL(source), x) < 12 * (3 - 1) / (2 * n)  # 2n KL is chi2 of K - 1: P(> 24) = 6e-6
    assert 0 <= score(ModeJSD(source), x) < 12 * (3 - 1) / (8 * n)
    assert 0 <= score(CellJSD(source), x) < 12 * 3 / (8 * n)


def test_modes_are_compared_with_their_true_weights():
    n = 3000
    each = [draws(mixture([m], covariances=[c]), n, k)[0] for k, (m, c) in enumerate(zip(MEANS, COVARIANCES, strict=True))]
    even, lost = torch.cat(each), each[0]
    share, w = np.full(3, 1 / 3), np.array(WEIGHTS)
    assert score(ReverseKL(UNEQUAL), even) == pytest.approx((share * np.log(share / w)).sum(), abs=0.005)
    middle = (share + w) / 2
    jsd = ((share * np.log(share / middle)).sum() + (w * np.log(w / middle)).sum()) / 2
    assert score(ModeJSD(UNEQUAL), even) == pytest.approx(jsd, abs=0.002)
    assert score(ReverseKL(UNEQUAL), lost) == pytest.approx(-math.log(0.6), abs=1e-5)


def test_the_jsd_of_cells_sees_samples_of_no_mode_where_that_of_modes_does_not():
    n, far = 20_000, torch.full((20_000, 2), 50.0)
    x, _ = draws(UNEQUAL, n)
    half = torch.cat([x, far])
    inside = 1 - math.exp(-4.5)
    p, q = np.array([*(inside * np.array(WEIGHTS)), 1 - inside]), np.array([*(inside * np.array(WEIGHTS) / 2), 1 - inside / 2])
    exact = (scipy.stats.entropy(p, (p + q) / 2) + scipy.stats.entropy(q, (p + q) / 2)) / 2
    assert score(CellJSD(UNEQUAL), half) == pytest.approx(exact, abs=0.003)
    assert score(ModeJSD(UNEQUAL), half) < 12 * 2 / (8 * n)
    assert score(CellJSD(UNEQUAL), far) > 0.6


def test_high_quality_is_within_an_ellipse_and_not_a_circle():
    source = mixture([[0.0, 0.0]], covariances=[[[1.0, 0.9], [0.9, 1.0]]])
    along, across = torch.tensor([[2.0, 2.0]]), torch.tensor([[2.0, -2.0]])  # 2.05 and 8.9 standard deviations from the mean
    assert source.deviations(torch.cat([along, across]))[:, 0].tolist() == pytest.approx([8**0.5 / 1.9**0.5, 80**0.5], rel=1e-4)
    assert score(HighQuality(source), torch.cat([along, across])) == 0.5


def test_as_much_of_the_data_is_of_high_quality_in_any_dimension():
    assert (reach(1), reach(2)) == (3.0, 3.0)
    for d in (3, 10, 100):
        assert scipy.stats.chi2.cdf(reach(d) ** 2, d) == pytest.approx(1 - math.exp(-4.5), abs=1e-9)


@pytest.mark.parametrize("shift", [(0.3, -0.2), (0.0, 0.5)])
def test_theory_reads_the_jsd_that_an_independent_integration_gives(shift):
    """p_g is the mixture, moved and with other weights; both laws by scipy on a fine grid, JSD by the sum over it."""
    other = [0.2, 0.3, 0.5]
    moved = mixture((np.array(MEANS) + shift).tolist(), covariances=COVARIANCES, weights=other)
    ticks = np.linspace(-4, 4, 1201)
    x = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), -1)
    area = (ticks[1] - ticks[0]) ** 2
    p, q = exact_density(x), exact_density(x, means=np.array(MEANS) + shift, weights=other)
    m = (p + q) / 2
    exact = sum(np.where(a > 0, a * np.log(np.where(a > 0, a, 1) / m), 0).sum() for a in (p, q)) * area / 2
    blank = lambda x: torch.zeros(len(x))  # noqa: E731
    probe = Estimate(Subject(UNEQUAL, Normal(2), NonSaturating(), blank, blank), side=128, n=40_000)
    found = probe.distances(lambda z: moved.sample(len(z), generator_of(3, "moved"))[0])
    assert found["jsd"] == pytest.approx(exact, abs=0.03)
    assert found["jsd"] < exact + found["floor"]  # it is a lower bound
    assert probe.distances(lambda z: UNEQUAL.sample(len(z), generator_of(4, "same"))[0])["jsd"] < 2 * found["floor"] < 0.01


def test_a_coordinate_of_a_small_range_has_cells_of_its_own():
    """Stretched by a hundred, the JSD is the same; cells of the wide coordinate's size would not see it at all."""
    blank = lambda x: torch.zeros(len(x))  # noqa: E731
    jsd = {}
    for scale in (1.0, 0.01):
        squeezed, moved = (mixture([[0.0, y * scale]], stds=[[1.0, scale]]) for y in (0.0, 1.0))
        probe = Estimate(Subject(squeezed, Normal(2), NonSaturating(), blank, blank), side=96, n=20_000)
        jsd[scale] = probe.distances(lambda z, law=moved: law.sample(len(z), generator_of(1, "moved"))[0])["jsd"]
    assert jsd[1.0] == pytest.approx(0.1114, abs=0.006)
    assert jsd[0.01] == pytest.approx(0.1114, abs=0.008)


def test_standard_deviations_come_for_all_for_each_and_for_coordinates():
    K = [[0.0, 0.0], [1.0, 1.0]]
    forms = {0.2: [[0.2, 0.2]] * 2, (0.1, 0.3): [[0.1, 0.1], [0.3, 0.3]], ((0.1, 0.3),): [[0.1, 0.3]] * 2,
             ((0.1,), (0.3,)): [[0.1, 0.1], [0.3, 0.3]], ((0.1, 0.2), (0.3, 0.4)): [[0.1, 0.2], [0.3, 0.4]]}  # fmt: skip
    for typed, full in forms.items():
        assert_close(mixture(K, stds=typed).stds, torch.tensor(full))


MISTAKES = {
    "data.stds=0": "standard deviations of a mixture must be > 0, got 0",
    "data.stds=[.1,.2]": "stds of shape [2] do not fit means of shape [3, 2]: give one number, a list of 3",
    "data.stds=[[.1,.2,.3]]": "stds of shape [1, 3] do not fit",
    "data.stds=true": "stds must be numbers, got 'True'",
    "data.stds=[.1,inf,.1]": "inf: a number has to be finite",
    "data.stds=wide": "stds must be numbers, got 'wide'",
    "data.stds=null": "neither stds nor covariances are given",
    "data.covariances=[[1,0],[0,1]]": "stds and covariances are both given: give one, and set the other to null",
    "data.stds=null data.covariances=[[1,2],[2,1]]": "covariance 0 is not positive definite: its smallest eigenvalue is -1",
    "data.stds=null data.covariances=[[1,.5],[.4,1]]": "covariance 0 is not symmetric",
    "data.stds=null data.covariances=[[1,nan],[nan,1]]": "nan: a number has to be finite",
    "data.stds=null data.covariances=[[1]]": "needs covariances [3, 2, 2], got [3, 1, 1]",
    "data.stds=null data.covariances=[[[1,0],[0,1]]]": "needs covariances [3, 2, 2], got [1, 2, 2]",
    "data.weights=[1,2]": "a mixture of 3 needs as many weights, got 2",
    "data.weights=[1,2,0]": "needs as many weights > 0, got 0",
    "data.weights=[1,2,nan]": "nan: a number has to be finite",
    "data.weights=[1,2,inf]": "inf: a number has to be finite",
    "data.means=[[0,0],[1]]": "means must be rows of the same length",
    "data.means=[[0,0],[1,nan],[2,2]]": "nan: a number has to be finite",
    "data.means=[0,1]": "means must be rows of coordinates, as [[0,0],[2,1]]",
    "data.means=[]": "means must be rows of coordinates",
    "data.means=[[0,0,0]]": "shape = [2] but the data has [3]",
    "data=mixture1d data.stds=[inf,1]": "inf: a number has to be finite",
}


@pytest.mark.parametrize("overrides", MISTAKES)
def test_a_mistake_is_one_sentence(run, overrides):
    with pytest.raises(UserError) as caught:
        run("data=mixture2d", "theory=none", *overrides.split())
    assert MISTAKES[overrides] in str(caught.value)
    assert len(str(caught.value)) <= 200


def test_an_unequal_mixture_is_trained_from_the_command_line(run):
    done = run("data=mixture2d", *TYPED, "iterations=4", "batch_size=16", "metrics.every=4", "metrics.n=200", "theory.frames=0")
    assert done.result["status"] == "completed"
    assert {"modes", "high_quality", "mode_jsd", "theory/jsd"} <= done.result["final"].keys()
    assert done.config["data"]["weights"] == WEIGHTS


@pytest.mark.parametrize(("within", "share"), [(None, 1 - math.exp(-4.5)), (4.0, 1 - math.exp(-8.0))])
def test_the_cells_of_a_mode_are_as_wide_as_asked(within, share):
    """At 3 and 4 standard deviations of a mode in the plane."""
    source = grid(side=2, spacing=1.0, std=0.05)
    score = CellJSD(source, within)
    x = source.means.repeat_interleave(100, 0).clone()  # [400, 2]
    x[::4, 0] += 3.5 * 0.05  # a quarter lies beyond 3, and within 4
    score.update(x, real=False)
    inside = 0.75 if within is None else 1.0
    p, q = [torch.tensor([each / 4] * 4 + [1 - each], dtype=torch.float64) for each in (inside, share)]
    assert float(score.compute()) == pytest.approx(float(jsd(p.log(), q.log())), rel=1e-6)


def test_a_mode_has_some_width():
    with pytest.raises(ValueError, match="within must be > 0"):
        CellJSD(grid(side=2, spacing=1.0, std=0.05), 0.0)
