"""R3GAN (Huang et al., 2024) after its authors' code: residual blocks of 1 x 1, grouped 3 x 3 and 1 x 1 convolutions without
normalisation, whose last weights start at zero (fix-up), doubled and halved by a low-pass filter.

A base of numbers for each pixel of the coarsest map is scaled by z in G; D ends with a sum over its coarsest map, each pixel of
each channel with a weight. Images lie around [-1, 1], without tanh.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, linear

from ganlab.errors import at_least_one
from ganlab.networks import layers
from ganlab.networks.images import LowPass, doubled, pyramid, widths
from ganlab.networks.told import Told

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)

GAIN = math.sqrt(2 / (1 + 0.2**2))  # of a leaky ReLU (He et al., 2015)


class BiasedLeaky(nn.Module):
    """x [B, C, h, w] -> leaky ReLU of x + bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return leaky_relu(x + self.bias[:, None, None], 0.2)


class PerPixel(nn.Conv2d):
    """x [B, a, h, w] -> [B, b, h, w], a 1 x 1 convolution as the matrix product that it is: in channels_last it copies nothing,
    and the gradient of its gradient, which R1 and R2 want, is products again, where a convolution's is slow."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(a, b, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x.permute(0, 2, 3, 1), self.weight[:, :, 0, 0]).permute(0, 3, 1, 2)


class Block(nn.Sequential):
    """x [B, C, h, w] -> x plus what three convolutions make of it, of `expansion` * C channels in between, `group` of which are
    convolved together. `blocks`: of the whole net, by whose number the first two are scaled so that all may add up."""

    def __init__(self, channels: int, expansion: int, group: int, blocks: int) -> None:
        inner = channels * expansion
        groups = max(inner // group, 1)
        if inner > group and inner % group:
            raise ValueError(f"group = {group} but the blocks have {inner} channels inside: make width * expansion a multiple")
        super().__init__(
            PerPixel(channels, inner),
            BiasedLeaky(inner),
            nn.Conv2d(inner, inner, 3, 1, 1, groups=groups, bias=False),
            BiasedLeaky(inner),
            PerPixel(inner, channels),
        )
        gain = GAIN * blocks**-0.25
        for conv, scale in zip([layer for layer in self if isinstance(layer, nn.Conv2d)], (gain, gain, 0.0), strict=True):
            scaled(conv, scale)

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class Base(nn.Module):
    """z [B, Z] -> [B, C, h, w]: learnt numbers, of N(0, 1) at first, each channel of them times a linear function of z."""

    def __init__(self, size: int, channels: int, base: Sequence[int]) -> None:
        super().__init__()
        self.numbers = nn.Parameter(torch.randn(channels, *base))
        self.linear = scaled(nn.Linear(size, channels, bias=False))

    def forward(self, z: Tensor) -> Tensor:
        return self.numbers * self.linear(z)[..., None, None]


class Doubled(nn.Module):
    """x [B, a, h, w] -> [B, b, 2h, 2w]."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.change = nn.Identity() if a == b else scaled(PerPixel(a, b))

    def forward(self, x: Tensor) -> Tensor:
        return doubled(self.change(x))


class Halved(nn.Module):
    """x [B, a, h, w] -> [B, b, h/2, w/2]."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.low = LowPass(stride=2, padding=1)
        self.change = nn.Identity() if a == b else scaled(PerPixel(a, b))

    def forward(self, x: Tensor) -> Tensor:
        return self.change(self.low(x))


class Generator(nn.Module):
    """z [B, Z] -> x [B, C, H, W], around [-1, 1]: `blocks` at each size; `width` channels in the finest map, twice as many in
    each coarser one, `doublings` times at most. What it is told of y goes through a linear map of Z dimensions."""

    def __init__(
        self,
        shape: Sequence[int],
        z_dim: int,
        width: int,
        blocks: int,
        expansion: int,
        group: int,
        doublings: int = 0,
        told: Told | None = None,
    ) -> None:
        super().__init__()
        at_least_one(blocks=blocks, expansion=expansion, group=group)
        self.told = told or Told()
        channels, base, n = pyramid("r3gan", shape)
        sizes = widths(width, doublings, n + 1)[::-1]
        self.embed = scaled(nn.Linear(self.told.size, z_dim, bias=False)) if self.told.size else None
        changes = [nn.Identity(), *(Doubled(a, b) for a, b in pairwise(sizes))]
        self.base, self.split = Base(z_dim * (1 + bool(self.told.size)), sizes[0], base), [z_dim, self.told.size]
        net: list[nn.Module] = []
        for change, size in zip(changes, sizes, strict=True):
            net += [change, *_blocks(blocks, size, expansion, group, n + 1)]
        self.net = nn.Sequential(*net, scaled(PerPixel(width, channels)))
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        z, known = self.told(z, y).split(self.split, 1)
        return self.net(self.base(z if self.embed is None else torch.cat([z, self.embed(known)], 1)))


class Unbiased(nn.Module):
    """Features [B, F] -> logit [B], whatever y is: a relativistic loss would not see a bias."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features, self.linear = features, scaled(nn.Linear(features, 1, bias=False))

    def forward(self, features: Tensor, y: Tensor) -> Tensor:
        return self.linear(features).flatten()


class Discriminator(layers.Discriminator):
    """x [B, C, H, W] -> logit [B]: the mirror image of G."""

    def __init__(
        self,
        shape: Sequence[int],
        width: int,
        blocks: int,
        expansion: int,
        group: int,
        doublings: int = 0,
        head: layers.Head = Unbiased,
    ) -> None:
        super().__init__()
        at_least_one(blocks=blocks, expansion=expansion, group=group)
        channels, base, n = pyramid("r3gan", shape)
        sizes = widths(width, doublings, n + 1)
        changes = [*(Halved(a, b) for a, b in pairwise(sizes)), nn.Identity()]
        net: list[nn.Module] = [scaled(PerPixel(channels, width))]
        for change, size in zip(changes, sizes, strict=True):
            net += [*_blocks(blocks, size, expansion, group, n + 1), change]
        last = scaled(nn.Conv2d(sizes[-1], sizes[-1], base, groups=sizes[-1], bias=False))
        self.trunk, self.head = nn.Sequential(*net, last, nn.Flatten()), head(sizes[-1])
        self.to(memory_format=torch.channels_last)


def _blocks(blocks: int, channels: int, expansion: int, group: int, levels: int) -> list[nn.Module]:
    return [Block(channels, expansion, group, blocks * levels) for _ in range(blocks)]


def scaled(layer: Layer, gain: float = 1.0) -> Layer:
    """The layer with weights N(0, gain^2 / what comes in)."""
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
    return layer
