"""What every part that `conf/` names has to keep, whoever wrote it: one list of instances, the same claims for each. A new yaml
is held to them without a new test."""

import copy
import math
from functools import cache
from types import SimpleNamespace

import pytest
import torch
from conftest import ROOT, composed
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.testing import assert_close

from ganlab.game.augment import Augment
from ganlab.game.losses import NonSaturating
from ganlab.game.objectives import Adversarial
from ganlab.game.players import Players, Stackable
from ganlab.game.terms import Term
from ganlab.game.traced import Traced
from ganlab.random import Given, Recorded, handed
from ganlab.run.build import game_of
from ganlab.run.config import build, resolve, validate
from ganlab.types import Batch

R, B = 2, 8
GROUPS = ("loss", "adjust", "penalty", "model", "augment", "objective", "prior", "updates", "condition")
POINTS, IMAGES = ("data=ring",), ("data=cifar10", "shape=[3,16,16]")
LABELLED = ("data=dirac", "data._target_=outsiders.Noise", "shape=[3,16,16]")  # images whose classes are known without a file
WIDTH_4 = ("model.G.width=4", "model.D.width=4")
RESIDUAL = ("sngan", "wgan_gp", "sagan", "biggan")
NARROW = {**dict.fromkeys(("dcgan", *RESIDUAL), WIDTH_4),
          "stylegan2": (*WIDTH_4, "model.G.w_dim=4", "model.G.mixing=0.5", "model.D.group=4"),
          "r3gan": (*WIDTH_4, "model.G.blocks=1", "model.D.blocks=1", "model.G.group=4", "model.D.group=4"),
          "maxout": ("model.G.width=8", "model.D.units=6"),
          "mlp": ("model.G.width=8", "model.D.width=8"), "pacgan": ("model.G.width=8", "model.D.units=6"),
          "dirac": ()}  # fmt: skip
ON = {"dirac": (), "bilinear": ()}  # they bring their data
OF_IMAGES = {"ada", "bgc", "diffaugment"}  # augmentations that refuse points
SIDELESS = {"energy", "mmd"}  # D tells data from samples, and does not say which is which
OF_POINTS = {"mlp", "maxout", "pacgan"}  # networks that take points; the others refuse them
KEEPS_STATISTICS = {"dcgan", "pacgan", "stylegan2", *RESIDUAL}
NOT_STACKED = {"condition=cbn", *(f"model={name}" for name in KEEPS_STATISTICS)}


def names(group):
    found = sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))
    assert found
    return found


@cache
def settings(*choices):
    return validate(resolve(composed("theory=none", *choices, path=ROOT)))


def game(*choices):
    """The parts of a game that conf/ composes, in float64; no data are read."""
    torch.manual_seed(0)
    return game_of(settings(*choices)).double()


def minibatch(gan, seed=0):
    generator = torch.Generator().manual_seed(seed)
    G = copy.deepcopy(gan.G)  # a pass may change its buffers
    shape = G(torch.zeros(2, gan.prior.dim).double(), torch.zeros(2, dtype=torch.long)).shape[1:]
    x = torch.randn(B, *shape, generator=generator, dtype=torch.float64).clamp(-1, 1)
    return x, torch.arange(B) % 2, gan.prior.sample(B, generator).double()


def descended(gan, player, draws=None, step=0):
    with handed(draws or Recorded(torch.Generator().manual_seed(1))):
        return getattr(gan.objective, player)(gan.players, *minibatch(gan), step).loss


CHOICES = [
    *[(*POINTS, f"loss={name}", *NARROW["mlp"]) for name in names("loss")],
    *[(*POINTS, f"penalty={name}", *NARROW["mlp"]) for name in names("penalty")],
    *[(*(IMAGES if name in OF_IMAGES else POINTS), f"augment={name}", *NARROW["mlp"]) for name in names("augment")],
    *[(*POINTS, f"adjust={name}", *NARROW["mlp"]) for name in names("adjust")],
    *[(*POINTS, f"objective={name}", *NARROW["mlp"]) for name in names("objective")],
    *[(*POINTS, f"prior={name}", *NARROW["mlp"]) for name in names("prior")],
    *[(*ON.get(name, IMAGES), f"model={name}", *NARROW.get(name, ())) for name in names("model")],
    *[(*POINTS, f"model={name}", *NARROW.get(name, ())) for name in names("model") if name in OF_POINTS],
    *[(*POINTS, f"condition={name}", *NARROW["mlp"]) for name in names("condition")],
    *[(*LABELLED, "model=dcgan", f"condition={name}", *NARROW["dcgan"]) for name in names("condition") if name != "none"],
    (*LABELLED, "model=biggan", "condition=cbn", *NARROW["biggan"]),
    *[(*LABELLED, f"model={name}", "condition=projection", *NARROW[name]) for name in ("biggan", "stylegan2", "r3gan")],
    (*POINTS, "penalty=[r1,gradient_penalty,weight_clipping]", "augment=instance_noise", "loss=hinge", *NARROW["maxout"],
     "model=maxout"),
    (*POINTS, "+penalty.lecam={_target_: outsiders.LeCam, weight: 0.1}",
     "+penalty.transport={_target_: outsiders.Transport, weight: 1.0}",
     *NARROW["mlp"]),
]  # fmt: skip
IDS = ["-".join(word for word in choice if "width" not in word and "units" not in word) for choice in CHOICES]


@pytest.mark.parametrize("choices", CHOICES, ids=IDS)
@pytest.mark.parametrize(("player", "other"), ["DG", "GD"], ids=["D", "G"])
def test_gradients_are_finite_where_they_belong_and_none_are_where_they_do_not(choices, player, other):
    gan = game(*choices)
    gan.backward_to, gan._frozen = torch.autograd.backward, ()  # as with one process
    loss = descended(gan, player)
    assert loss.dtype == torch.float64
    assert loss.shape == ()
    with handed(Recorded(torch.Generator().manual_seed(1))):
        getattr(gan, f"{player}_gradient")(*minibatch(gan))
    own = [p for p in getattr(gan, player).parameters()]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in own)
    assert any(p.grad.abs().sum() > 0 for p in own)
    strangers = [*getattr(gan, other).parameters(), *gan.G_ema.parameters()]
    strangers += [*gan.objective.parameters()] if player == "G" else []
    assert all(p.grad is None for p in strangers)


@pytest.mark.parametrize("choices", CHOICES, ids=IDS)
def test_samples_in_evaluation_mode_do_not_depend_on_each_other(choices):
    gan = game(*choices)
    gan.eval()
    x, y, z = minibatch(gan)
    with torch.no_grad():
        assert_close(torch.cat([gan.G(z[i : i + 1], y[i : i + 1]) for i in range(B)]), gan.G(z, y), rtol=1e-10, atol=1e-10)
        assert_close(torch.cat([gan.D(x[i : i + 1], y[i : i + 1]) for i in range(B)]), gan.D(x, y), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("choices", CHOICES, ids=IDS)
def test_stacked_replicas_equal_the_loop_or_are_refused_by_name(choices):
    games = [game(*choices) for _ in range(R)]
    for i, gan in enumerate(games):
        with torch.no_grad():
            for p in gan.parameters():
                p.mul_(1 + 0.1 * i)
    if NOT_STACKED & {*choices}:
        with pytest.raises(ValueError, match=r"(is a BatchNorm\dd|is a MinibatchStd), whose .* cannot be kept"):
            Stackable(games[0].players)
        return
    x, y, z = minibatch(games[0])
    for player in "DG":
        body = Stackable(games[0].players)
        weights, buffers = stack_module_state([Stackable(gan.players) for gan in games])  # of before a pass changes them
        recorded = [Recorded(torch.Generator().manual_seed(i)) for i in range(R)]
        looped = [
            torch.autograd.grad(descended(gan, player, draws), list(getattr(gan, player).parameters()))
            for gan, draws in zip(games, recorded, strict=True)
        ]
        own = {name: value for name, value in weights.items() if name.startswith(f"{player}.")}
        rest = {name: value for name, value in {**weights, **buffers}.items() if name not in own}
        draws = tuple(torch.stack(column) for column in zip(*(each.draws for each in recorded), strict=True))

        def loss(own, rest, draws, body=body, player=player):
            with handed(Given(draws)):
                return functional_call(body, {**own, **rest}, (player, x, y, z, 0))

        found = vmap(grad(loss))(own, rest, draws)
        traced = Traced(vmap(grad(loss)), own, rest, draws)(own, rest, draws)
        assert_close(traced, found, rtol=1e-12, atol=1e-12)
        for i in range(R):
            for gradient, stacked in zip(looped[i], found.values(), strict=True):
                assert_close(stacked[i], gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("choices", CHOICES, ids=IDS)
def test_state_survives_a_checkpoint_and_the_next_step_is_the_same(choices, tmp_path):
    first, second = game(*choices), game(*choices)
    for parameter in second.parameters():
        with torch.no_grad():
            parameter.add_(1.0)

    def step(gan):
        for player in "DG":
            seen = getattr(gan.objective, player)(gan.players, *minibatch(gan), 0).seen
            for term in gan.players.terms.values():
                if term.of == player:
                    term.after_step(getattr(gan, player), seen)
            if player == "D":
                gan.augment.after_step(seen)

    with handed(Recorded(torch.Generator().manual_seed(1))):
        step(first)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for player in "DG":
        assert torch.equal(descended(first, player), descended(second, player))


@pytest.mark.parametrize("name", [name for name in names("prior") if name != "coded"])  # of coordinates alike
def test_a_prior_has_its_law_and_its_interpolation_begins_and_ends_where_it_should(name):
    prior = build({**resolve(composed(f"prior={name}", path=ROOT))["prior"], "dim": 3}, "prior")
    z = prior.sample(20_000, torch.Generator().manual_seed(0)).double()
    assert z.shape == (20_000, 3)
    law, n = prior.coordinate, z.numel()
    assert abs(z.mean() - law.mean) < 5 * law.stddev / math.sqrt(n)
    u = law.cdf(z.flatten()).sort().values
    assert (u - (torch.arange(n, dtype=torch.float64) + 0.5) / n).abs().max() < 2.2 / math.sqrt(n)  # Kolmogorov: p about 1e-4
    ends = prior.interpolate(z[0], z[1], torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert_close(ends, z[:2], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(names("loss")) - SIDELESS))
def test_a_loss_wants_data_up_and_samples_down_and_g_wants_samples_up(name):
    loss = build(resolve(composed(f"loss={name}", path=ROOT))["loss"], "loss")
    real, fake = (torch.tensor([0.1, 0.2], dtype=torch.float64, requires_grad=True) for _ in range(2))
    up, down = torch.autograd.grad(loss.d(real, fake), [real, fake], allow_unused=True)
    assert (up < 0).all()
    assert (down > 0).all()
    (wanted,) = torch.autograd.grad(loss.g(fake, lambda: real.detach()), fake)
    assert (wanted < 0).all()


ONE_BY_ONE = ("alternating", "unrolled")  # not both players from the same weights


class Noted:
    """A game that notes what it is asked to do; consensus takes both gradients at once, through `backward_to`."""

    def __init__(self):
        self.gan, self.asked, self.now = game(*POINTS, *NARROW["mlp"]), [], SimpleNamespace(D_steps=0, G_steps=0)
        self.players, self.weights_D, self.weights_G = self.gan.players, self.gan.weights_D, self.gan.weights_G
        self.opt_D, self.opt_G = self.gan.opt_D, self.gan.opt_G

    def noise(self):
        return minibatch(self.gan)[2]

    def D_gradient(self, *_):
        self.asked.append("d")

    def G_gradient(self, *_):
        self.asked.append("g")

    def backward_to(self, loss, inputs):
        own = {"d": self.weights_D, "g": self.weights_G}
        self.asked += [player for player, weights in own.items() if any(w is weights[0] for w in inputs)]

    def D_step(self):
        self.asked.append("D")

    def G_step(self):
        self.asked.append("G")


@pytest.mark.parametrize(("more", "g_steps"), [((), 1), (("updates.g_steps=3",), 3)])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("name", names("updates"))
def test_an_order_asks_for_each_gradient_before_its_step_and_takes_the_steps_that_it_says(name, k, more, g_steps):
    if more and name not in ONE_BY_ONE:
        pytest.skip("takes one step of G")
    order = build(resolve(composed(f"updates={name}", *more, path=ROOT))["updates"], "updates")
    noted, (x, y, _) = Noted(), minibatch(game(*POINTS, *NARROW["mlp"]))
    try:
        order.fits(k, noted.opt_D)
    except ValueError:
        assert (name, k) == ("extragradient", 3)
        return
    order(noted, Batch(x.expand(k, *x.shape), y.expand(k, *y.shape)))
    asked = "".join(noted.asked)
    assert (asked.count("D"), asked.count("G")) == (k, order.g_steps)
    assert order.g_steps == g_steps
    first = "dg" if name == "extragradient" else ""
    assert asked == ("dD" * k + "gG" * g_steps if name in ONE_BY_ONE else first + "dD" * (k - 1) + "dgDG")


def test_the_neutral_parts_are_neutral():
    x = torch.randn(3, 2)
    assert Augment()(x) is x
    play = Players(lambda z, y: z, lambda x, y: x.sum(1), NonSaturating(), {"none": Term()}, Augment(), Adversarial())
    y = torch.zeros(3, dtype=torch.long)
    with_it, without = (
        play.objective.D(play, x, y, x, 0).loss,
        play._replace(terms={}).objective.D(play._replace(terms={}), x, y, x, 0).loss,
    )
    assert torch.equal(with_it, without)
    assert copy.deepcopy(Augment()).neutral
