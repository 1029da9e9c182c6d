"""Terms of a player's loss beside the game itself. Their state is in their buffers. Here those of D's slope; regularisers.py
has those of what D and G say, constraints.py those of weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ganlab.errors import at_least_one
from ganlab.game.players import Look, Players
from ganlab.random import uniform


class Term(nn.Module):
    """Nothing: a term of zero. `of` says whose loss it is a part of, and so what it is shown: a `Look` (D) or a `GLook` (G).

    With `every` > 1 it is lazy: added at each every-th step of its player only, times `every`. `gradients` names the sides on
    which it wants D's gradient by its input, which then shares the pass of the loss. `bounds`: whether it holds D's slope;
    `separate`: whether it wants the slope at one example, on which other examples, as in BatchNorm, must have no say. `stacks`:
    whether an `after_step` of its own may be given the weights of many replicas at once, and nothing that they have seen.
    """

    of = "D"
    gradients: tuple[str, ...] = ()
    bounds = separate = stacks = False

    def __init__(self, every: int = 1) -> None:
        super().__init__()
        at_least_one(every=every)
        self.every = every

    def attach(self, net: nn.Module) -> None:
        """Called once with the player's net, before its optimizer is made."""

    def forward(self, seen: Any) -> Tensor:
        """A scalar, in at least float32."""
        return seen.on_fake.new_zeros(())

    def after_step(self, net: nn.Module, seen: Any) -> None:
        """Called after each step of the player, lazy or not: bring its net back into an allowed set, or follow an average."""

    def doubts(self, play: Players) -> Iterator[str]:
        """What speaks against the game that this term is a part of: a sentence each, said before training."""
        if self.separate and (name := batch_norm(play.D)):
            yield (
                f"D has BatchNorm ({name}), through which the slope at an example depends on the others; "
                "take +model.D.norm=layer or none where the family has it"
            )


def batch_norm(net: Any) -> str:
    """The name of the first layer that normalises by the minibatch; nothing if there is none."""
    layers = net.named_modules() if isinstance(net, nn.Module) else ()
    kind = nn.modules.batchnorm._BatchNorm
    return next((name for name, layer in layers if isinstance(layer, kind)), "")


class R1(Term):
    """Mescheder et al. (2018), equation 9: gamma/2 E ||grad_x D(x)||^2 on data.

    gamma is the paper's: code that leaves out the 1/2 calls our gamma=20 ten.
    """

    gradients: tuple[str, ...] = ("x",)

    def __init__(self, gamma: float, every: int = 1) -> None:
        super().__init__(every)
        self.gamma = not_negative("gamma", gamma)

    def forward(self, seen: Look) -> Tensor:
        return self.gamma / 2 * seen.gradient("x").square().sum(1).mean()


class R2(R1):
    """Mescheder et al. (2018), section 4.1: the same on samples. R1 and R2 are what R3GAN takes (Huang et al., 2024)."""

    gradients = ("fake",)

    def forward(self, seen: Look) -> Tensor:
        return self.gamma / 2 * seen.gradient("fake").square().sum(1).mean()


class GradientPenalty(Term):
    """Gulrajani et al. (2017), equation 3: weight * E (||grad_x D(x)||_2 - target)^2, x uniform on segments real - fake. With
    target 0 it is the zero-centred one of Thanh-Tung et al. (2019)."""

    bounds = separate = True

    def __init__(self, weight: float, target: float = 1.0, every: int = 1) -> None:
        super().__init__(every)
        self.weight, self.target = not_negative("weight", weight), not_negative("target", target)

    def forward(self, seen: Look) -> Tensor:
        gradient = seen.rows(seen.slope(self.points(seen)))
        return self.weight * self.excess(gradient.square().sum(1).add(1e-12).sqrt()).square().mean()

    def excess(self, norm: Tensor) -> Tensor:
        return norm - self.target

    def points(self, seen: Look) -> Tensor:
        """Where the slope is taken, [B, *S]."""
        return torch.lerp(seen.x, seen.fake.to(seen.x.dtype), _share(seen))


class OneSidedGradientPenalty(GradientPenalty):
    """Petzka et al. (2018), equation 8, WGAN-LP: a slope below the target costs nothing."""

    def excess(self, norm: Tensor) -> Tensor:
        return (norm - self.target).relu()


class Dragan(GradientPenalty):
    """Kodali et al. (2017), section 2.3 as their code has it: the slope around data, on segments from x to x + `size` standard
    deviations of the minibatch times U(0, 1)."""

    bounds = False

    def __init__(self, weight: float, size: float, target: float = 1.0, every: int = 1) -> None:
        super().__init__(weight, target, every)
        self.size = not_negative("size", size)

    def points(self, seen: Look) -> Tensor:
        x = seen.x
        return x + _share(seen) * self.size * x.std() * uniform(x.shape, like=x)


def _share(seen: Look) -> Tensor:
    """U(0, 1), one for each input of D, [B, 1, ...]."""
    x, inputs = seen.x, len(seen.on_x)
    share = uniform((inputs, *[1] * (x.dim() - 1)), like=x)
    return share.repeat_interleave(len(x) // inputs, 0) if inputs < len(x) else share  # an input is a pack


class WeightClipping(Term):
    """Arjovsky et al. (2017), algorithm 1: every weight of the net is kept within [-limit, limit]."""

    bounds = stacks = True

    def __init__(self, limit: float, every: int = 1, of: str = "D") -> None:
        super().__init__(every)
        if not limit > 0:
            raise ValueError(f"weight clipping needs limit > 0, got {limit}")
        self.limit, self.of = limit, of

    @torch.no_grad()
    def after_step(self, net: nn.Module, seen: Any) -> None:
        torch._foreach_clamp_min_(list(net.parameters()), -self.limit)
        torch._foreach_clamp_max_(list(net.parameters()), self.limit)


def not_negative(name: str, value: float) -> float:
    if not value >= 0:
        raise ValueError(f"{name} must be >= 0, got {value}")
    return value
