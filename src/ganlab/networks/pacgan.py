"""The networks of PacGAN's toy experiments (Lin et al., 2018), which they took from ALI (Dumoulin et al., 2017): a ReLU
generator with batch normalisation against a maxout discriminator; dropout is in that code but switched off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from ganlab.errors import at_least_one
from ganlab.networks import layers
from ganlab.networks.maxout import Maxout
from ganlab.networks.norms import Norm, chosen
from ganlab.networks.told import Told


class Generator(nn.Module):
    """z [B, Z] -> x [B, *S]: `depth` layers of `width` units, batch normalisation in place of their biases."""

    def __init__(
        self,
        shape: Sequence[int],
        z_dim: int,
        width: int,
        depth: int,
        std: float,
        told: Told | None = None,
        norm: str | Norm = "batch",
    ) -> None:
        super().__init__()
        at_least_one(width=width, depth=depth)
        told, norm, hidden = told or Told(), chosen(norm), list[nn.Module]()
        for a, b in pairwise([z_dim + told.size, *[width] * depth]):
            normed = norm(b, 0)
            hidden += [nn.Linear(a, b, bias=not normed), *normed, nn.ReLU()]
        self.net = layers.Telling(*hidden, nn.Linear(width, math.prod(shape)))
        self.told, self.shape, self.output = told, tuple(shape), layers.output_range(shape)
        _normal(self, std)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.output(self.net(self.told(z, y), y).unflatten(1, self.shape))


class Discriminator(layers.Discriminator):
    """x [B, *S] -> logit [B]: `depth` maxout layers."""

    def __init__(
        self,
        shape: Sequence[int],
        units: int,
        pieces: int,
        depth: int,
        std: float,
        head: layers.Head = layers.LinearHead,
    ) -> None:
        super().__init__()
        at_least_one(units=units, pieces=pieces, depth=depth)
        sizes = [math.prod(shape), *[units] * depth]
        self.trunk = nn.Sequential(nn.Flatten(), *(Maxout(a, b, pieces) for a, b in pairwise(sizes)))
        self.head = head(units)
        _normal(self, std)


def _normal(net: nn.Module, std: float) -> None:
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
