"""An iteration as one graph, and compiled, is the iteration as it is written."""

import copy

import pytest
import torch
from conftest import NO_COMPILER
from test_replicas import CASES, B, Data, Rising, adam, game, state
from torch import nn
from torch.testing import assert_close

from ganlab.game import losses
from ganlab.game.augment import Augment
from ganlab.game.averages import Decay
from ganlab.game.compiled import AsWritten, Inductor, InOneGraph
from ganlab.game.graphs import Graph
from ganlab.game.numbers import InOptimizer, Numbers
from ganlab.game.regularisers import LeCam
from ganlab.game.terms import R1, GradientPenalty, Term
from ganlab.game.updates import Simultaneous

CPU = torch.device("cpu")


def played(gan, until, way=None, dtype=torch.float64, last=True):
    if way is not None:
        gan.way = way
        gan.begin(torch.autograd.backward, ())
    data = Data(dtype)
    for t in range(gan.t, until):
        gan.now.looked_at = last and t + 1 == until
        gan.prepare(t)
        gan.iterate(data.minibatches(t, gan.k, B, gan.seed, slice(None)))
        gan.now.t += 1
    return gan


def same(one, other, rtol):
    """Everything that a checkpoint or somebody who looks has of them, relative to the largest number of each."""
    assert state(one).keys() == state(other).keys()
    for name, value in state(other).items():
        scale = value.abs().max() if value.is_floating_point() else 0
        assert_close(state(one)[name], value, rtol=rtol, atol=float(rtol * scale), msg=lambda m: f"{name}: {m}")  # noqa: B023
    for terms in ("D_terms", "G_terms"):
        mine, its = getattr(one.now, terms), getattr(other.now, terms)
        assert_close(mine.loss, its.loss.detach(), rtol=1e3 * rtol, atol=1e3 * rtol)
        assert_close(mine.seen.on_fake, its.seen.on_fake.detach(), rtol=1e3 * rtol, atol=1e3 * rtol)
    for mine, its in ((one.now.penalties, other.now.penalties), (one.now.gradient_norms, other.now.gradient_norms)):
        assert mine.keys() == its.keys()
        for name in its:
            assert_close(mine[name], its[name], rtol=1e3 * rtol, atol=1e3 * rtol)


def decayed(weights, kind=torch.optim.AdamW):
    return kind(weights, lr=1e-2, betas=(0.0, 0.9), weight_decay=0.1, fused=True)


GRAPHS = {name: CASES[name] for name in (
    "plain", "hinge, R1 and k = 2", "lazy R1, an average, a schedule", "Wasserstein with its gradient penalty",
    "hinge, spectral norm, R1 at every second step", "numbers that move", "extragradient, noise, centring",
)} | {
    "simultaneous, AdamW": {"updates": Simultaneous(), "optim": decayed},
    "lecam, Adam with decay": {"terms": {"lecam": LeCam(0.1, 0.9).double()}, "optim": lambda w: decayed(w, torch.optim.Adam)},
    "BatchNorm": {"norm": "batch"},
}  # fmt: skip


@pytest.mark.parametrize("case", GRAPHS.values(), ids=GRAPHS)
def test_one_graph_comes_to_what_is_written_to_the_last_digits_of_float64(case):
    written, graphs = played(game(0, **case), 12), played(game(0, **case), 12, InOneGraph())
    assert not graphs.iterate.refused
    assert all(isinstance(body, Graph) for body in graphs.iterate._next.values())
    same(graphs, written, 1e-12)


def test_what_it_was_stopped_at_goes_on_in_either_way():
    case = CASES["lazy R1, an average, a schedule"]
    whole, one = played(game(0, **case), 24), played(game(0, **case), 12, InOneGraph())
    for way in (AsWritten(), InOneGraph()):
        again = game(0, **case)
        again.load_state_dict(copy.deepcopy(one.state_dict()))
        for mine, its in ((again.opt_G, one.opt_G), (again.opt_D, one.opt_D)):
            mine.load_state_dict(copy.deepcopy(its.state_dict()))
        again.now.t, again.now.penalties = one.t, dict(one.now.penalties)
        same(played(again, 24, way), whole, 1e-12)


class Host(Term):
    """Asks for a number of the device."""

    def forward(self, seen):
        return 0.1 * seen.on_x.square().mean() * (1.0 if seen.on_fake.mean().item() > 0 else 2.0)


class Counting(Term):
    """Has a number that no tensor holds."""

    n = 0.0

    def forward(self, seen):
        self.n += 1.0
        return self.n * seen.on_x.square().mean()


class Picky(Term):
    """Takes a step as nothing but an int."""

    def forward(self, seen):
        if not isinstance(seen.step, int):
            raise TypeError("no int")
        return 0.1 * seen.on_x.square().mean()


class Dropping(Augment):
    """torch's own dropout."""

    def forward(self, x):
        return nn.functional.dropout(x, 0.5)


REASONS = {
    "asks for the number of the step": {"terms": {"rising": Rising()}},
    "keeps its state in tensors that are new": CASES["relativistic, optimistic"],
    "draws from torch's own generators": {"augment": Dropping()},
    "asks for a value on the host": {"terms": {"host": Host()}},
    "does not come to what it comes to as it is written": {"terms": {"counting": Counting()}},
    "TypeError: no int": {"terms": {"picky": Picky()}},
}


@pytest.mark.parametrize(("why", "case"), REASONS.items(), ids=REASONS)
def test_what_has_no_graph_goes_on_as_it_is_written_and_says_why(why, case, caplog):
    with caplog.at_level("WARNING"):
        graphs = played(game(0, **case), 8, InOneGraph())
    assert why in graphs.iterate.refused
    assert [record.message for record in caplog.records] == [
        f"compile: {graphs.iterate.refused}; it goes on as with compile=none"
    ]
    if "counting" not in case.get("terms", {}):  # which has been counted once more, in looking
        same(graphs, played(game(0, **case), 8), 1e-12)


def test_what_the_compiler_fails_at_is_told_and_left(caplog):
    class Failing(InOneGraph):
        def made(self, module, given):
            raise RuntimeError("cc1plus: out of memory\nand more")

    graphs = played(game(0), 6, Failing())
    assert graphs.iterate.refused == "RuntimeError: cc1plus: out of memory"
    same(graphs, played(game(0), 6), 1e-12)


@pytest.mark.parametrize(
    ("given", "place", "why"),
    [
        ({"optim": lambda w: torch.optim.SGD(w, lr=0.1)}, {}, "only Adam and AdamW .* optim.G is SGD: use optim=adam"),
        ({"optim": lambda w: torch.optim.Adam(w, amsgrad=True)}, {}, "optim.G is Adam, with one of them"),
        ({}, {"device": torch.device("cuda")}, "it is of a CPU, and this run is on cuda"),
        ({}, {"processes": 2}, "it is of one process, and these are 2"),
        ({}, {"precision": "bf16-mixed"}, "precision = bf16-mixed casts"),
    ],
)
def test_where_it_cannot_be_compiled_is_refused(given, place, why):
    where = {"device": CPU, "processes": 1, "precision": "32-true"} | place
    with pytest.raises(ValueError, match=why):
        InOneGraph().fits(game(0, **given), **where)
    AsWritten().fits(game(0, **given), **where)
    InOneGraph().fits(game(0), CPU, 1, "32-true")


def test_a_beta_that_moves_is_refused():
    gan = game(0)
    gan.numbers = Numbers({"optim.D.beta2": (InOptimizer(gan.opt_D, "beta2"), lambda t: 0.9)})
    with pytest.raises(ValueError, match=r"schedule.numbers.optim.D.beta2 is a part of what is compiled"):
        InOneGraph().fits(gan, CPU, 1, "32-true")


def test_without_a_compiler_it_is_refused():
    from torch._inductor import config

    refused = pytest.raises(ValueError, match=r"inductor needs a C\+\+ compiler, and there is no g\+\+")
    with config.patch({"cpp.cxx": ("no-such-compiler",)}), refused:  # monkeypatch would leave it without one afterwards
        Inductor().fits(game(0), CPU, 1, "32-true")


@pytest.mark.long
@pytest.mark.skipif(NO_COMPILER, reason="needs a C++ compiler")
@pytest.mark.parametrize("case", {
    "non-saturating": {},
    "hinge, R1, k = 2": {"loss": losses.Hinge(), "terms": {"r1": R1(0.1)}, "k": 2},
    "Wasserstein, gradient penalty, an average": {
        "loss": losses.Wasserstein(), "terms": {"gp": GradientPenalty(1.0)}, "average": Decay(0.9, 10),
    },
}.items(), ids=lambda case: case[0])  # fmt: skip
def test_compiled_it_comes_to_the_same_after_100_iterations(case):
    for dtype, rtol in ((torch.float64, 1e-9), (torch.float32, 1e-6)):
        made = dict(case[1], dtype=dtype, optim=adam(1e-3))
        written, compiled = played(game(0, **made), 100, dtype=dtype), played(game(0, **made), 100, Inductor(), dtype)
        assert not compiled.iterate.refused
        same(compiled, written, rtol)
