"""DCGAN (Radford et al., 2016): strided convolutions and BatchNorm, for images of 16 to 128 pixels a side.

The paper's nets are for 64 x 64. Here the number of stages follows from the size: the coarsest map is 4 to 7 pixels a side,
each stage doubles it, and what a size that is no multiple of two has too much is cropped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganlab.errors import at_least_one
from ganlab.networks import layers
from ganlab.networks.images import halvings, image
from ganlab.networks.norms import Norm, chosen
from ganlab.networks.told import Told


class Generator(nn.Module):
    """z [B, Z] -> x [B, C, H, W] in [-1, 1]; `width` channels before the last stage, twice as many in each one above.
    `channels_last`: weights and maps lie pixel by pixel, which rounds otherwise and is faster on a CPU."""

    def __init__(
        self,
        shape: Sequence[int],
        z_dim: int,
        width: int,
        told: Told | None = None,
        norm: str | Norm = "batch",
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        at_least_one(width=width)
        told, norm = told or Told(), chosen(norm)
        channels, *size = image("dcgan", shape)
        n = halvings(size)
        base = [math.ceil(side / 2**n) for side in size]
        widths = [width * 2**i for i in reversed(range(n))]
        normed = norm(widths[0], 2)
        self.project = layers.Telling(
            nn.Linear(z_dim + told.size, widths[0] * math.prod(base), bias=not normed),
            nn.Unflatten(1, (widths[0], *base)),
            *normed,
            nn.ReLU(),
        )
        up: list[nn.Module] = []
        for a, b in pairwise(widths):
            normed = norm(b, 2)
            up += [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=not normed), *normed, nn.ReLU()]
        self.up = layers.Telling(*up, nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1), nn.Tanh())
        self.size, self.told = size, told
        self.apply(_initialise)
        if channels_last:
            self.to(memory_format=torch.channels_last)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        x = self.up(self.project(self.told(z, y), y), y)
        return x[..., : self.size[0], : self.size[1]]


class Discriminator(layers.Discriminator):
    """x [B, C, H, W] -> logit [B]; `width` channels after the first stage, twice as many after each one below. `norm` is after
    all stages but the first. `channels_last` as in G."""

    def __init__(
        self,
        shape: Sequence[int],
        width: int,
        norm: str | Norm = "batch",
        head: layers.Head = layers.LinearHead,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        at_least_one(width=width)
        norm = chosen(norm)
        channels, *size = image("dcgan", shape)
        n = halvings(size)
        widths = [width * 2**i for i in range(n)]
        down: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for a, b in pairwise(widths):
            normed = norm(b, 2)
            down += [nn.Conv2d(a, b, 4, 2, 1, bias=not normed), *normed, nn.LeakyReLU(0.2)]
        features = widths[-1] * math.prod(side // 2**n for side in size)
        self.trunk, self.head = nn.Sequential(*down, nn.Flatten()), head(features)
        self.apply(_initialise)
        if channels_last:
            self.to(memory_format=torch.channels_last)


def _initialise(layer: nn.Module) -> None:
    """Weights N(0, 0.02^2), BatchNorm scales N(1, 0.02^2), biases 0 (Radford et al., 2016, section 4)."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d) and layer.affine:
        nn.init.normal_(layer.weight, 1.0, 0.02)
    else:
        return
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
