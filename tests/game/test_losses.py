import math

import pytest
import torch
from torch.testing import assert_close

from ganlab.game.adjust import Smoothed, TopK
from ganlab.game.discrepancies import Energy, MeanDiscrepancy
from ganlab.game.fdivergences import JensenShannon, TotalVariation
from ganlab.game.losses import Hinge, LeastSquares, Minimax, NonSaturating, Wasserstein
from ganlab.game.relativistic import RelativisticAverage, RelativisticPair

REAL = torch.linspace(-6, 6, 25, dtype=torch.float64)
FAKE = torch.linspace(-5, 7, 25, dtype=torch.float64)


def g_of(loss):
    """G's loss, of one that does not look at data."""
    return lambda fake: loss.g(fake, None)


def slope(f, logit):
    logit = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(f(logit), logit)[0].item()


@pytest.mark.parametrize("loss", [Minimax(), NonSaturating()])
def test_d_descends_minus_the_papers_value_function(loss):
    V = torch.sigmoid(REAL).log().mean() + (1 - torch.sigmoid(FAKE)).log().mean()
    assert_close(loss.d(REAL, FAKE), -V, rtol=0, atol=1e-8)  # softplus is linear above 20


def test_minimax_g_descends_v_and_non_saturating_g_ascends_log_d():
    assert_close(Minimax().g(FAKE, None), (1 - torch.sigmoid(FAKE)).log().mean(), rtol=0, atol=1e-8)
    assert_close(NonSaturating().g(FAKE, None), -torch.sigmoid(FAKE).log().mean(), rtol=0, atol=1e-8)


def test_values_at_equilibrium():
    zero = torch.zeros(4, dtype=torch.float64)
    assert Minimax().d(zero, zero).item() == pytest.approx(math.log(4), abs=1e-12)
    assert Minimax().g(zero, None).item() == pytest.approx(-math.log(2), abs=1e-12)
    assert NonSaturating().g(zero, None).item() == pytest.approx(math.log(2), abs=1e-12)


def test_gradients_on_the_logit_are_the_ones_of_section_3():
    for logit in (-10.0, -1.0, 0.0, 2.0):
        D = 1 / (1 + math.exp(-logit))
        assert slope(g_of(Minimax()), logit) == pytest.approx(-D, rel=1e-9)
        assert slope(g_of(NonSaturating()), logit) == pytest.approx(-(1 - D), rel=1e-9)
    assert slope(g_of(NonSaturating()), -10.0) / slope(g_of(Minimax()), -10.0) == pytest.approx(22026.4657948, rel=1e-9)


def test_confident_logits_neither_saturate_nor_overflow():
    real, fake = torch.tensor([-200.0]), torch.tensor([200.0])
    assert Minimax().d(real, torch.tensor([-200.0])).item() == 200
    assert Minimax().d(torch.tensor([200.0]), fake).item() == 200
    assert slope(g_of(NonSaturating()), -200.0) == pytest.approx(-1)  # log(sigmoid + eps) has lost it long before


def test_least_squares_has_its_targets_as_minimum():
    loss = LeastSquares(a=-1.0, b=2.0, c=0.5)
    assert loss.d(torch.full((3,), 2.0), torch.full((3,), -1.0)).item() == 0
    assert loss.d(torch.tensor([0.0]), torch.tensor([0.0])).item() == pytest.approx(0.5 * (4 + 1))
    assert loss.g(torch.tensor([0.5]), None).item() == 0
    assert loss.g(torch.tensor([2.5]), None).item() == pytest.approx(2.0)


def test_hinge_is_flat_beyond_its_margins():
    loss = Hinge()
    assert loss.d(torch.tensor([1.5]), torch.tensor([-3.0])).item() == 0
    assert loss.d(torch.tensor([0.0]), torch.tensor([0.0])).item() == 2
    assert loss.d(torch.tensor([-1.0]), torch.tensor([0.5])).item() == pytest.approx(2 + 1.5)
    assert slope(g_of(loss), 5.0) == -1


def test_wasserstein_is_a_difference_of_means():
    assert_close(Wasserstein().d(REAL, FAKE), FAKE.mean() - REAL.mean())
    assert_close(Wasserstein().g(FAKE, None), -FAKE.mean())


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_a_relativistic_pair_compares_a_datum_with_the_sample_beside_it():
    real, fake = double(1.0, -2.0), double(0.5, 3.0)
    log_sigmoid = [math.log(1 / (1 + math.exp(-difference))) for difference in (0.5, -5.0)]
    assert RelativisticPair().d(real, fake).item() == pytest.approx(-sum(log_sigmoid) / 2, rel=1e-12)
    exchanged = [math.log(1 / (1 + math.exp(difference))) for difference in (0.5, -5.0)]
    assert RelativisticPair().g(fake, lambda: real).item() == pytest.approx(-sum(exchanged) / 2, rel=1e-12)


def test_a_relativistic_average_compares_each_with_the_mean_of_the_others():
    real, fake = double(1.0, -2.0), double(0.5, 3.0)  # means -0.5 and 1.75
    cost = lambda logit: math.log(1 + math.exp(-logit))  # noqa: E731
    d = (cost(1 - 1.75) + cost(-2 - 1.75)) / 2 + (cost(-0.5 - 0.5) + cost(-0.5 - 3)) / 2
    g = (cost(1.75 - 1) + cost(1.75 + 2)) / 2 + (cost(0.5 + 0.5) + cost(3 + 0.5)) / 2
    assert RelativisticAverage().d(real, fake).item() == pytest.approx(d, rel=1e-12)
    assert RelativisticAverage().g(fake, lambda: real).item() == pytest.approx(g, rel=1e-12)


def test_f_gans_of_total_variation_and_jensen_shannon():
    T = 0.5 * torch.tanh(REAL).mean() - 0.5 * torch.tanh(FAKE).mean()
    assert_close(TotalVariation().d(REAL, FAKE), -T)
    assert_close(JensenShannon().d(REAL, FAKE), Minimax().d(REAL, FAKE) - math.log(4))
    v = double(-1.5, 0.3)
    t = math.log(2) - torch.log(1 + torch.exp(-v))  # Nowozin et al. (2016), table 2
    assert_close(JensenShannon().T(v), t)
    assert_close(JensenShannon().conjugate(v), -torch.log(2 - torch.exp(t)))


def test_the_energy_distance_of_four_numbers():
    """a = 0, 4 and b = 1, 7: 2 (1 + 7 + 3 + 3) / 4 - 4 - 6."""
    a, b = double(0.0, 4.0), double(1.0, 7.0)
    assert Energy().between(a, b).item() == pytest.approx(7 - 4 - 6)
    assert Energy().d(a, b).item() == -Energy().g(b, lambda: a).item()


def test_the_energy_distance_of_two_normal_laws():
    """2 E|a - b| - E|a - a'| - E|b - b'| for N(0, 1) and N(1, 1), with E|N(m, 2)| = 2 pdf(m / s) s + m (2 cdf(m / s) - 1)."""
    s = math.sqrt(2)
    folded = lambda m: s * math.sqrt(2 / math.pi) * math.exp(-m * m / 4) + m * math.erf(m / 2)  # noqa: E731
    rng = torch.Generator().manual_seed(0)
    found = [
        Energy().between(*(torch.randn(200, generator=rng, dtype=torch.float64) + m for m in (0.0, 1.0))) for _ in range(200)
    ]
    found = torch.stack(found)
    assert abs(found.mean() - (2 * folded(1) - 2 * folded(0))) < 4 * found.std() / math.sqrt(200)


def test_one_example_has_nothing_to_be_compared_with():
    for loss in (Energy(), MeanDiscrepancy((1.0,))):
        with pytest.raises(ValueError, match="D sees one at a time: make batch_size larger"):
            loss.d(double(0.0), double(1.0))


def test_mmd_of_four_numbers_with_a_kernel_by_hand():
    a, b = double(0.0, 4.0), double(1.0, 7.0)
    k = lambda r: (1 + r * r / 2) ** -1  # alpha = 1  # noqa: E731
    by_hand = k(4) + k(6) - 2 * (k(1) + k(7) + k(3) + k(3)) / 4
    assert MeanDiscrepancy((1.0,)).between(a, b).item() == pytest.approx(by_hand, rel=1e-12)
    with pytest.raises(ValueError, match="alphas"):
        MeanDiscrepancy(())


def test_label_smoothing_tells_D_of_some_data_that_they_are_samples():
    smoothed = Smoothed(NonSaturating(), 0.1)
    cross_entropy = -(0.9 * torch.sigmoid(REAL).log() + 0.1 * (1 - torch.sigmoid(REAL)).log()).mean()
    assert_close(smoothed.d(REAL, FAKE), cross_entropy - (1 - torch.sigmoid(FAKE)).log().mean(), rtol=0, atol=1e-8)
    assert_close(smoothed.g(FAKE, None), NonSaturating().g(FAKE, None))
    for loss in (Wasserstein(), RelativisticPair(), Energy()):
        with pytest.raises(ValueError, match=f"{type(loss).__name__} has no labels to smooth"):
            Smoothed(loss, 0.1)
    with pytest.raises(ValueError, match="share"):
        Smoothed(Minimax(), 0.5)


def test_label_smoothing_moves_the_target_of_least_squares():
    """Its gradient is that of the target .9 b + .1 a."""
    logit = double(-1.0, 0.4, 3.0).requires_grad_(True)
    (found,) = torch.autograd.grad(Smoothed(LeastSquares(-1.0, 1.0, 1.0), 0.1).d(logit, double(0.0)), logit)
    assert_close(found, (logit.detach() - 0.8) / 3)


def test_top_k_learns_from_the_best_samples_and_keeps_pairs():
    real, fake = double(1.0, 2.0, 3.0, 4.0), double(0.1, 0.4, 0.3, 0.2).requires_grad_(True)
    best = [1, 2]
    assert_close(TopK(NonSaturating(), 0.5).g(fake, None), NonSaturating().g(fake[best], None))
    assert_close(TopK(RelativisticPair(), 0.5).g(fake, lambda: real), RelativisticPair().g(fake[best], lambda: real[best]))
    (gradient,) = torch.autograd.grad(TopK(Hinge(), 0.5).g(fake, None), fake)
    assert_close(gradient, double(0.0, -0.5, -0.5, 0.0))
    assert_close(TopK(Hinge(), 1.0).g(fake, None), Hinge().g(fake, None))
    assert_close(TopK(Hinge(), 1e-6).g(fake, None), -fake[1])  # one at least
    assert_close(TopK(Hinge(), torch.tensor(0.5)).g(fake, None), -(fake[1] + fake[2]) / 2)  # a number that is scheduled
    with pytest.raises(ValueError, match="Energy is no mean over samples"):
        TopK(Energy(), 0.5)
