"""Unrolled D, extragradient and optimistic steps: against closed forms, the papers' algorithms, and finite differences."""

import copy
import math
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT, same_state
from torch import nn
from torch.testing import assert_close

from ganlab.errors import UserError
from ganlab.files.run import RunDirectory
from ganlab.game.augment import Augment
from ganlab.game.extragradient import Extragradient, Optimistic
from ganlab.game.losses import NonSaturating, Wasserstein
from ganlab.game.objectives import Adversarial
from ganlab.game.players import Players
from ganlab.game.relativistic import RelativisticPair
from ganlab.game.terms import R1, WeightClipping
from ganlab.game.unrolled import Unrolled, unrolled
from ganlab.game.updates import Simultaneous
from ganlab.networks import dcgan, mlp
from ganlab.theory.trajectory import path_of
from ganlab.types import Batch

X, Y, Z = torch.zeros(3, 1, dtype=torch.float64), torch.zeros(3, dtype=torch.long), torch.zeros(3, 1)


class Bilinear:
    """Wasserstein on two numbers: D descends psi theta, G descends -psi theta. With torch's own optimizers, in float64."""

    def __init__(self, order, make):
        self.theta, self.psi = (nn.Parameter(torch.tensor(v, dtype=torch.float64)) for v in (1.0, 0.5))
        self.order, self.weights_G, self.weights_D = order, [self.theta], [self.psi]
        self.opt_G, self.opt_D = make([self.theta]), make([self.psi])
        self.now = SimpleNamespace(D_steps=0, G_steps=0)
        self.backward_to = torch.autograd.backward
        G, D = (lambda z, y: self.theta.expand(len(z), 1)), Line(self.psi)
        self.players = Players(G, D, Wasserstein(), {}, Augment(), Adversarial())

    def noise(self):
        return Z

    def D_gradient(self, x, y, z):
        self.players.objective.D(self.players, x, y, z, 0).loss.backward(inputs=[self.psi])

    def G_gradient(self, x, y, z):
        self.players.objective.G(self.players, x, y, z, 0).loss.backward(inputs=[self.theta])

    def D_step(self):
        self.order.step(self.opt_D)
        self.opt_D.zero_grad()

    def G_step(self):
        self.order.step(self.opt_G)
        self.opt_G.zero_grad()

    def path(self, n, k=1):
        points = [(self.theta.item(), self.psi.item())]
        for _ in range(n):
            self.order(self, Batch(X.expand(k, 3, 1), Y.expand(k, 3)))
            points.append((self.theta.item(), self.psi.item()))
        return torch.tensor(points, dtype=torch.float64)


class Line(nn.Module):
    def __init__(self, psi):
        super().__init__()
        self.psi = psi

    def forward(self, x, y):
        return self.psi * x[:, 0]


def sgd(h):
    return lambda weights: torch.optim.SGD(weights, lr=h)


# --- extragradient and optimism on min max <x, y>


def test_extragradient_contracts_where_simultaneous_steps_diverge():
    """In one iteration |w|^2 is multiplied by 1 - h^2 + h^4, and by 1 + h^2 (Gidel et al., 2019, section 3.1)."""
    h = 0.2
    for order, factor in ((Extragradient(), 1 - h**2 + h**4), (Simultaneous(), 1 + h**2)):
        sizes = Bilinear(order, sgd(h)).path(50).square().sum(1)
        assert_close(sizes[1:] / sizes[:-1], torch.full((50,), factor, dtype=torch.float64), rtol=1e-12, atol=0)


def test_an_extragradient_step_by_hand():
    theta, psi, h = 1.0, 0.5, 0.3
    ahead = theta + h * psi, psi - h * theta
    expected = theta + h * ahead[1], psi - h * ahead[0]
    assert Bilinear(Extragradient(), sgd(h)).path(1)[1].tolist() == pytest.approx(expected, abs=1e-15)


def test_optimistic_steps_follow_their_recursion_and_those_of_past_extragradient():
    h, n = 0.2, 60
    path = Bilinear(Optimistic(), sgd(h)).path(n)
    J = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)  # the field: w' = J w
    w = [path[0], path[0] + h * J @ path[0]]
    while len(w) <= n:
        w.append(w[-1] + 2 * h * J @ w[-1] - h * J @ w[-2])
    assert_close(path, torch.stack(w), rtol=1e-12, atol=1e-12)
    assert path[-1].norm() < 0.5 * path[0].norm()
    point, past, ahead = path[0] - h * J @ path[0], J @ path[0], []  # w <- w + h J w', w' = w + h (the J w' of before)
    for _ in range(n + 1):
        ahead.append(point + h * past)
        past = J @ ahead[-1]
        point = point + h * past
    assert_close(path, torch.stack(ahead), rtol=1e-12, atol=1e-12)


def extra_adam(path, h, betas, eps, n):
    """Gidel et al. (2019), algorithm 4, option 1, in numpy."""
    w, (b1, b2) = np.array(path, dtype=float), betas
    m, v, points = np.zeros(2), np.zeros(2), [w]

    def field(w):
        return np.array([-w[1], w[0]])  # gradients of the players' own losses

    for t in range(1, n + 1):
        at = w
        for step, half in ((2 * t - 1, True), (2 * t, False)):
            g = field(at)
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            at = w - h * m / (1 - b1**step) / (np.sqrt(v / (1 - b2**step)) + eps)
            w = w if half else at
        points.append(w)
    return np.array(points)


def test_with_adam_it_is_extra_adam():
    h, betas = 0.05, (0.5, 0.9)
    game = Bilinear(Extragradient(), lambda w: torch.optim.Adam(w, lr=h, betas=betas, eps=1e-8))
    path = game.path(30)
    assert_close(path, torch.from_numpy(extra_adam(path[0].tolist(), h, betas, 1e-8, 30)), rtol=1e-10, atol=1e-12)


def test_optimistic_adam_takes_twice_its_step_less_the_one_before():
    h, betas = 0.05, (0.5, 0.9)
    game = Bilinear(Optimistic(), lambda w: torch.optim.Adam(w, lr=h, betas=betas))
    path = game.path(20)
    twin = Bilinear(Simultaneous(), lambda w: torch.optim.Adam(w, lr=h, betas=betas))
    before = None
    for t in range(20):  # what Adam would do from there, with the gradients of there
        with torch.no_grad():
            twin.theta.copy_(path[t, 0])
            twin.psi.copy_(path[t, 1])
        plain = twin.path(1)
        step = plain[1] - plain[0]
        expected = path[t] + (step if before is None else 2 * step - before)
        assert_close(path[t + 1], expected, rtol=1e-10, atol=1e-12)
        before = step


@pytest.mark.parametrize("updates", ["extragradient", "optimistic", "unrolled"])
def test_the_bench_plays_it_and_goes_on_bit_for_bit(run, updates):
    given = ("model.G.width=8", "model.D.width=8", "metrics=none", "theory=none", "batch_size=16",
             "penalty=[r1,weight_clipping]", "penalty.weight_clipping.limit=0.5", f"updates={updates}")  # fmt: skip
    whole = run(*given, "iterations=8", name="whole")
    run(*given, "iterations=5", name="parts")
    parts = run(*given, "iterations=8", f"resume={whole.path.parent}/parts", name="parts")
    a, b = (torch.load(r.newest_checkpoint(), weights_only=True) for r in (whole, parts))
    assert same_state(a["state_dict"], b["state_dict"])
    assert max(p.abs().max() for name, p in a["state_dict"].items() if name.startswith("D.")) <= 0.5
    steps = {float(s["step"]) for o in a["optimizer_states"] for s in o["state"].values()}
    assert steps == {16.0 if updates == "extragradient" else 8.0}
    assert ("optimistic_step" in a["optimizer_states"][0]["state"][0]) == (updates == "optimistic")


def test_the_dirac_gan_comes_to_rest_as_the_closed_form_says(run):
    from ganlab.files.table import read

    given = ("model=dirac", "data=dirac", "loss=wasserstein", "penalty=none", "optim=sgd", "optim.lr=0.2", "optim.momentum=0",
             "theory=dirac", "theory.every=1", "iterations=50", "metrics=none")  # fmt: skip
    done = run(*given, "updates=extragradient")
    path = torch.tensor(path_of(read(done.table_file)), dtype=torch.float64)
    sizes = path.square().sum(1)
    assert (sizes[-1] / sizes[0]).item() == pytest.approx((1 - 0.04 + 0.0016) ** 50, rel=1e-4)
    with pytest.raises(UserError, match="updates: extragradient takes one step of each player: set k=1, got 2"):
        run(*given, "updates=extragradient", "k=2", name="k2")


@pytest.mark.slow
@pytest.mark.long  # of the usual order: tests/run/test_ddp.py
@pytest.mark.parametrize("updates", ["extragradient", "optimistic"])
def test_two_processes_take_the_steps_of_one(tmp_path, updates):
    given = ("logger=csv", "metrics=none", "theory=none", "model.G.width=16", "model.D.width=16", "iterations=10",
             "batch_size=32", "threads=1", "optim=sgd", "optim.lr=0.05", f"updates={updates}")  # fmt: skip
    states = []
    for name, devices in (("one", ()), ("two", ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"))):
        line = [sys.executable, ROOT / "train.py", f"hydra.run.dir={name}", *given, *(devices or ("trainer=cpu",))]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        states.append(torch.load(RunDirectory(tmp_path / name).newest_checkpoint(), weights_only=True)["state_dict"])
    assert_close(*states, rtol=0, atol=1e-6)


# --- unrolled


@pytest.mark.parametrize("steps", [1, 3])
def test_an_unrolled_gradient_by_hand(steps):
    """psi after n steps is psi - n h theta, so that G descends -psi theta + n h theta^2; D itself moves once."""
    h = 0.1
    game = Bilinear(Unrolled(steps), sgd(h))
    theta, psi = 1.0, 0.5
    for _ in range(5):
        point = game.path(1)[1].tolist()
        psi = psi - h * theta
        theta = theta - h * (-psi + 2 * steps * h * theta)
        assert point == pytest.approx((theta, psi), abs=1e-14)
    assert math.hypot(theta, psi) < math.hypot(1.0, 0.5)


class Scaled(Adversarial):
    """An objective with a weight of its own, which is looked ahead as well."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.2, dtype=torch.float64))

    def D(self, play, x, y, z, step):
        terms = super().D(play, x, y, z, step)
        return terms.plus((self.scale * terms.seen.on_fake).square().mean())

    def G(self, play, x, y, z, step):
        terms = super().G(play, x, y, z, step)
        return terms.plus((self.scale * terms.seen.on_fake).square().mean())


OPTIMIZERS = {
    "sgd": lambda w: torch.optim.SGD(w, lr=0.1),
    "nesterov": lambda w: torch.optim.SGD(w, lr=0.05, momentum=0.7, nesterov=True, weight_decay=0.1),
    "momentum": lambda w: torch.optim.SGD(w, lr=0.05, momentum=0.7, dampening=0.2),
    "adam": lambda w: torch.optim.Adam(w, lr=0.02, betas=(0.5, 0.9), weight_decay=0.1),
    "adamw": lambda w: torch.optim.AdamW(w, lr=0.02, betas=(0.5, 0.9), weight_decay=0.1),
    "fused": lambda w: torch.optim.Adam(w, lr=0.02, betas=(0.0, 0.9), fused=True),
}


@pytest.mark.parametrize("begun", [0, 2], ids=["at the start", "on the way"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_unrolled_gradient_is_that_of_finite_differences_through_torchs_own_steps(name, begun):
    """G's loss after 3 steps of a real optimizer on a copy of D; R1, a lazy term, a loss of pairs, an objective's weight."""
    torch.manual_seed(0)
    plain = {"width": 5, "depth": 1, "activation": nn.Tanh()}
    G, D, objective = mlp.Generator([2], 2, **plain).double(), mlp.Discriminator([2], **plain).double(), Scaled()
    x, y, z = torch.randn(6, 2).double(), torch.zeros(6, dtype=torch.long), torch.randn(6, 2).double()
    play = Players(G, D, RelativisticPair(), {"r1": R1(0.7), "lazy": R1(0.1, every=2)}, Augment(), objective)
    opt = OPTIMIZERS[name]([*D.parameters(), *objective.parameters()])

    def step(play, opt, at):
        play.objective.D(play, x, y, z, at).loss.backward(inputs=[p for group in opt.param_groups for p in group["params"]])
        opt.step()
        opt.zero_grad()

    for j in range(begun):
        step(play, opt, j)
    kept = copy.deepcopy((D.state_dict(), objective.state_dict(), opt.state_dict()))

    def value():
        D_, objective_ = copy.deepcopy(D), copy.deepcopy(objective)
        opt_ = OPTIMIZERS[name]([*D_.parameters(), *objective_.parameters()])
        opt_.load_state_dict(copy.deepcopy(opt.state_dict()))
        ahead = play._replace(D=D_, objective=objective_)
        for j in range(3):
            step(ahead, opt_, begun + j)
        return objective_.G(ahead, x, y, z, 0).loss.item()

    terms = unrolled(play, opt, x, y, z, (begun, 0), 3)
    assert terms.loss.item() == pytest.approx(value(), rel=1e-12)
    gradients = torch.autograd.grad(terms.loss, list(G.parameters()))
    e = 1e-6
    for p, g in zip(G.parameters(), gradients, strict=True):
        for place in (0, p.numel() - 1):
            flat = p.data.view(-1)
            flat[place] += e
            up = value()
            flat[place] -= 2 * e
            down = value()
            flat[place] += e
            assert g.view(-1)[place].item() == pytest.approx((up - down) / (2 * e), rel=2e-5, abs=1e-8)
    assert all(p.grad is None for p in (*D.parameters(), *objective.parameters(), *G.parameters()))
    found = D.state_dict(), objective.state_dict(), opt.state_dict()
    assert str(found) == str(kept)


def test_unrolling_leaves_batchnorm_and_dead_weights_alone():
    torch.manual_seed(0)
    G, D = dcgan.Generator([1, 16, 16], 4, width=2).double(), dcgan.Discriminator([1, 16, 16], width=2).double()
    x, y, z = torch.randn(4, 1, 16, 16).double(), torch.zeros(4, dtype=torch.long), torch.randn(4, 4).double()
    play = Players(G, D, NonSaturating(), {}, Augment(), Adversarial())
    before = copy.deepcopy(D.state_dict())
    opt = torch.optim.Adam(D.parameters(), lr=0.01, betas=(0.5, 0.999))
    with torch.no_grad():
        next(D.parameters()).data[0] = 0.0
    before = copy.deepcopy(D.state_dict())
    terms = unrolled(play, opt, x, y, z, (0, 0), 2)
    gradients = torch.autograd.grad(terms.loss, list(G.parameters()))
    assert all(g.isfinite().all() for g in gradients)
    assert same_state(before, D.state_dict())
    assert not opt.state


def test_what_cannot_be_unrolled_is_refused_before_training(run):
    with pytest.raises(
        UserError, match="updates: unrolled goes through SGD and Adam without amsgrad, not RMSprop: try optim=adam"
    ):
        run("updates=unrolled", "optim=rmsprop")
    with pytest.raises(UserError, match="updates: steps must be >= 1, got 0"):
        run("updates=unrolled", "updates.steps=0")
    D = dcgan.Discriminator([1, 16, 16], width=2)
    play = Players(None, D, NonSaturating(), {"r1": R1(1.0), "clip": WeightClipping(1.0)}, Augment(), Adversarial())
    with pytest.raises(ValueError, match="unrolled takes the third derivative"):
        list(Unrolled(1).doubts(play))
