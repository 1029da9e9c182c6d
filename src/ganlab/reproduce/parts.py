"""Parts of the game that a published setting has, and that nobody else should want: conventions of authors' code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD

from ganlab.data.toy import Distribution
from ganlab.game.priors import Uniform
from ganlab.networks import mlp
from ganlab.random import generator_of


class StartedSGD(SGD):
    """Momentum whose buffers are not 0 at first: the notebook of Daskalakis et al. (2018) begins them with the weights
    themselves. `buffer` is in units of the gradient, as torch's are."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float, buffer: float) -> None:
        super().__init__(params, lr=lr, momentum=momentum)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["momentum_buffer"] = torch.full_like(p, buffer)


class FixedUniform(Uniform):
    """The same n points z ~ U(low, high) every time: of training, and of whoever looks."""

    def __init__(self, dim: int, low: float, high: float, seed: int) -> None:
        super().__init__(dim, low, high)
        self.seed = seed

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        return super().sample(n, generator_of(self.seed, "fixed noise", device=generator.device))


class Clusters(Distribution):
    """n fixed points on the line, as many in each of the intervals, all of them in each minibatch of that size (Sun et al.,
    2020). A sample is of a cluster if it lies within its width of its middle."""

    shape = (1,)

    def __init__(self, intervals: Sequence[Sequence[float]], n: int, seed: int) -> None:
        self.low, self.high = (torch.tensor([float(each[i]) for each in intervals]) for i in (0, 1))
        self.classes, self.n = len(intervals), n
        self.weights = torch.ones(self.classes) / self.classes
        self.y = torch.arange(n) % self.classes
        u = torch.rand(n, generator=generator_of(seed, "fixed data"))
        self.x = (self.low[self.y] + (self.high - self.low)[self.y] * u)[:, None]

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        which = torch.arange(n) % self.n
        return self.x[which], self.y[which]

    def deviations(self, x: Tensor) -> Tensor:
        """In thirds of the width, so that 3 of them are the width: [n, K]."""
        middle, width = (self.low + self.high) / 2, self.high - self.low
        return (x - middle).abs() / (width / 3)

    def to(self, device: torch.device) -> Any:
        return self  # of the CPU


class ScaledDiscriminator(mlp.Discriminator):
    """D(scale x): Metz et al. (2017) divide the plane by 4 before D sees it."""

    def __init__(self, shape: Sequence[int], width: int, depth: int, activation: nn.Module, scale: float) -> None:
        super().__init__(shape, width, depth, activation)
        self.scale = scale

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return super().forward(self.scale * x, y)
