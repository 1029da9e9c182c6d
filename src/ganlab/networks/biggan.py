"""BigGAN (Brock et al., 2019) as its authors' PyTorch code has it: SAGAN's blocks, of which D's widen at once, doubled by
repetition, and a G whose every BatchNorm is told a code: what it is told of y (`told`), and a share of z of its own.

The published CIFAR-10 nets have one width, neither attention nor shares of z (`condition=cbn` is their G); those of 64 pixels
and more have both, and `model.G.told={_target_: ganlab.networks.told.Embedded, size: 128}` is their shared embedding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganlab.networks import layers
from ganlab.networks.images import pyramid, widths
from ganlab.networks.norms import Norm, chosen, over_the_batch
from ganlab.networks.residual import Attention, ResidualD, Up, at_most, pixels_of
from ganlab.networks.told import Told


class CodeBatch:
    """BatchNorm whose scale and shift are linear in a code [B, size], as a norm's recipe. `tables`: what the code says of y is
    one of the columns, which no spectral norm holds; the authors' code, too, leaves its tables of classes alone, since G is
    crippled otherwise: the root mean square of what a class scales 256 channels by would be 1/16 at most."""

    def __init__(self, size: int, tables: bool) -> None:
        self.size, self.tables = size, tables

    def __call__(self, channels: int, dims: int) -> list[nn.Module]:
        return [CodeBatchNorm(channels, dims, self.size, self.tables)]


class Columns(nn.Linear):
    """A linear map of what is one class of several, and so a table of them."""

    unconstrained = True

    def __init__(self, size: int, channels: int, bias: bool) -> None:
        super().__init__(size, channels, bias)
        self.register_load_state_dict_pre_hook(_held)


class CodeBatchNorm(nn.Module):
    """x [B, channels, ...], code [B, size]: normalised over the minibatch, times 1 + scale(code), plus shift(code)."""

    told = True

    def __init__(self, channels: int, dims: int, size: int, tables: bool) -> None:
        super().__init__()
        self.norm, linear = over_the_batch(channels, dims, affine=False), Columns if tables else nn.Linear
        self.scale, self.shift = (linear(size, channels, bias=False) for _ in range(2))

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        scale, shift = (part(code)[(..., *[None] * (x.dim() - 2))] for part in (self.scale, self.shift))
        return (1 + scale) * self.norm(x) + shift


class Generator(nn.Module):
    """z [B, Z] -> x [B, C, H, W] in [-1, 1].

    `width` channels in the finest map, twice as many in each coarser one, `doublings` times at most.
    `hierarchical`: z is split into one share for the first map and one for each block. `norm` is that of blocks which are
    told no code. `attention`: after which blocks, counted from 1.
    """

    def __init__(
        self,
        shape: Sequence[int],
        z_dim: int,
        width: int,
        doublings: int = 0,
        hierarchical: bool = False,
        attention: Sequence[int] = (),
        told: Told | None = None,
        norm: str | Norm = "batch",
    ) -> None:
        super().__init__()
        told, norm = told or Told(), chosen(norm)
        channels, base, n = pyramid("biggan", shape)
        sizes = widths(width, doublings, n + 1)[::-1]
        at_most(attention, n)
        share = z_dim // (n + 1) if hierarchical else 0
        if hierarchical and not share:
            raise ValueError(f"a hierarchical z has {n + 1} shares and prior.dim = {z_dim}: make it at least {n + 1}")
        code = told.size + share
        self.project = nn.Sequential(
            nn.Linear(z_dim - n * share, sizes[0] * math.prod(base)), nn.Unflatten(1, (sizes[0], *base))
        )
        self.blocks = nn.ModuleList(
            layers.Telling(
                Up(a, b, CodeBatch(code, told.one_hot) if code else norm, "nearest"), *[Attention(b)] * (i in attention)
            )
            for i, (a, b) in enumerate(pairwise(sizes), 1)
        )
        self.pixels = pixels_of(width, channels, norm)
        self.told, self.split, self.coded = told, [z_dim - n * share, *[share] * n, told.size], bool(code)
        self.apply(_initialise)
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        first, *shares, known = self.told(z, y).split(self.split, 1)  # [B, Z / (n + 1)] each, and what is known of y [B, told]
        x = self.project(first)
        for block, share in zip(self.blocks, shares, strict=True):
            x = block(x, torch.cat([known, share], 1) if self.coded else y)
        return self.pixels(x)


class Discriminator(ResidualD):
    """x [B, C, H, W] -> logit [B]: blocks widen at once, the head sees sums over pixels."""

    family, wide = "biggan", True

    @staticmethod
    def initialise(net: nn.Module) -> None:
        net.apply(_initialise)


def _held(layer: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Runs of before have held tables of classes by a spectral norm: they are what came of it."""
    kept = [f"{prefix}parametrizations.weight.{name}" for name in ("original", "0._u", "0._v")]
    if kept[0] in state:
        w, u, v = (state.pop(name) for name in kept)
        state[f"{prefix}weight"] = w / torch.vdot(u, w @ v)


def _initialise(layer: nn.Module) -> None:
    """N(0, 0.02^2), as in the script for CIFAR-10; biases of torch's own."""
    if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
        nn.init.normal_(layer.weight, std=0.02)
