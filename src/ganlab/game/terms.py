"""Constraints on D: a term of its loss, or a projection of its weights after each step. The base class is the neutral one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Penalty:
    """No constraint: a term of zero, and no projection."""

    def __call__(self, D: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
        """The term of D's loss, a scalar. D maps x [B, *S] to logits [B]; real and fake are [B, *S]."""
        return real.new_zeros(())

    def project(self, D: nn.Module) -> None:
        """Bring D back into its allowed set; called after each of its steps."""


class R1(Penalty):
    """Mescheder et al. (2018), equation 9: gamma/2 E ||grad_x D(x)||^2 on data.

    gamma is the paper's: code that leaves out the 1/2 calls our gamma=20 ten.
    """

    def __init__(self, gamma: float) -> None:
        self.gamma = _not_negative("gamma", gamma)

    def __call__(self, D: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
        return self.gamma / 2 * input_gradient(D, real).square().sum(1).mean()


class GradientPenalty(Penalty):
    """Gulrajani et al. (2017), equation 3: weight * E (||grad_x D(x)||_2 - target)^2, x uniform on segments real - fake."""

    def __init__(self, weight: float, target: float = 1.0) -> None:
        self.weight, self.target = _not_negative("weight", weight), target

    def __call__(self, D: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
        share = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device, dtype=real.dtype)  # one per example
        norm = input_gradient(D, torch.lerp(real, fake.to(real.dtype), share)).square().sum(1).add(1e-12).sqrt()  # [B]
        return self.weight * (norm - self.target).square().mean()


class WeightClipping(Penalty):
    """Arjovsky et al. (2017), algorithm 1: every weight of D is kept within [-limit, limit]."""

    def __init__(self, limit: float) -> None:
        if not limit > 0:
            raise ValueError(f"weight clipping needs limit > 0, got {limit}")
        self.limit = limit

    @torch.no_grad()
    def project(self, D: nn.Module) -> None:
        torch._foreach_clamp_min_(list(D.parameters()), -self.limit)
        torch._foreach_clamp_max_(list(D.parameters()), self.limit)


def input_gradient(D: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """grad_x D(x) [B, prod S], differentiable in D's weights; in fp32 outside autocast, since it is differentiated twice."""
    with torch.autocast(x.device.type, enabled=False):
        x = x.detach().to(torch.promote_types(x.dtype, torch.float32)).requires_grad_(True)  # a leaf of our own
        (gradient,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
    return gradient.flatten(1)


def _not_negative(name: str, value: float) -> float:
    if not value >= 0:
        raise ValueError(f"{name} must be >= 0, got {value}")
    return value
