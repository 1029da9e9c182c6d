"""What is done to everything that D sees, data and samples alike; gradients flow through it. The base class is the neutral
one."""

from __future__ import annotations

import torch
from torch import Tensor


class Augment:
    """D sees x itself."""

    def __call__(self, x: Tensor) -> Tensor:
        """x [B, *S] -> [B, *S], differentiable; draws from torch's default generator."""
        return x


class InstanceNoise(Augment):
    """x + std * N(0, I), anew at each look (Sonderby et al., 2017; Arjovsky and Bottou, 2017): both laws then have densities
    everywhere, and D has one best answer."""

    def __init__(self, std: float) -> None:
        if not std > 0:
            raise ValueError(f"instance noise needs std > 0, got {std}")
        self.std = std

    def __call__(self, x: Tensor) -> Tensor:
        return x + self.std * torch.randn_like(x)
