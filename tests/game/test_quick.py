"""The direct call of the fused kernel is torch's own Adam, bit for bit."""

import copy

import pytest
import torch
from torch import nn

from ganlab.game.quick import forget, quicken

CHOICES = [(torch.optim.Adam, {}), (torch.optim.Adam, {"weight_decay": 0.1, "eps": 1e-6}),
           (torch.optim.AdamW, {"weight_decay": 0.1}), (torch.optim.AdamW, {})]  # fmt: skip


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))


def made(kind, net, **more):
    first, second = net[0].parameters(), net[2].parameters()
    return kind([{"params": [*first]}, {"params": [*second], "lr": 3e-3}], lr=1e-2, betas=(0.5, 0.9), fused=True, **more)


@pytest.mark.parametrize(("kind", "more"), CHOICES)
def test_steps_and_state_have_the_same_bits(kind, more):
    plain, quick = net(), net()
    one, other = made(kind, plain, **more), made(kind, quick, **more)
    quicken(other)
    assert type(other.step).__name__ == "_Direct"
    x = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
    for t in range(12):
        for game, optimizer in ((plain, one), (quick, other)):
            optimizer.param_groups[0]["lr"] = 1e-2 / (1 + t)
            game[2].bias.requires_grad_(t % 3 != 1)  # a weight without a gradient is left alone
            game(x).square().sum().backward()
            optimizer.step()
            forget(list(game.parameters()))
        if t == 6:  # a checkpoint is loaded
            other.load_state_dict(copy.deepcopy(one.state_dict()))
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), quick.parameters(), strict=True))
    a, b = one.state_dict(), other.state_dict()
    assert a["param_groups"] == b["param_groups"]
    for key, state in a["state"].items():
        assert all(torch.equal(value, b["state"][key][name]) for name, value in state.items())
    assert all(p.grad is None for p in quick.parameters())


@pytest.mark.parametrize("choice", [{"amsgrad": True}, {"maximize": True}, {"fused": False}])
def test_what_the_direct_call_does_not_know_keeps_its_own_step(choice):
    optimizer = torch.optim.Adam(net().parameters(), **{"fused": True, **choice})
    quicken(optimizer)
    assert "step" not in vars(optimizer)
    other = torch.optim.SGD(net().parameters(), lr=0.1)
    quicken(other)
    assert "step" not in vars(other)


def test_hooks_of_an_optimizer_are_called():
    game, seen = net(), []
    optimizer = made(torch.optim.Adam, game)
    quicken(optimizer)
    optimizer.register_step_post_hook(lambda *_: seen.append(1))
    for _ in range(3):
        game(torch.ones(1, 3)).sum().backward()
        optimizer.step()
    assert len(seen) == 3
