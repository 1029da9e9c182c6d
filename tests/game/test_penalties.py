import copy

import pytest
import torch
from conftest import points
from playing import look, players, value
from torch import nn
from torch.testing import assert_close

from ganlab.game.augment import Augment, InstanceNoise
from ganlab.game.terms import R1, GradientPenalty, Term, WeightClipping
from ganlab.networks import maxout
from ganlab.networks.dcgan import Discriminator
from ganlab.random import Recorded, handed

W = torch.tensor([3.0, 4.0], dtype=torch.float64)


def linear(x):
    return x @ W


def test_no_penalty_is_zero():
    assert value(Term(), linear, points(), points()).item() == 0


def test_r1_of_a_linear_critic_is_half_gamma_times_its_squared_weight():
    assert_close(value(R1(gamma=2.0), linear, points(), points(seed=1)), torch.tensor(25.0, dtype=torch.float64))


def test_r1_looks_at_data_only_and_follows_the_gradient_of_a_curved_critic():
    x = points()
    found = value(R1(gamma=3.0), lambda x: x.square().sum(1), x, points(seed=1))  # gradient 2 x
    assert_close(found, 3 / 2 * (4 * x.square().sum(1)).mean())


def test_gradient_penalty_of_a_linear_critic_is_its_distance_from_the_target():
    found = value(GradientPenalty(weight=10.0), linear, points(), points(seed=1))
    assert_close(found, torch.tensor(10.0 * (5 - 1) ** 2, dtype=torch.float64), rtol=1e-9, atol=0)
    found = value(GradientPenalty(weight=10.0, target=5.0), linear, points(), points(seed=1))
    assert found.item() == pytest.approx(0, abs=1e-18)


def test_gradient_penalty_is_taken_on_the_segments_between_real_and_fake_with_one_share_per_example():
    real, fake, seen = torch.zeros(500, 2, dtype=torch.float64), torch.ones(500, 2, dtype=torch.float64), []
    value(GradientPenalty(weight=1.0), lambda x: seen.append(x.detach()) or x.sum(1), real, fake)
    seen = seen[2:]  # after the passes of the loss
    assert_close(seen[0][:, 0], seen[0][:, 1])  # on the segment
    assert seen[0].min() >= 0
    assert seen[0].max() <= 1
    assert len(seen[0][:, 0].unique()) > 490


def test_the_term_trains_d_through_its_second_derivative():
    w = torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(value(R1(gamma=2.0), lambda x: x @ w, points(), points()), w)
    assert_close(gradient, 2 * w.detach())  # of |w|^2


def test_the_callers_tensors_are_left_alone():
    real, fake = points(), points(seed=1)
    for penalty in (R1(1.0), GradientPenalty(1.0)):
        value(penalty, linear, real, fake)
    assert not real.requires_grad
    assert not fake.requires_grad


def test_a_penalty_is_computed_in_fp32_under_bf16_and_with_batchnorm():
    D = Discriminator([1, 16, 16], width=4)
    x = torch.randn(8, 1, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert D(x, None).dtype == torch.bfloat16
        seen = look(lambda x: D(x, None), x.bfloat16(), x, R1(1.0))
        gradient = seen.gradient("x")
    assert gradient.dtype == seen.on_x.dtype == torch.float32
    gradient.sum().backward()
    assert all(p.grad is not None for p in D.parameters() if p.dim() > 1)


def passes(*terms):
    """How often D is run in one step."""
    count = []
    D = lambda x, y: count.append(1) or x.square().sum(1)  # noqa: E731
    play = players(lambda z, y: points(seed=1), D, terms={str(i): term for i, term in enumerate(terms)})
    seen = play.look(points(), torch.zeros(64, dtype=torch.long), points(), 0)
    for term in terms:
        term(seen)
    return len(count)


def test_terms_share_the_passes_of_the_loss_and_the_gradient():
    assert passes() == passes(R1(1.0)) == passes(R1(1.0), R1(2.0)) == 2
    assert passes(GradientPenalty(1.0)) == 3


def test_a_side_that_no_term_has_named_costs_a_pass_and_is_the_same():
    x, fake = points(), points(seed=1)
    D = lambda x: x.pow(3).sum(1)  # noqa: E731
    assert_close(look(D, x, fake).gradient("x"), 3 * x.square())
    assert_close(look(D, x, fake).gradient("fake"), 3 * fake.square())
    assert_close(look(D, x, fake, R1(1.0)).gradient("x"), 3 * x.square())


def test_a_lazy_term_has_the_weight_of_the_steps_that_it_stands_for():
    x, fake = points(), points(seed=1)
    play = players(lambda z, y: fake, lambda x, y: x @ W, terms={"r1": R1(2.0, every=4)})
    y = torch.zeros(64, dtype=torch.long)
    losses = [play.objective.D(play, x, y, fake, step) for step in range(8)]
    assert [step for step, terms in enumerate(losses) if terms.penalties] == [0, 4]
    assert_close(losses[4].penalties["r1"], torch.tensor(25.0, dtype=torch.float64))  # what it is, whatever it stands for
    gain = sum(terms.loss for terms in losses) - 8 * losses[1].loss
    assert_close(gain, torch.tensor(8 * 25.0, dtype=torch.float64))  # as of every step
    assert_close(losses[0].loss - losses[1].loss, torch.tensor(4 * 25.0, dtype=torch.float64))


def test_weight_clipping_projects_every_weight():
    net = nn.Linear(5, 5)
    before = [p.detach().clone() for p in net.parameters()]
    WeightClipping(limit=0.1).after_step(net, None)
    for old, new in zip(before, net.parameters(), strict=True):
        assert torch.equal(new, old.clamp(-0.1, 0.1))


@pytest.mark.parametrize(("penalty", "arguments"), [(R1, {"gamma": -1}), (WeightClipping, {"limit": 0})])
def test_values_out_of_range_are_refused_by_name(penalty, arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        penalty(**arguments)


# --- what R1 was when it had a pass of its own, up to commit f81876f


def gradients(play, D, shared, draws):
    """Of R1's part of D's loss by the weights of D, with the pass of the loss or with one of its own."""
    term, (x, y, z) = R1(1.0), (points(8), torch.zeros(8, dtype=torch.long), points(8, seed=1))
    play = play._replace(terms={"r1": term} if shared else {})
    with handed(Recorded(torch.Generator().manual_seed(draws))):
        value = term(play.look(x, y, z, 0))
    return torch.cat(
        [g.flatten() for g in torch.autograd.grad(value, list(D.parameters()), allow_unused=True) if g is not None]
    )


def critic(dropout):
    torch.manual_seed(0)
    return maxout.Discriminator([2], units=6, pieces=3, dropout=[dropout] * 3, irange=0.5).double()


def test_one_step_of_r1_on_a_shared_pass_is_that_of_its_own_to_rounding():
    D = critic(0.0)
    play = players(lambda z, y: z, D)
    assert_close(gradients(play, D, True, 0), gradients(play, D, False, 0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("dropout", "augment"), [(0.3, Augment()), (0.0, InstanceNoise(0.5))], ids=["dropout", "noise"])
def test_with_dropout_and_with_instance_noise_the_expectation_of_r1_is_the_same(dropout, augment):
    D = critic(dropout)
    play = players(lambda z, y: z, D, augment=augment)
    both = [torch.stack([gradients(play, D, shared, 1000 * shared + i) for i in range(400)]) for shared in (True, False)]
    assert not torch.equal(*both)  # other draws
    difference = both[0].mean(0) - both[1].mean(0)
    error = ((both[0].var(0) + both[1].var(0)) / 400).sqrt()
    seen = error > 1e-12
    assert seen.sum() > 10
    assert (difference[~seen].abs() < 1e-12).all()
    assert (difference[seen] / error[seen]).abs().max() < 4.5  # about 60 weights: p = 4e-4


def test_with_batchnorm_r1_is_the_same_and_running_statistics_move_once_less():
    D = Discriminator([1, 16, 16], width=4).double()
    x = torch.randn(8, 1, 16, 16, dtype=torch.float64)
    y = torch.zeros(8, dtype=torch.long)
    found = {}
    for shared in (True, False):
        net = copy.deepcopy(D)
        term = R1(1.0)
        play = players(lambda z, y: x.flip(0), net, terms={"r1": term} if shared else {})
        value = term(play.look(x, y, x, 0))
        norm = next(layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d))
        found[shared] = value.item(), int(norm.num_batches_tracked)
    assert found[True][0] == pytest.approx(found[False][0], rel=1e-12)
    assert (found[True][1], found[False][1]) == (2, 3)
