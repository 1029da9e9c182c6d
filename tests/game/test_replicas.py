"""Replicas of a game, played at once, are what each of them is when it is played alone."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganlab.data.toy import ring
from ganlab.game import losses, relativistic
from ganlab.game.augment import Augment, InstanceNoise
from ganlab.game.averages import Average, Decay
from ganlab.game.constraints import SpectralNorm
from ganlab.game.extragradient import Extragradient, Optimistic
from ganlab.game.module import GAN, Rates
from ganlab.game.numbers import InPart, Numbers
from ganlab.game.objectives import Adversarial
from ganlab.game.priors import Normal
from ganlab.game.regularisers import Centring
from ganlab.game.replicas import Replicas
from ganlab.game.terms import R1, GradientPenalty, Term, WeightClipping
from ganlab.game.updates import Alternating, Simultaneous
from ganlab.networks import mlp

B = 16
SOURCE = ring(8, 2.0, 0.02)


def adam(lr=1e-3):
    return lambda weights: torch.optim.Adam(weights, lr=lr, betas=(0.5, 0.9), fused=True)


def constant(t):
    return 1.0


def game(seed, loss=None, terms=None, augment=None, updates=None, optim=None, rate=constant, average=None, k=1, norm="none",
         moved=lambda loss, terms: {}, dtype=torch.float64, net=mlp.Discriminator):  # fmt: skip
    torch.manual_seed(seed)
    plain = {"width": 8, "depth": 2, "activation": nn.LeakyReLU(0.2)}
    G, D = mlp.Generator([2], 2, **plain, norm=norm).to(dtype), net([2], **plain).to(dtype)
    loss, terms, make = copy.deepcopy(loss or losses.NonSaturating()), copy.deepcopy(terms or {}), optim or adam()
    for term in terms.values():
        term.attach(G if term.of == "G" else D)
    gan = GAN(
        G, D, prior=_Exact(2, dtype), loss=loss, terms=terms,
        augment=copy.deepcopy(augment) or Augment(), objective=Adversarial(), updates=updates or Alternating(),
        opt_G=make(G.parameters()), opt_D=make(D.parameters()), rates=Rates(rate, rate, None),
        numbers=Numbers(moved(loss, terms)), average=average or Average(), k=k, batch_size=B, seed=seed,
    )  # fmt: skip
    gan._trainer = SimpleNamespace(world_size=1, global_rank=0)
    gan.begin(torch.autograd.backward, ())
    gan._progress = SimpleNamespace(total=_Count(), current=_Count())
    gan.next_look = lambda t: 10**9
    return gan


class _Count:
    done = 0

    def increment_by(self, n):
        self.done += n


class _Exact(Normal):
    def __init__(self, dim, dtype):
        super().__init__(dim)
        self.dtype = dtype

    def sample(self, n, generator):
        return super().sample(n, generator).to(self.dtype)


class Data:
    """The ring in any precision."""

    shape, classes = (2,), 8

    def __init__(self, dtype):
        self.dtype = dtype

    def minibatches(self, t, k, batch_size, seed, part):
        batch = SOURCE.minibatches(t, k, batch_size, seed, part)
        return batch._replace(x=batch.x.to(self.dtype))


def alone(gan, until, dtype):
    data = Data(dtype)
    gan.now.looked_at = False
    for t in range(gan.t, until):
        gan.now.looked_at = t + 1 == until
        gan.prepare(t)
        gan.body(data.minibatches(t, gan.k, B, gan.seed, slice(None)))
        gan.now.t += 1
    return gan


def state(gan):
    """All that a checkpoint has of it."""
    named = dict(gan.state_dict())
    for name, optimizer in (("opt_G", gan.opt_G), ("opt_D", gan.opt_D)):
        known = optimizer.state_dict()
        named |= {f"{name}.{i}.{key}": torch.as_tensor(v) for i, s in known["state"].items() for key, v in s.items()}
        named |= {f"{name}.lr.{i}": torch.as_tensor(group["lr"]) for i, group in enumerate(known["param_groups"])}
    return named


def compare(made, until=300, dtype=torch.float64, rtol=1e-9, middle=150):
    """`made(seed)` is a game: of three seeds, at once and one after the other."""
    together = [made(seed) for seed in range(3)]
    Replicas(together, Data(dtype)).play(middle)
    Replicas(together, Data(dtype)).play(until)  # stacked anew, as after a resume
    for seed, one in enumerate(together):
        single, found = alone(made(seed), until, dtype), state(one)
        assert found.keys() == state(single).keys()
        for name, value in state(single).items():
            scale = value.abs().max() if value.is_floating_point() else 0
            assert_close(found[name].to(value.dtype), value, rtol=rtol, atol=float(rtol * scale), msg=lambda m: f"{name}: {m}")  # noqa: B023
        assert one.t == single.t == until
        assert one._progress.total.done == until
        for player in ("D_terms", "G_terms"):
            mine, its = getattr(one.now, player), getattr(single.now, player)
            assert_close(mine.loss, its.loss.detach(), rtol=1e3 * rtol, atol=1e3 * rtol)
            assert_close(mine.seen.on_fake, its.seen.on_fake.detach(), rtol=1e3 * rtol, atol=1e3 * rtol)
            assert mine.penalties.keys() == its.penalties.keys()
        for player, norm in single.now.gradient_norms.items():
            assert_close(one.now.gradient_norms[player], norm, rtol=1e3 * rtol, atol=1e3 * rtol)
        assert one.now.penalties.keys() == single.now.penalties.keys()


def falling(t):
    return 1 - t / 400


class Rising(Term):
    """The square of D on data, with a weight that rises from step to step."""

    def forward(self, seen):
        return 0.1 * seen.step * seen.on_x.square().mean()


class Tempered(mlp.Discriminator):
    """With a weight that is one number."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x, y):
        return self.scale * super().forward(x, y)


CASES = {
    "plain": {},
    "hinge, R1 and k = 2": {"loss": losses.Hinge(), "terms": {"r1": R1(0.1)}, "k": 2},
    "lazy R1, an average, a schedule": {"terms": {"r1": R1(0.1, every=4)}, "average": Decay(0.99, 10), "rate": falling},
    "Wasserstein with its gradient penalty": {"loss": losses.Wasserstein(), "terms": {"gp": GradientPenalty(1.0)}},
    "Wasserstein with clipping, RMSprop": {
        "loss": losses.Wasserstein(), "terms": {"clip": WeightClipping(0.1)}, "k": 2,
        "optim": lambda weights: torch.optim.RMSprop(weights, lr=1e-4),
    },
    "least squares, simultaneous, SGD with momentum": {
        "loss": losses.LeastSquares(), "updates": Simultaneous(),
        "optim": lambda weights: torch.optim.SGD(weights, lr=1e-2, momentum=0.5),
    },
    "hinge, spectral norm, R1 at every second step": {
        "loss": losses.Hinge(), "terms": {"norm": SpectralNorm("D"), "norm_g": SpectralNorm("G"), "r1": R1(0.1, every=2)},
        "average": Decay(0.9, 10),
    },
    "numbers that move": {
        "loss": losses.LeastSquares(c=1.0), "terms": {"r1": R1(0.1)},
        "moved": lambda loss, terms: {
            "loss.c": (InPart(loss, "c"), lambda t: 1 - t / 64),
            "penalty.r1.gamma": (InPart(terms["r1"], "gamma"), lambda t: t / 64),
        },
    },
    "a weight that is one number": {"net": Tempered},
    "a term that reads the number of its step": {"terms": {"rising": Rising(every=2)}},
    "relativistic, optimistic": {"loss": relativistic.RelativisticPair(), "updates": Optimistic()},
    "extragradient, noise, centring": {
        "updates": Extragradient(), "augment": InstanceNoise(0.1), "terms": {"centring": Centring(0.1)},
    },
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_replicas_at_once_are_those_alone_to_the_last_digits_of_float64(case):
    compare(lambda seed: game(seed, **case), 10, middle=5)


def test_its_steps_are_traced_where_they_are_functions_of_tensors():
    for name, read in (
        ("lazy R1, an average, a schedule", []),
        ("a term that reads the number of its step", [("D", "rising")]),
    ):
        stack = Replicas([game(seed, **CASES[name]) for seed in range(2)], Data(torch.float64))
        stack.play(3)
        assert len(stack._steps) == 3
        assert [kind for kind, step in stack._steps.items() if getattr(step, "func", None) == stack._gradients] == read


@pytest.mark.long
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_they_are_so_after_300_iterations(case):
    compare(lambda seed: game(seed, **case))


def test_in_float32_to_a_millionth_after_100_iterations():
    compare(lambda seed: game(seed, dtype=torch.float32, optim=adam(1e-3)), 100, torch.float32, 1e-6, 50)


def test_numbers_of_optimizers_may_differ():
    rates = [1e-2, 1e-3, 1e-2]
    compare(lambda seed: game(seed, terms={"r1": R1(0.1)}, optim=adam(rates[seed]), updates=Extragradient()), 20, middle=10)
