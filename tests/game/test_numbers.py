"""Numbers that move over a run: the schedules, where they write, and what is refused."""

import math

import pytest
import test_contract as contract
import torch
from conftest import ROOT, composed, same_state
from torch.testing import assert_close

from ganlab.errors import UserError
from ganlab.files.table import read
from ganlab.game.augment import InstanceNoise
from ganlab.game.losses import LeastSquares
from ganlab.game.numbers import InOptimizer, InPart, Numbers, slots_of, slots_of_optimizer
from ganlab.game.schedules import HalfCosine, Linear, Steps
from ganlab.game.terms import R1
from ganlab.random import Recorded, handed
from ganlab.run.build import game_of
from ganlab.run.config import resolve, validate

SMALL = ("model.G.width=8", "model.D.width=8", "metrics=none", "theory=none", "batch_size=16")
LINE = "{_target_: ganlab.game.schedules.Linear, start: 2.0, end: 0.0, iterations: 8}"
STEPS = "{_target_: ganlab.game.schedules.Steps, values: [1, -1, 1], at: [900, 950]}"
GAMMA = f"+schedule.numbers.penalty.r1.gamma={LINE}"


def game(*choices):
    return game_of(validate(resolve(composed(*SMALL, *choices, path=ROOT))))


def test_schedules_begin_and_end_where_they_say_and_go_as_they_say():
    line, cosine = Linear(3.0, 1.0, iterations=10, after=5), HalfCosine(3.0, 1.0, iterations=10, after=5)
    for t in (0, 5):
        assert line(t) == cosine(t) == 3.0
    for t in (15, 16, 10**6):
        assert line(t) == cosine(t) == 1.0
    for t in range(5, 16):
        share = (t - 5) / 10
        assert line(t) == pytest.approx(3 - 2 * share, abs=1e-15)
        assert cosine(t) == pytest.approx(2 + math.cos(math.pi * share), abs=1e-15)
    steps = Steps([1.0, 0.5, 0.1], at=[10, 20])
    assert [steps(t) for t in (0, 9, 10, 19, 20, 99)] == [1.0, 1.0, 0.5, 0.5, 0.1, 0.1]
    for make in (lambda: Linear(1, 0, 0), lambda: Linear(1, 0, 5, after=-1), lambda: Steps([1.0], [3]),
                 lambda: Steps([1.0, 2.0, 3.0], [5, 5])):  # fmt: skip
        with pytest.raises(ValueError, match=r"iterations|after|ascending"):
            make()


def test_a_number_is_written_where_the_part_reads_it_and_is_no_state():
    noise, loss, term = InstanceNoise(0.5), LeastSquares(), R1(4.0)
    found = {key: slot for part in (noise, loss, term) for key, slot in slots_of(part)}
    assert found.keys() == {"std", "a", "b", "c", "gamma"}  # `every` is an int, which the host knows
    moved = Numbers({key: (found[key], Linear(1.0, 0.0, 4)) for key in ("std", "b", "gamma")})
    place = term.gamma
    moved.write(3)
    assert moved.at == {"std": 0.25, "b": 0.25, "gamma": 0.25}
    assert place is term.gamma  # filled in place
    assert all(isinstance(value, torch.Tensor) and value.shape == () for value in (noise.std, loss.b, term.gamma))
    assert not noise.state_dict()
    assert not term.state_dict()
    assert_close(loss.d(torch.zeros(3), torch.zeros(3)), torch.tensor(0.5 * 0.25**2))
    x = torch.zeros(4000, 1).double()
    assert noise(x).std().item() == pytest.approx(0.25, rel=0.05)
    assert noise(x).dtype == torch.float64


def test_a_term_with_a_moving_weight_has_the_bits_of_one_with_that_weight():
    from playing import value

    x = torch.randn(8, 2)
    w = torch.randn(2)
    term = R1(9.0)
    moved = Numbers({"gamma": (dict(slots_of(term))["gamma"], Linear(0.3, 0.0, 10))})
    for t in (0, 3, 10):
        moved.write(t)
        plain = R1(Linear(0.3, 0.0, 10)(t))
        assert torch.equal(value(term, lambda x: (x @ w).square(), x, x), value(plain, lambda x: (x @ w).square(), x, x))


def test_numbers_of_optimizers_are_plain_ones_and_betas_are_two():
    w = torch.zeros(1, requires_grad=True)
    adam = torch.optim.Adam([w], lr=0.1, betas=(0.5, 0.9), fused=True)
    names = {name for name, _ in slots_of_optimizer(adam)}
    assert {"beta1", "beta2", "weight_decay", "eps"} <= names
    assert not names & {"lr", "fused", "maximize"}
    InOptimizer(adam, "beta2").write(0.99)
    InOptimizer(adam, "weight_decay").write(0.1)
    assert adam.param_groups[0]["betas"] == (0.5, 0.99)
    assert adam.param_groups[0]["weight_decay"] == 0.1
    assert {name for name, _ in slots_of_optimizer(torch.optim.SGD([w], lr=1.0))} == {"momentum", "dampening", "weight_decay"}


def test_any_number_of_a_game_moves_by_its_key_and_is_logged(run):
    beta = "+schedule.numbers.optim.D.beta2={_target_: ganlab.game.schedules.HalfCosine, start: 0.9, end: 0.99, iterations: 8}"
    given = (*SMALL, "penalty=r1", "augment=instance_noise_decay", "loss=least_squares", GAMMA, beta, "log_every=1",
             f"+schedule.numbers.loss.c={LINE}", "checkpoint.every=4")  # fmt: skip
    whole = run(*given, "iterations=8", name="whole")
    rows = read(whole.table_file)
    for t, row in enumerate(rows):
        assert row["train/penalty.r1.gamma"] == row["train/loss.c"] == pytest.approx(2 - t / 4)
        assert row["train/augment.std"] == pytest.approx(0.1 * (1 - t / 8))
        assert row["train/optim.D.beta2"] == pytest.approx(HalfCosine(0.9, 0.99, 8)(t))
    state = torch.load(whole.newest_checkpoint(), weights_only=True)
    assert not [name for name in state["state_dict"] if name.split(".")[0] in ("terms", "augment")]
    assert [o["param_groups"][0]["betas"][1] for o in state["optimizer_states"]] == pytest.approx(
        [0.999, HalfCosine(0.9, 0.99, 8)(7)]
    )
    (whole.checkpoints / "step-000000008.ckpt").unlink()  # as if it had been killed
    again = run(*given, "iterations=8", f"resume={whole.path}", name="whole")
    assert same_state(state["state_dict"], torch.load(again.newest_checkpoint(), weights_only=True)["state_dict"])


def test_what_cannot_move_is_refused_with_what_can():
    wrong = {
        f"+schedule.numbers.penalty.r1.every={LINE}": "there is no such number; what can move is penalty.r1.gamma",
        f"+schedule.numbers.optim.D.lr={LINE}": "what can move is optim.D.eps, optim.D.weight_decay, optim.D.beta1",
        f"+schedule.numbers.augment.std={LINE}": "what can move is penalty.r1.gamma, updates.gamma, average.decay, ",
        "+schedule.numbers.penalty.r1.gamma=3": "schedule.numbers.penalty.r1.gamma = 3 is no schedule: give a mapping",
        GAMMA.replace("start: 2.0", "start: -2.0"): "at iteration 0 is -2: penalty.r1.gamma: gamma must be >= 0, got -2.0",
        GAMMA.replace("end: 0.0", "end: 0.0, afterr: 2"): "unknown key schedule.numbers.penalty.r1.gamma.afterr",
        GAMMA.replace(
            "0.0, iterations: 8", "-1.0, iterations: 4000"
        ): "at iteration 4000 is -1: penalty.r1.gamma: gamma must be",
        GAMMA.replace(LINE, STEPS): "at iteration 900 is -1: penalty.r1.gamma: gamma must be >= 0",
        f"+schedule.numbers.average.decay={LINE}": "at iteration 0 is 2: average: an average needs 0 <= decay < 1",
        f"+schedule.numbers.optim.D.beta2={LINE}": "optim.D.beta2, which at iteration 0 is 2: optim.D.beta2: Invalid beta",
    }
    for given, told in wrong.items():
        with pytest.raises(UserError) as caught:
            game("penalty=r1", "updates=consensus", given)
        assert told in str(caught.value)
        assert len(str(caught.value)) <= 200


def test_what_fades_may_be_gone_before_the_end():
    early = "{_target_: ganlab.game.schedules.Linear, start: 1.0, end: 0.0, iterations: 8}"
    keys = ("augment.std", "updates.gamma")
    gan = game("augment=instance_noise", "updates=consensus", *(f"+schedule.numbers.{key}={early}" for key in keys))
    gan.numbers.write(100)
    assert gan.numbers.at == dict.fromkeys(keys, 0.0)
    assert torch.equal(gan.augment(torch.ones(5, 2)), torch.ones(5, 2))
    with pytest.raises(UserError, match=r"top_k\.share, which at iteration 8 is 0"):
        game("adjust=top_k", f"+schedule.numbers.adjust.top_k.share={early}")


def test_numbers_of_parts_within_parts_have_longer_keys():
    class Share:
        def __init__(self, loss, share: float) -> None:
            self.loss, self.share = loss, share

    wrapped = Share(LeastSquares(), 0.5)
    slots = dict(slots_of(wrapped))
    assert slots.keys() == {"loss.a", "loss.b", "loss.c", "share"}
    assert slots["loss.b"] == InPart(wrapped.loss, "b")


MANY = [pytest.param(group, marks=pytest.mark.slow) for group in ("loss", "penalty")]


@pytest.mark.parametrize("group", [*MANY, "adjust", "augment"])
def test_every_number_that_conf_has_may_be_a_tensor(group):
    """As one that moves is: the losses of both players stay what they are, and what comes after a step goes through."""
    for name in contract.names(group):
        on = contract.IMAGES if name in contract.OF_IMAGES else contract.POINTS
        plain, moving = (contract.game(*on, f"{group}={name}", *contract.NARROW["mlp"]) for _ in range(2))
        found = [slot for part in (moving.loss, *moving.terms.values(), moving.augment) for _, slot in slots_of(part)]
        for slot in found:
            slot.open()
        for player in "DG":  # first, since a term may change its player after a step
            assert_close(contract.descended(moving, player), contract.descended(plain, player), rtol=1e-6, atol=1e-7)
        for player in "DG":
            with handed(Recorded(torch.Generator().manual_seed(1))):
                seen = getattr(moving.objective, player)(moving.players, *contract.minibatch(moving), 0).seen
            for term in (term for term in moving.terms.values() if term.of == player):
                term.after_step(getattr(moving, player), seen)
    assert found or group in ("loss", "adjust", "augment")


def test_the_share_of_a_top_k_loss_moves_by_the_key_of_its_adjustment():
    steps = "{_target_: ganlab.game.schedules.Steps, values: [1.0, 0.25], at: [5]}"
    gan = game("adjust=top_k", f"+schedule.numbers.adjust.top_k.share={steps}")
    fake = torch.tensor([1.0, -2.0, 3.0, -4.0])
    for t, kept in ((0, fake), (4, fake), (5, torch.tensor([3.0]))):
        gan.numbers.write(t)
        assert_close(gan.loss.g(fake, lambda: fake), torch.nn.functional.softplus(-kept).mean())
    assert gan.numbers.at == {"adjust.top_k.share": 0.25}
    with pytest.raises(UserError, match=r"top_k\.share, which at iteration 0 is 2: adjust\.top_k\.share: share must lie"):
        game("adjust=top_k", f"+schedule.numbers.adjust.top_k.share={LINE}")


@pytest.mark.parametrize(("name", "key", "more"), [
    ("ac_gan", "of_G", ["data=ring", "condition=concat"]), ("infogan", "weight", ["data=ring"]),
])  # fmt: skip
def test_the_numbers_of_an_objective_are_checked_as_those_of_others(name, key, more):
    given = [f"objective={name}", *more]
    falls = "{_target_: ganlab.game.schedules.Linear, start: 1.0, end: -1.0, iterations: 1000}"
    with pytest.raises(UserError, match=rf"at iteration 1000 is -1: objective\.{key}: {key} must be >= 0, got -1"):
        game(*given, f"+schedule.numbers.objective.{key}={falls}")
    gan = game(*given, f"+schedule.numbers.objective.{key}={falls.replace('-1.0', '0.5')}")
    gan.numbers.write(1000)
    assert gan.numbers.at == {f"objective.{key}": 0.5}
    assert getattr(gan.objective, key) == 0.5
