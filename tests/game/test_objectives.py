"""Objectives that look at a class, and the prior with a code in it."""

import math

import pytest
import torch
from playing import players
from torch import nn
from torch.nn.functional import softplus
from torch.testing import assert_close

from ganlab.game.losses import NonSaturating
from ganlab.game.objectives import Adversarial, AuxiliaryClassifier, InfoGAN
from ganlab.game.priors import Coded, Normal
from ganlab.networks import mlp
from ganlab.networks.told import OneHot

B, K = 6, 3


def nets(told=None, z_dim=2):
    torch.manual_seed(0)
    G = mlp.Generator([2], z_dim, 8, 1, nn.Tanh(), **({"told": told} if told else {})).double()
    return G, mlp.Discriminator([2], 5, 1, nn.Tanh()).double()


def minibatch(z_dim=2):
    generator = torch.Generator().manual_seed(1)
    x, z = (torch.randn(B, d, generator=generator, dtype=torch.float64) for d in (2, z_dim))
    return x, torch.tensor([0, 1, 2, 2, 1, 0]), z


def ac_gan(**weights):
    torch.manual_seed(1)
    return AuxiliaryClassifier(5, K, **{"on_data": 1.0, "on_samples": 1.0, "of_G": 1.0, **weights}).double()


def surprise(logits, y):
    """-E log P(C = y), one by one."""
    return -sum(math.log(math.exp(row[c]) / sum(map(math.exp, row))) for row, c in zip(logits.tolist(), y, strict=True)) / len(
        y
    )


def test_the_losses_of_ac_gan_by_hand():
    objective = ac_gan(on_data=0.7, on_samples=0.3, of_G=2.0)
    (G, D), (x, y, z) = nets(OneHot(K)), minibatch()
    play = players(G, D, NonSaturating(), objective=objective)
    phi_x, phi_fake = D.trunk(x), D.trunk(G(z, y))
    c = objective.classifier
    on_x, on_fake = surprise(c(phi_x), y), surprise(c(phi_fake), y)
    game = softplus(-D(x, y)).mean() + softplus(D(G(z, y), y)).mean()
    D_terms, G_terms = objective.D(play, x, y, z, 0), objective.G(play, x, y, z, 0)
    assert D_terms.loss.item() == pytest.approx(game.item() + 0.7 * on_x + 0.3 * on_fake, rel=1e-12)
    assert G_terms.loss.item() == pytest.approx(softplus(-D(G(z, y), y)).mean().item() + 2.0 * on_fake, rel=1e-12)
    assert {name: value.item() for name, value in D_terms.said.items()} == pytest.approx(
        {"class_nll_data": on_x, "class_nll_samples": on_fake}, rel=1e-12
    )


def test_weights_of_zero_leave_the_game_as_it_is():
    (G, D), (x, y, z) = nets(OneHot(K)), minibatch()
    none = ac_gan(on_data=0.0, on_samples=0.0, of_G=0.0)
    for player in "DG":
        with_it, without = (
            getattr(objective, player)(players(G, D, objective=objective), x, y, z, 0).loss
            for objective in (none, Adversarial())
        )
        assert torch.equal(with_it, without)


@pytest.mark.parametrize("make", ["ac_gan", "infogan"])
def test_gradients_of_a_class_go_where_they_belong(make):
    prior = Coded(2, K, 1)
    objective = ac_gan() if make == "ac_gan" else infogan(prior)
    z_dim = 2 if make == "ac_gan" else prior.dim
    G, D = nets(OneHot(K) if make == "ac_gan" else None, z_dim)
    x, y, z = minibatch(z_dim)
    play = players(G, D, objective=objective)
    plain = players(G, D, objective=Adversarial())

    def difference(player, net):
        """What the objective adds to a player's gradient."""
        with_it, without = (
            torch.autograd.grad(getattr(p.objective, player)(p, x, y, z, 0).loss, [*net.parameters()], materialize_grads=True)
            for p in (play, plain)
        )
        return sum((a - b).abs().sum().item() for a, b in zip(with_it, without, strict=True))

    assert difference("D", G) == 0  # nothing flows into G in a step of D
    assert difference("D", D.trunk) > 1e-6
    assert difference("D", D.head) < 1e-12
    assert difference("G", G) > 1e-6
    own = torch.autograd.grad(objective.D(play, x, y, z, 0).loss, [*objective.parameters()])
    assert all(gradient.abs().sum() > 0 for gradient in own)


def infogan(prior, **more):
    torch.manual_seed(2)
    return InfoGAN(5, prior, **{"width": 4, "weight": 1.0, "weight_continuous": 0.1, "least_std": 0.05, **more}).double()


def test_the_bound_of_infogan_by_hand():
    prior = Coded(2, K, 2)
    objective = infogan(prior, weight=0.5, weight_continuous=0.25)
    G, D = nets(None, prior.dim)
    x, y, _ = minibatch()
    z = prior.sample(B, torch.Generator().manual_seed(0)).double()
    out = objective.Q(D.trunk(G(z, y)))
    category, continuous = z[:, 2 : 2 + K].argmax(1), z[:, 2 + K :]
    by_category = math.log(K) - surprise(out[:, :K], category.tolist())
    law = torch.distributions.Normal(out[:, K : K + 2], out[:, K + 2 :].exp().clamp(min=0.05))
    by_continuous = law.log_prob(continuous).sum(1).mean() + 2 * math.log(2)  # U(-1, 1) has an entropy of log 2
    found = objective.information(D.trunk(G(z, y)), z)
    assert [value.item() for value in found] == pytest.approx([by_category, by_continuous.item()], rel=1e-10)
    bonus = 0.5 * by_category + 0.25 * by_continuous.item()
    plain = players(G, D, objective=Adversarial())
    for player in "DG":
        with_it = getattr(objective, player)(players(G, D, objective=objective), x, y, z, 0)
        assert with_it.loss.item() == pytest.approx(
            getattr(Adversarial(), player)(plain, x, y, z, 0).loss.item() - bonus, rel=1e-10
        )
        assert with_it.said["information_category"].item() == pytest.approx(by_category, rel=1e-10)


def test_the_bound_is_the_information_where_q_is_right_and_nothing_where_it_knows_nothing():
    prior = Coded(1, 4, 1)
    objective = InfoGAN(5, prior, width=4, weight=1.0, weight_continuous=1.0, least_std=0.01).double()
    z = prior.sample(20_000, torch.Generator().manual_seed(0)).double()
    for told, wanted in ((0.0, 0.0), (50.0, math.log(4))):
        objective.Q = Says(told)
        category, continuous = objective.information(z[:, 1:], z)
        assert category.item() == pytest.approx(wanted, abs=1e-9)
    # of a code with noise of std s that Q knows, the bound is log 2 - log(s sqrt(2 pi e)): 1.577 at s = 0.1
    s = 0.1
    noise = s * torch.randn(len(z), 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    objective.Q = Says(0.0, math.log(s))
    features = torch.cat([z[:, 1:5], z[:, 5:] + noise], 1)
    assert objective.information(features, z)[1].item() == pytest.approx(
        math.log(2 / (s * math.sqrt(2 * math.pi * math.e))), abs=0.02
    )
    assert continuous.isfinite()


class Says(nn.Module):
    """A Q that reads the code off features which are it: logits `sure` times the category, the mean, and a log std."""

    def __init__(self, sure, log_std=0.0):
        super().__init__()
        self.sure, self.log_std = sure, log_std

    def forward(self, code):
        return torch.cat([self.sure * code[:, :4], code[:, 4:], torch.full_like(code[:, 4:], self.log_std)], 1)


def test_a_coded_prior_has_its_parts_and_their_laws():
    prior, n = Coded(2, 5, 1), 20_000
    z = prior.sample(n, torch.Generator().manual_seed(0))
    assert z.shape == (n, prior.dim) == (n, 8)
    category, continuous = prior.code(z)
    assert torch.equal(category.sum(1), torch.ones(n))
    assert set(category.unique().tolist()) == {0.0, 1.0}
    assert (category.mean(0) - 0.2).abs().max() < 5 * math.sqrt(0.2 * 0.8 / n)
    u = (continuous[:, 0].double().sort().values + 1) / 2
    assert (u - (torch.arange(n) + 0.5) / n).abs().max() < 2.2 / math.sqrt(n)
    assert abs(z[:, :2].std().item() - 1) < 0.02
    wanted = torch.arange(n) % 5
    other = prior.steered(z, wanted)
    assert torch.equal(prior.code(other)[0].argmax(1), wanted)
    assert torch.equal(other[:, :2], z[:, :2])
    assert torch.equal(other[:, 7:], z[:, 7:])


def test_a_walk_through_a_coded_prior_changes_its_category_once():
    prior = Coded(2, 3, 1)
    a, b = prior.steered(prior.sample(2, torch.Generator().manual_seed(0)), torch.tensor([0, 2]))
    walk = prior.interpolate(a, b, torch.linspace(0, 1, 10))
    assert_close(walk[[0, -1]], torch.stack([a, b]), rtol=1e-5, atol=1e-6)
    assert prior.code(walk)[0].argmax(1).tolist() == [0] * 5 + [2] * 5


def test_what_an_objective_cannot_do_is_told():
    with pytest.raises(ValueError, match=r"an auxiliary classifier wants labels and the data have none"):
        AuxiliaryClassifier(5, 1, 1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"on_data must be >= 0, got -1"):
        ac_gan(on_data=-1.0)
    with pytest.raises(ValueError, match=r"InfoGAN needs a prior with a code, and Normal has none: use prior=coded"):
        infogan(Normal(2))
    with pytest.raises(ValueError, match=r"a code needs classes >= 2 and continuous >= 0, got 1 and 1"):
        Coded(2, 1, 1)
