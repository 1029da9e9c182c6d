"""How images are halved and doubled: what families of convolutions have in common before their layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, pad

from ganlab.errors import at_least_one

FIR = (1, 3, 3, 1)  # the low-pass filter of StyleGAN2 and R3GAN


class Pyramid(NamedTuple):
    """An image of `channels` whose coarsest map has `base` pixels (h, w), 4 to 7 on its shorter side, doubled `stages`
    times."""

    channels: int
    base: tuple[int, int]
    stages: int


def image(family: str, shape: Sequence[int]) -> Sequence[int]:
    """The shape, if it is one of images of 16 to 128 pixels a side; raises ValueError, in the name of the family."""
    if len(shape) != 3:
        raise ValueError(f"{family} needs images (C, H, W) but shape is {list(shape)}: try model=mlp")
    if not all(16 <= side <= 128 for side in shape[1:]):
        raise ValueError(
            f"{family} makes images of 16 to 128 pixels a side, shape is {list(shape)}: try shape=[{shape[0]},64,64]"
        )
    return shape


def halvings(size: Sequence[int]) -> int:
    """Halvings until the shorter side is 4 to 7 pixels."""
    return int(math.log2(min(size) / 4))


def pyramid(family: str, shape: Sequence[int]) -> Pyramid:
    """Raises ValueError for sides that cannot be halved so often: 28 can (7, 14, 28), 30 cannot."""
    channels, *size = image(family, shape)
    n = halvings(size)
    h, w = (side // 2**n for side in size)
    if [h * 2**n, w * 2**n] != size:
        near = [channels, h * 2**n, w * 2**n]
        raise ValueError(f"{family} halves images {n} times but shape is {list(shape)}: try shape={near}".replace(", ", ","))
    return Pyramid(channels, (h, w), n)


def widths(width: int, doublings: int, levels: int) -> list[int]:
    """Channels of so many levels from the finest: `width`, doubled at each coarser one, `doublings` times at most."""
    at_least_one(width=width)
    if doublings < 0:
        raise ValueError(f"doublings must be >= 0, got {doublings}")
    return [width * 2 ** min(level, doublings) for level in range(levels)]


def doubled(x: Tensor) -> Tensor:
    """[B, C, h, w] -> [B, C, 2h, 2w] by FIR, with zeros beyond the border: bilinear, but for the outermost pixels."""
    return interpolate(pad(x, (1, 1, 1, 1)), scale_factor=2, mode="bilinear", align_corners=False)[..., 2:-2, 2:-2]


class LowPass(nn.Module):
    """x [B, C, h, w] convolved with FIR along both sides, each `stride`-th pixel of it, with zeros beyond the border."""

    kernel: Tensor

    def __init__(self, stride: int, padding: int) -> None:
        super().__init__()
        line = torch.tensor(FIR) / sum(FIR)
        self.register_buffer("kernel", torch.outer(line, line), persistent=False)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        C = x.shape[1]
        return conv2d(x, self.kernel.expand(C, 1, -1, -1), stride=self.stride, padding=self.padding, groups=C)
