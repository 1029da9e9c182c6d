"""The smallest GAN (Mescheder et al., 2018, section 2): G is one number, D is linear."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Generator(nn.Module):
    """z [B, Z] -> theta [B, 1], whatever z is."""

    def __init__(self, shape: Sequence[int], theta: float) -> None:
        super().__init__()
        _on_the_line(shape)
        self.theta = nn.Parameter(torch.tensor(float(theta)))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.theta.expand(len(z), 1)


class Discriminator(nn.Module):
    """x [B, 1] -> logit psi x [B]."""

    def __init__(self, shape: Sequence[int], psi: float) -> None:
        super().__init__()
        _on_the_line(shape)
        self.psi = nn.Parameter(torch.tensor(float(psi)))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.psi * x[:, 0]


def _on_the_line(shape: Sequence[int]) -> None:
    if tuple(shape) != (1,):
        raise ValueError(f"dirac needs data on the line but shape is {list(shape)}: try model=mlp")
