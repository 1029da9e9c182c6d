"""Terms of a player's loss beside the game itself: penalties, regularisers, constraints. Their state is in their buffers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ganlab.errors import at_least_one
from ganlab.game.players import Look
from ganlab.random import uniform


class Term(nn.Module):
    """Nothing: a term of zero. `of` says whose loss it is a part of, and so what it is shown: a `Look` (D) or a `GLook` (G).

    With `every` > 1 it is lazy: added at each every-th step of its player only, times `every`. `gradients` names the sides on
    which it wants D's gradient by its input, which then shares the pass of the loss.
    """

    of = "D"
    gradients: tuple[str, ...] = ()

    def __init__(self, every: int = 1) -> None:
        super().__init__()
        at_least_one(every=every)
        self.every = every

    def forward(self, seen: Any) -> Tensor:
        """A scalar, in at least float32."""
        return seen.on_fake.new_zeros(())

    def after_step(self, net: nn.Module, seen: Any) -> None:
        """Called after each step of the player, lazy or not: bring its net back into an allowed set, or follow an average."""


class R1(Term):
    """Mescheder et al. (2018), equation 9: gamma/2 E ||grad_x D(x)||^2 on data.

    gamma is the paper's: code that leaves out the 1/2 calls our gamma=20 ten.
    """

    gradients = ("x",)

    def __init__(self, gamma: float, every: int = 1) -> None:
        super().__init__(every)
        self.gamma = _not_negative("gamma", gamma)

    def forward(self, seen: Look) -> Tensor:
        return self.gamma / 2 * seen.gradient("x").square().sum(1).mean()


class GradientPenalty(Term):
    """Gulrajani et al. (2017), equation 3: weight * E (||grad_x D(x)||_2 - target)^2, x uniform on segments real - fake."""

    def __init__(self, weight: float, target: float = 1.0, every: int = 1) -> None:
        super().__init__(every)
        self.weight, self.target = _not_negative("weight", weight), target

    def forward(self, seen: Look) -> Tensor:
        x, inputs = seen.x, len(seen.on_x)
        share = uniform((inputs, *[1] * (x.dim() - 1)), like=x)  # one for each input of D
        if inputs < len(x):
            share = share.repeat_interleave(len(x) // inputs, 0)  # which is a pack
        gradient = seen.rows(seen.slope(torch.lerp(x, seen.fake.to(x.dtype), share)))
        return self.weight * (gradient.square().sum(1).add(1e-12).sqrt() - self.target).square().mean()


class WeightClipping(Term):
    """Arjovsky et al. (2017), algorithm 1: every weight of D is kept within [-limit, limit]."""

    def __init__(self, limit: float, every: int = 1) -> None:
        super().__init__(every)
        if not limit > 0:
            raise ValueError(f"weight clipping needs limit > 0, got {limit}")
        self.limit = limit

    @torch.no_grad()
    def after_step(self, net: nn.Module, seen: Any) -> None:
        torch._foreach_clamp_min_(list(net.parameters()), -self.limit)
        torch._foreach_clamp_max_(list(net.parameters()), self.limit)


def _not_negative(name: str, value: float) -> float:
    if not value >= 0:
        raise ValueError(f"{name} must be >= 0, got {value}")
    return value
