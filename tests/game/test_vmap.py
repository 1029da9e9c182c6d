"""Many replicas of a game at once: torch.func.vmap over stacked weights equals the loop over them."""

import copy

import pytest
import torch
from outsiders import RelativisticPair, Unstackable
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.testing import assert_close

from ganlab.game import fdivergences, losses
from ganlab.game.augment import Augment, InstanceNoise
from ganlab.game.objectives import Adversarial
from ganlab.game.players import Players, Stackable
from ganlab.game.terms import R1, GradientPenalty
from ganlab.networks import dcgan, maxout, mlp
from ganlab.random import Given, Recorded, handed

R, B, Z = 3, 6, 2
LOSSES = [losses.Minimax(), losses.NonSaturating(), losses.LeastSquares(), losses.Hinge(), losses.Wasserstein(),
          fdivergences.KL(), fdivergences.ReverseKL(), fdivergences.Pearson(), fdivergences.SquaredHellinger(),
          RelativisticPair()]  # fmt: skip


def nets(family):
    plain = {"width": 8, "depth": 2, "activation": torch.nn.LeakyReLU(0.2)}
    g, d = {"mlp": (plain, plain), "maxout": ({"width": 8, "irange": 0.5}, {"units": 6, "pieces": 3, "irange": 0.5})}[family]
    module = {"mlp": mlp, "maxout": maxout}[family]
    return module.Generator([2], Z, **g).double(), module.Discriminator([2], **d).double()


def stacked(family, loss, terms, augment):
    """The game of R replicas, whose weights are their own, and as functions of them."""
    games = []
    for seed in range(R):
        torch.manual_seed(seed)
        games.append(Players(*nets(family), loss, terms, augment, Adversarial()))
    return games


def both(games, player):
    """Gradients of a player's loss by its own weights: looped with autograd, and stacked with vmap."""
    torch.manual_seed(9)
    x, z, y = torch.randn(R, B, 2).double(), torch.randn(R, B, Z).double(), torch.zeros(B, dtype=torch.long)
    looped, draws = [], []
    for i, play in enumerate(games):
        recorded = Recorded(torch.Generator().manual_seed(100 + i))
        with handed(recorded):
            loss = getattr(play.objective, player)(play, x[i], y, z[i], 0).loss
        net = getattr(play, player)
        looped.append(dict(zip(dict(net.named_parameters()), torch.autograd.grad(loss, list(net.parameters())), strict=True)))
        draws.append(recorded.draws)
    each = tuple(torch.stack(column) for column in zip(*draws, strict=True))
    body = Stackable(games[0])
    weights, _ = stack_module_state([Stackable(play) for play in games])

    def descended(own, rest, x, z, draws):
        with handed(Given(draws)):
            return functional_call(body, {**own, **rest}, (player, x, y, z, 0))

    own = {name: value for name, value in weights.items() if name.startswith(f"{player}.")}
    rest = {name: value for name, value in weights.items() if name not in own}
    found = vmap(grad(descended))(own, rest, x, z, each)
    return looped, {name.removeprefix(f"{player}."): value for name, value in found.items()}, each


def assert_equal(looped, found):
    assert looped[0].keys() == found.keys()
    for i, one in enumerate(looped):
        for name, value in one.items():
            assert_close(found[name][i], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("family", ["mlp", "maxout"])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("player", ["D", "G"])
def test_every_loss_of_stacked_replicas_equals_the_loop(family, loss, player):
    looped, found, _ = both(stacked(family, loss, {}, Augment()), player)
    assert_equal(looped, found)


@pytest.mark.parametrize("family", ["mlp", "maxout"])
@pytest.mark.parametrize("terms", [{"r1": R1(2.0)}, {"gp": GradientPenalty(10.0)}, {"r1": R1(1.0), "gp": GradientPenalty(1.0)}])
def test_penalties_of_stacked_replicas_equal_the_loop_with_dropout_and_points_of_their_own(family, terms):
    looped, found, draws = both(stacked(family, losses.NonSaturating(), terms, InstanceNoise(0.1)), "D")
    assert_equal(looped, found)
    assert len(draws) >= 2 + ("gp" in terms) + 4 * (family == "maxout")  # noise on both sides, points, masks
    assert all(not torch.equal(draw[0], draw[1]) for draw in draws)


def test_what_cannot_be_stacked_is_refused_by_its_name():
    G, D = dcgan.Generator([1, 16, 16], Z, 4), dcgan.Discriminator([1, 16, 16], 4)
    with pytest.raises(ValueError, match=r"G\.project\.2 is a BatchNorm2d, whose running statistics cannot be kept"):
        Stackable(Players(G, D, losses.Minimax(), {}, Augment(), Adversarial()))
    own = Unstackable([2])
    with pytest.raises(ValueError, match=r"D\.net\.1 is a BatchNorm1d"):
        Stackable(Players(nets("mlp")[0], copy.deepcopy(own), losses.Minimax(), {}, Augment(), Adversarial()))
