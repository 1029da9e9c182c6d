"""What is done to everything that D sees, data and samples alike; gradients flow through it. The base class is the neutral
one; state, as of an adaptive one, is in buffers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ganlab.game.players import Look
from ganlab.random import normal


class Augment(nn.Module):
    """D sees x itself."""

    neutral = True  # whether the laws of what D sees are those of data and samples
    images = False  # whether it is one of images [C, H, W] alone

    def forward(self, x: Tensor) -> Tensor:
        """x [B, *S] -> [B, *S], differentiable; draws by `ganlab.random`."""
        return x

    def after_step(self, seen: Look) -> None:
        """Called after each step of D, with what that has computed."""

    def readings(self) -> dict[str, Tensor]:
        """Scalars to be logged as `train/NAME`: its state, where it has one."""
        return {}


class InstanceNoise(Augment):
    """x + std * N(0, I), anew at each look (Sonderby et al., 2017; Arjovsky and Bottou, 2017): both laws then have densities
    everywhere, and D has one best answer."""

    neutral = False
    fades = ("std",)

    def __init__(self, std: float) -> None:
        super().__init__()
        if not std > 0:
            raise ValueError(f"instance noise needs std > 0, got {std}")
        self.std = std

    def forward(self, x: Tensor) -> Tensor:
        return x + self.std * normal(x.shape, like=x)


class Chain(Augment):
    """Several, one after the other, by their names."""

    def __init__(self, parts: Mapping[str, Any]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        self.neutral = all(part.neutral for part in parts.values())
        self.images = any(part.images for part in parts.values())

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts.values():
            x = part(x)
        return x

    def after_step(self, seen: Look) -> None:
        for part in self.parts.values():
            part.after_step(seen)  # type: ignore[operator]

    def readings(self) -> dict[str, Tensor]:
        return {name: value for part in self.parts.values() for name, value in part.readings().items()}  # type: ignore[operator]
