"""Residual blocks, and the two players that SNGAN, WGAN-GP and SAGAN build of them (Gulrajani et al., 2017; Miyato et al.,
2018).

A family fixes what makes it one: how maps are doubled and summed up, where there is attention, the initial weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d

from ganlab.errors import at_least_one, none_negative
from ganlab.networks import layers
from ganlab.networks.images import image, pyramid, widths
from ganlab.networks.norms import Norm, batch, chosen
from ganlab.networks.told import Told


class Up(nn.Module):
    """x [B, a, h, w] and y, or whatever `norm` is told, -> [B, b, 2h, 2w]: norm, ReLU, doubling and convolution, then norm,
    ReLU and convolution, added to a doubled 1 x 1 convolution of x."""

    told = True

    def __init__(self, a: int, b: int, norm: Norm, mode: str) -> None:
        super().__init__()
        self.norm1, self.norm2 = (layers.Telling(*norm(n, 2)) for n in (a, b))
        self.conv1, self.conv2, self.short = nn.Conv2d(a, b, 3, 1, 1), nn.Conv2d(b, b, 3, 1, 1), nn.Conv2d(a, b, 1)
        self.enlarge = nn.Upsample(scale_factor=2, mode=mode)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        h = self.conv1(self.enlarge(self.norm1(x, y).relu()))
        h = self.conv2(self.norm2(h, y).relu())
        return h + self.enlarge(self.short(x))  # the same as short of the doubled x, of a quarter of the pixels


class Down(nn.Module):
    """x [B, a, h, w] -> [B, b, h/2, w/2], or as large if not `halve`: norm, ReLU, convolution, twice, then a mean over 2 x 2
    pixels. The first block of a D sees pixels, which have no norm and no ReLU. `wide`: whether it widens at once."""

    def __init__(self, a: int, b: int, norm: Norm, halve: bool, wide: bool, first: bool) -> None:
        super().__init__()
        c = b if wide or first else a
        before = [] if first else [*norm(a, 2), nn.ReLU()]
        self.conv1, self.conv2 = nn.Conv2d(a, c, 3, 1, 1), nn.Conv2d(c, b, 3, 1, 1)
        self.before, self.between = nn.Sequential(*before), nn.Sequential(*norm(c, 2), nn.ReLU())
        self.short = nn.Conv2d(a, b, 1) if halve or a != b else nn.Identity()
        self.halve = halve

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(self.between(self.conv1(self.before(x))))
        if self.halve:
            h, x = avg_pool2d(h, 2), avg_pool2d(x, 2)
        return h + self.short(x)


class Attention(nn.Module):
    """x + gamma * attention over positions, whose keys and values are pooled by 2 x 2 (Zhang et al., 2019, as in BigGAN's
    code); gamma starts at 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        few, half = max(channels // 8, 1), max(channels // 2, 1)
        self.query, self.key, self.value = (nn.Conv2d(channels, n, 1, bias=False) for n in (few, few, half))
        self.out = nn.Conv2d(half, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2)  # [B, C/8, h w]
        key, value = (max_pool2d(part(x), 2).flatten(2) for part in (self.key, self.value))
        share = (query.transpose(1, 2) @ key).softmax(-1)  # [B, h w, h w / 4]
        return x + self.gamma * self.out((value @ share.transpose(1, 2)).unflatten(2, x.shape[2:]))


class PixelSum(nn.Module):
    """[B, C, h, w] -> [B, C]: ReLU, then the sum over pixels."""

    def forward(self, x: Tensor) -> Tensor:
        return x.relu().sum((2, 3))


class PixelMean(nn.Module):
    """[B, C, h, w] -> [B, C]: ReLU, then the mean over pixels."""

    def forward(self, x: Tensor) -> Tensor:
        return x.relu().mean((2, 3))


def pixels_of(width: int, channels: int, norm: Norm) -> nn.Sequential:
    """The end of a G: norm, ReLU, convolution, tanh. A norm that is told y is plain BatchNorm here, as in the papers' code."""
    last = norm(width, 2)
    told = any(getattr(layer, "told", False) for layer in last)
    return nn.Sequential(*(batch(width, 2) if told else last), nn.ReLU(), nn.Conv2d(width, channels, 3, 1, 1), nn.Tanh())


def at_most(attention: Sequence[int], blocks: int) -> None:
    """Raises ValueError where there is attention after a block that is not there."""
    if not {*attention} <= {*range(1, blocks + 1)}:
        raise ValueError(f"attention = {list(attention)} is after blocks 1 to {blocks}, of which a larger image has more")


def glorot(net: nn.Module) -> None:
    """Glorot uniform, with a gain of sqrt 2 for the two convolutions of a block, which a ReLU precedes; biases 0 (Miyato et
    al.'s code)."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
            nn.init.xavier_uniform_(layer.weight)
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
    for block in net.modules():
        if isinstance(block, Up | Down):
            nn.init.xavier_uniform_(block.conv1.weight, math.sqrt(2))
            nn.init.xavier_uniform_(block.conv2.weight, math.sqrt(2))


class Residual(nn.Module):
    """A G of blocks that double: z [B, Z] -> x [B, C, H, W] in [-1, 1]. `width` channels in the finest map, twice as many in
    each coarser one, `doublings` times at most; maps are doubled bilinearly. `attention`: after which blocks, from 1 on."""

    family: str  # as a mistake calls it

    def __init__(
        self,
        shape: Sequence[int],
        z_dim: int,
        width: int,
        doublings: int = 0,
        attention: Sequence[int] = (),
        told: Told | None = None,
        norm: str | Norm = "batch",
    ) -> None:
        super().__init__()
        told, norm = told or Told(), chosen(norm)
        channels, base, n = pyramid(self.family, shape)
        sizes = widths(width, doublings, n + 1)[::-1]
        at_most(attention, n)
        self.project = nn.Sequential(
            nn.Linear(z_dim + told.size, sizes[0] * math.prod(base)), nn.Unflatten(1, (sizes[0], *base))
        )
        blocks: list[nn.Module] = []
        for i, (a, b) in enumerate(pairwise(sizes), 1):
            blocks += [Up(a, b, norm, "bilinear"), *[Attention(b)] * (i in attention)]
        self.up, self.pixels, self.told = layers.Telling(*blocks), pixels_of(width, channels, norm), told
        glorot(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.pixels(self.up(self.project(self.told(z, y)), y))


class ResidualD(layers.Discriminator):
    """A D of `halvings` blocks that halve and `flat` ones that do not: x [B, C, H, W] -> logit [B]; `width` channels after the
    first, twice as many after each one below, `doublings` times at most. halvings = None: until a side has 7 to 13 pixels.
    `attention`: after which blocks, from 1 on."""

    family: str  # as a mistake calls it
    summed: type[nn.Module] = PixelSum  # what the head sees of the last map
    wide = False  # whether a block widens at once
    initialise = staticmethod(glorot)

    def __init__(
        self,
        shape: Sequence[int],
        width: int,
        doublings: int = 0,
        halvings: int | None = None,
        flat: int = 2,
        attention: Sequence[int] = (),
        norm: str | Norm = "none",
        head: layers.Head = layers.LinearHead,
    ) -> None:
        super().__init__()
        norm = chosen(norm)
        channels, *size = image(self.family, shape)
        halvings = int(math.log2(min(size) / 7)) if halvings is None else halvings
        at_least_one(halvings=halvings)
        none_negative(flat=flat)
        if min(size) < 2**halvings:
            raise ValueError(f"halvings = {halvings} but a side has {min(size)} pixels: try fewer")
        sizes = widths(width, doublings, halvings + flat)
        at_most(attention, len(sizes))
        blocks: list[nn.Module] = []
        for i, (a, b) in enumerate(pairwise([channels, *sizes])):
            blocks += [Down(a, b, norm, i < halvings, self.wide, first=i == 0), *[Attention(b)] * (i + 1 in attention)]
        self.trunk, self.head = nn.Sequential(*blocks, self.summed()), head(sizes[-1])
        self.initialise(self)
        self.to(memory_format=torch.channels_last)
