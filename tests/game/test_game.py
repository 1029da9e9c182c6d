"""The order and the purity of Algorithm 1's steps."""

import math

import pytest
import torch
from playing import players
from torch.testing import assert_close

from ganlab.game.losses import Minimax, NonSaturating
from ganlab.game.updates import Alternating, Simultaneous
from ganlab.types import Batch


class Dirac:
    """Mescheder et al. (2018): p_data is a point at 0, G one number theta, logit -psi x (their D is large on samples).
    A game small enough to do by hand."""

    def __init__(self, h: float, loss) -> None:
        self.theta = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
        self.psi = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
        self.h, self.loss, self.noises = h, loss, 0

    def G(self, z, y):
        return self.theta.expand(len(z), 1)

    def D(self, x, y):
        return -self.psi * x[:, 0]

    def noise(self):
        self.noises += 1
        return torch.zeros(3, 1)

    def D_gradient(self, x, y, z):
        terms = self.terms("D", x, y, z)
        (self.D_slope,) = torch.autograd.grad(terms.loss, self.psi)

    def G_gradient(self, x, y, z):
        (self.G_slope,) = torch.autograd.grad(self.terms("G", x, y, z).loss, self.theta)

    def terms(self, player, *seen):
        play = players(self.G, self.D, self.loss)
        return getattr(play.objective, player)(play, *seen, 0)

    def D_step(self):
        with torch.no_grad():
            self.psi -= self.h * self.D_slope

    def G_step(self):
        with torch.no_grad():
            self.theta -= self.h * self.G_slope


def batch(k):
    return Batch(torch.zeros(k, 3, 1, dtype=torch.float64), torch.zeros(k, 3, dtype=torch.long))


def sigmoid(t):
    return 1 / (1 + math.exp(-t))


def by_hand(theta, psi, h, k, together):
    """V = log sigmoid(theta psi) + a constant: D ascends it in psi, G descends it in theta."""
    for j in range(k):
        old = psi
        psi = psi + h * theta * sigmoid(-theta * psi)
        if j == k - 1:
            seen = old if together else psi
            theta = theta - h * seen * sigmoid(-theta * seen)
    return theta, psi


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize(("updates", "together"), [(Alternating(), False), (Simultaneous(), True)])
def test_k_steps_of_d_and_one_of_g_by_hand(updates, together, k):
    game = Dirac(h=0.2, loss=Minimax())
    theta, psi = 1.0, 1.0
    for _ in range(20):
        updates(game, batch(k))
        theta, psi = by_hand(theta, psi, 0.2, k, together)
    assert (game.theta.item(), game.psi.item()) == pytest.approx((theta, psi), abs=1e-12)


def test_alternating_draws_fresh_noise_for_g_and_simultaneous_shares_the_last_one():
    for updates, draws in ((Alternating(), 4), (Simultaneous(), 3), (Alternating(g_steps=2), 5)):
        game = Dirac(0.1, NonSaturating())
        updates(game, batch(3))
        assert game.noises == draws


def test_simultaneous_gradient_descent_leaves_the_equilibrium_and_alternating_does_not():
    """From a norm of sqrt 2 with h = 0.2, 500 simultaneous steps lead to 3.097 (Mescheder et al.'s notebooks); the alternating
    map has eigenvalues of modulus 1 and cycles."""
    norms = []
    for updates in (Simultaneous(), Alternating()):
        game = Dirac(0.2, Minimax())
        for _ in range(500):
            updates(game, batch(1))
        norms.append(math.hypot(game.theta.item(), game.psi.item()))
    assert norms[0] == pytest.approx(3.097, abs=1e-3)
    assert 1.3 < norms[1] < 1.5


def test_the_discriminators_objective_sends_nothing_into_g():
    game = Dirac(0.1, NonSaturating())
    terms = game.terms("D", *(b[0] for b in batch(1)), game.noise())
    terms.loss.backward()
    assert game.theta.grad is None
    assert game.psi.grad is not None
    assert_close(terms.seen.on_fake, -torch.ones(3, dtype=torch.float64))
