"""The networks of Goodfellow et al. (2014): a ReLU generator against a maxout discriminator with dropout.

Settings of the released MNIST experiment (goodfeli/adversarial, mnist.yaml), for data of any shape. That code keeps pixels
in [0, 1]: on images G ends in a sigmoid and D reads [0, 1], here mapped from and to the bench's [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganlab.errors import at_least_one
from ganlab.networks import layers
from ganlab.networks.told import Told


class Maxout(nn.Module):
    """[B, size] -> [B, units]: the largest of `pieces` linear maps for each unit (Goodfellow et al., 2013)."""

    def __init__(self, size: int, units: int, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces
        self.linear = nn.Linear(size, units * pieces)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).unflatten(1, (-1, self.pieces)).amax(2)


class Generator(nn.Module):
    """z [B, Z] -> x [B, *S]: two ReLU layers; weights U(-irange, irange), biases 0 until `start_near`."""

    def __init__(
        self, shape: Sequence[int], z_dim: int, width: int = 1200, irange: float = 0.05, told: Told | None = None
    ) -> None:
        super().__init__()
        at_least_one(width=width)
        told = told or Told()
        self.net = nn.Sequential(
            nn.Linear(z_dim + told.size, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, math.prod(shape)),
        )
        self.told, self.shape, self.image = told, tuple(shape), len(shape) == 3
        _uniform(self, irange)

    @torch.no_grad()
    def start_near(self, mean: Tensor) -> None:
        """Images near the mean image [C, H, W] in [-1, 1], as in the paper's code: the last bias is the logit of its pixels."""
        last = self.net[-1]
        assert isinstance(last, nn.Linear)
        last.bias.copy_(torch.logit((mean.flatten() + 1) / 2, eps=1e-7))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        x = self.net(self.told(z, y)).unflatten(1, self.shape)
        return 2 * torch.sigmoid(x) - 1 if self.image else x


class Discriminator(layers.Discriminator):
    """x [B, *S] -> logit [B]: two maxout layers; dropout before each of the three linear maps."""

    def __init__(
        self,
        shape: Sequence[int],
        units: int = 240,
        pieces: int = 5,
        dropout: Sequence[float] = (0.2, 0.5, 0.5),
        irange: float = 0.005,
        head: layers.Head = layers.LinearHead,
    ) -> None:
        super().__init__()
        at_least_one(units=units, pieces=pieces)
        if len(dropout) != 3:
            raise ValueError(f"dropout needs three shares, one before each linear map, got {list(dropout)}")
        first, second, third = dropout
        self.trunk = nn.Sequential(
            Pixels() if len(shape) == 3 else nn.Flatten(),
            layers.Dropout(first),
            Maxout(math.prod(shape), units, pieces),
            layers.Dropout(second),
            Maxout(units, units, pieces),
            layers.Dropout(third),
        )
        self.head = head(units)
        _uniform(self, irange)


class Pixels(nn.Flatten):
    """Images [B, C, H, W] in [-1, 1] as rows of pixels in [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x + 1) / 2)


@torch.no_grad()
def _uniform(net: nn.Module, irange: float) -> None:
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
        else:
            parameter.uniform_(-irange, irange)
