"""What G is shown of y beside z: modules (z [B, Z], y [B]) -> [B, Z + size], derived from `Told`. A family's `told` is any of
them as a node."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganlab.errors import at_least_one
from ganlab.networks.layers import labelled, one_hot


class Told(nn.Module):
    """Nothing: z alone."""

    size = 0
    one_hot = False  # whether what is shown is one of so many ones

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return z


class OneHot(Told):
    """z and the class, one beside the other (Mirza and Osindero, 2014)."""

    one_hot = True

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.size = labelled("a G that is told y", classes)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return torch.cat([z, one_hot(y, self.size, like=z)], 1)


class Embedded(Told):
    """z and a learnt vector of the class, of N(0, 1) at first: what a generator has in common for all its layers (Brock et al.,
    2019)."""

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        at_least_one(size=size)
        self.size, self.rows = size, Rows(labelled("a G that is told y", classes), size)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return torch.cat([z, self.rows(y).to(z.dtype)], 1)


class Rows(nn.Embedding):
    """A table of classes, which is no map of what comes in: a spectral norm and orthogonal regularisation leave it alone, as in
    BigGAN's code."""

    unconstrained = shared = True
