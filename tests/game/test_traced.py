"""A function as its operations: what it gives, what it may depend on, and how that lies in memory."""

import math

import pytest
import torch
from torch.func import vmap

from ganlab.game.traced import Traced, traced_or_not


def test_what_it_gives_is_what_the_function_gives_which_is_not_called_again():
    calls = []

    def function(given, x):
        calls.append(1)
        y = torch.tanh(x @ given["w"] * 1 + given["b"])
        return {"sum": y.sum(), "all": [y, x]}, y.sort(dim=1).values

    traced = Traced(function, *tensors(0))
    for seed in (1, 2):
        (a, b), (c, d) = traced(*tensors(seed)), function(*tensors(seed))
        assert torch.equal(b, d)
        assert torch.equal(a["sum"], c["sum"])
        assert all(torch.equal(mine, its) for mine, its in zip(a["all"], c["all"], strict=True))
    assert len(calls) == 3


def tensors(seed):
    draw = torch.Generator().manual_seed(seed)
    w, b, x = (torch.randn(*shape, generator=draw) for shape in ((3, 4), (4,), (5, 3)))
    return {"w": w, "b": b}, x


def test_a_tensor_that_is_not_given_is_read_anew():
    number = torch.tensor(2.0)
    traced = Traced(lambda x: number / 2 * x, torch.ones(3))
    number.fill_(6.0)
    assert torch.equal(traced(torch.ones(3)), torch.full((3,), 3.0))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_gradients_lie_in_memory_as_weights_do(n):
    """Of a product that is taken n times: so many contributions, some of them transposed."""

    def function(w, x):
        y = vmap(lambda w, x: sum((torch.tanh(x @ w.T) @ w).square().mean() for _ in range(n)) + (w @ x.T).sum())(w, x)
        return [g.contiguous() for g in torch.autograd.grad(y.sum(), [w])]

    w, x = torch.randn(3, 4, 4, requires_grad=True), torch.randn(3, 6, 4)
    traced = Traced(function, w, x)
    (found,), (wanted,) = traced(w, x), function(w, x)
    assert found.stride() == wanted.stride() == w.stride()
    torch.testing.assert_close(found, wanted)
    assert not found.requires_grad


def test_what_is_written_to_in_place_is_left_as_it_is():
    def function(x):
        y = x * 1
        y.add_(1)
        return y.view(y.shape) * x

    traced, x = Traced(function, torch.ones(2)), torch.full((2,), 3.0)
    assert torch.equal(traced(x), torch.full((2,), 12.0))
    assert torch.equal(x, torch.full((2,), 3.0))


USES = [lambda t: t + 1, lambda t: 2.0 * t, lambda t: t % 2, lambda t: t > 3, lambda t: 0.5 if t else 1.0, lambda t: float(t),
        lambda t: min(t, 5), lambda t: torch.ones(()) * t, lambda t: len([1] * t), lambda t: {4: 0.1}[t], lambda t: -t,
        lambda t: torch.tensor(t), lambda t: math.exp(t)]  # fmt: skip


@pytest.mark.parametrize("use", USES)
def test_a_function_that_reads_the_number_of_its_step_is_not_traced(use):
    def function(step, x):
        return x * use(step)

    found = traced_or_not(function, 4, torch.ones(3))
    assert found is function
    assert torch.equal(traced_or_not(lambda step, x: 2 * x, 4, torch.ones(3))(5, torch.ones(3)), torch.full((3,), 2.0))


def test_what_is_wrong_with_a_function_is_told_when_it_is_called():
    function = traced_or_not(lambda step, x: x.unknown, 4, torch.ones(3))
    with pytest.raises(AttributeError, match="unknown"):
        function(5, torch.ones(3))
