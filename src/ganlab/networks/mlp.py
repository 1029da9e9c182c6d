"""Multilayer perceptrons, for data of any shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from ganlab.errors import at_least_one
from ganlab.networks import layers
from ganlab.networks.norms import Norm, chosen
from ganlab.networks.told import Told


class Generator(nn.Module):
    """z [B, Z] -> x [B, *S]: `depth` layers of `width` units. The activation is one module for all of them: a smooth one
    makes a smooth p_g."""

    def __init__(
        self,
        shape: Sequence[int],
        z_dim: int,
        width: int,
        depth: int,
        activation: nn.Module,
        told: Told | None = None,
        norm: str | Norm = "none",
    ) -> None:
        super().__init__()
        at_least_one(width=width, depth=depth)
        told, norm = told or Told(), chosen(norm)
        sizes = [z_dim + told.size, *[width] * depth]
        hidden: list[nn.Module] = []
        for a, b in pairwise(sizes):
            normed = norm(b, 0)
            hidden += [nn.Linear(a, b, bias=not normed), *normed, activation]
        self.net = layers.Telling(*hidden, nn.Linear(sizes[-1], math.prod(shape)))
        self.shape, self.told, self.output = tuple(shape), told, layers.output_range(shape)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.output(self.net(self.told(z, y), y).unflatten(1, self.shape))


class Discriminator(layers.Discriminator):
    """x [B, *S] -> logit [B]: `depth` layers of `width` units."""

    def __init__(
        self, shape: Sequence[int], width: int, depth: int, activation: nn.Module, head: layers.Head = layers.LinearHead
    ) -> None:
        super().__init__()
        at_least_one(width=width, depth=depth)
        sizes = [math.prod(shape), *[width] * depth]
        hidden = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), activation)]
        self.trunk, self.head = nn.Sequential(nn.Flatten(), *hidden), head(sizes[-1])
