import math

import pytest
import torch
from torch.testing import assert_close

from ganlab.game.losses import Hinge, LeastSquares, Minimax, NonSaturating, Wasserstein

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
