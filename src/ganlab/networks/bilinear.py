"""The bilinear game in several dimensions (Daskalakis et al., 2018, section 4): G moves its noise, D is linear."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Generator(nn.Module):
    """z [B, Z] -> theta + spread z [B, *S], theta [d] at first `start`. With spread 0 it is the game of the means, without
    noise: E G(z) = theta for any z of mean 0."""

    def __init__(self, shape: Sequence[int], z_dim: int, start: Sequence[float], spread: float = 0.0) -> None:
        super().__init__()
        _fits(shape, start)
        if spread and z_dim != len(start):
            raise ValueError(f"theta + spread z needs prior.dim={len(start)}, got {z_dim}")
        self.spread, self.theta = spread, nn.Parameter(torch.tensor([float(each) for each in start]))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        moved = self.theta.expand(len(z), -1)
        return moved + self.spread * z if self.spread else moved


class Discriminator(nn.Module):
    """x [B, d] -> <w, x> [B], w [d] at first `start`."""

    def __init__(self, shape: Sequence[int], start: Sequence[float]) -> None:
        super().__init__()
        _fits(shape, start)
        self.w = nn.Parameter(torch.tensor([float(each) for each in start]))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x @ self.w


def _fits(shape: Sequence[int], start: Sequence[float]) -> None:
    if tuple(shape) != (len(start),):
        raise ValueError(f"start has {len(start)} coordinates but shape is {list(shape)}: give one for each")
