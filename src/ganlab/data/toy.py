"""Points in the plane (and beyond) from a density; data are drawn afresh for every minibatch. data/line.py has the line."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from ganlab.errors import above_zero, at_least_one, none_negative
from ganlab.precision import working
from ganlab.random import generator_of
from ganlab.types import Batch, LogDensity

KERNELS = 2000  # points that stand for a curve, or for a law on the line


class Distribution(ABC):
    """An endless source: iteration t's minibatches are drawn by a generator seeded with (seed, t)."""

    shape: tuple[int, ...]
    classes: int
    device = torch.device("cpu")

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """x [n, *S] and y [n] on the generator's device."""

    def reference(self, n: int) -> tuple[Tensor, Tensor]:
        return self.sample(n, generator_of(0, "reference"))

    def minibatches(self, t: int, k: int, batch_size: int, seed: int, part: slice) -> Batch:
        x, y = self.sample(k * batch_size, generator_of(seed, "data", t, self.device))
        return Batch(x.view(k, batch_size, *self.shape)[:, part], y.view(k, batch_size)[:, part])

    def to(self, device: torch.device) -> Distribution:
        moved = copy.copy(self)
        moved.device = device
        return moved


class Mixture(Distribution):
    """K Gaussians with diagonal covariance: means [K, d], stds [K, d], weights [K], shares of any sum; y is the component.
    data/mixture.py has those with any covariance."""

    def __init__(self, means: Tensor, stds: Tensor, weights: Tensor | None = None) -> None:
        if means.dim() != 2 or min(means.shape) < 1 or means.shape != stds.shape:
            raise ValueError(f"a mixture needs means and stds [K, d], got {list(means.shape)} and {list(stds.shape)}")
        _refuse_first("the means of a mixture must be finite", means, means.isfinite())
        _refuse_first("the standard deviations of a mixture must be > 0", stds, (stds > 0) & stds.isfinite())
        self.means, self.stds = means, stds
        self.weights = torch.ones(len(means)) if weights is None else weights
        if self.weights.shape != means.shape[:1]:
            raise ValueError(f"a mixture of {len(means)} needs as many weights, got {self.weights.numel()}")
        good = (self.weights > 0) & self.weights.isfinite()
        _refuse_first(f"a mixture of {len(means)} needs as many weights > 0", self.weights, good)
        self.weights = self.weights / self.weights.sum()
        self.shape, self.classes = tuple(means.shape[1:]), len(means)

    @property
    def distribution(self) -> MixtureSameFamily:
        """In float64 on the CPU."""
        means, stds, weights = (a.double().cpu() for a in (self.means, self.stds, self.weights))
        return MixtureSameFamily(Categorical(weights / weights.sum()), Independent(Normal(means, stds), 1))

    def log_prob(self, x: Tensor) -> Tensor:
        """log p_data in nats, [n, d] -> [n] in float64."""
        return self.distribution.log_prob(x.double().cpu())

    def deviations(self, x: Tensor) -> Tensor:
        """How many standard deviations x [n, d] lies from each mean, [n, K] (Mahalanobis)."""
        return ((x[:, None] - self.means) / self.stds).square().sum(2).sqrt()

    def blurred(self, std: float | Tensor) -> Mixture:
        """The distribution of x + std * N(0, I): what is left of it at that resolution, which may be one per coordinate [d]."""
        return Mixture(self.means, (self.stds.square() + std**2).sqrt(), self.weights)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return self._placed(*self._drawn(n, generator))

    def minibatches_of(self, t: int, k: int, batch_size: int, seeds: Sequence[int]) -> Batch:
        """Those of several seeds, x [k, R, B, *S] and y [k, R, B]: the same bits, with less around the draws."""
        if type(self) is not Mixture:  # others are drawn in other ways
            every = [self.minibatches(t, k, batch_size, seed, slice(0, batch_size)) for seed in seeds]
            return Batch(*(torch.stack(each, 1) for each in zip(*every, strict=True)))
        drawn = [self._drawn(k * batch_size, generator_of(seed, "data", t, self.device)) for seed in seeds]
        x, y = self._placed(*(torch.stack(each) for each in zip(*drawn, strict=True)))
        return Batch(
            x.view(len(seeds), k, batch_size, *self.shape).transpose(0, 1), y.view(len(seeds), k, batch_size).transpose(0, 1)
        )

    def _drawn(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Components [n], and N(0, 1) [n, d]."""
        y = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        return y, torch.randn(n, *self.shape, generator=generator, device=generator.device)

    def _placed(self, y: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        return self.means[y] + self.stds[y] * noise, y

    def to(self, device: torch.device) -> Mixture:
        moved = copy.copy(self)
        moved.device = device
        moved.means, moved.stds, moved.weights = (a.to(device) for a in (self.means, self.stds, self.weights))
        return moved


def ring(modes: int, radius: float, std: float) -> Mixture:
    """Equal Gaussians at the angles 2 pi i / modes of a circle."""
    at_least_one(modes=modes)
    above_zero(radius=radius)
    angle = 2 * math.pi * torch.arange(modes, dtype=torch.float64) / modes
    means = radius * torch.stack([angle.cos(), angle.sin()], 1)  # [K, 2]
    return _equal(means, std)


def grid(side: int, spacing: float, std: float) -> Mixture:
    """side x side equal Gaussians, centred on the origin."""
    at_least_one(side=side)
    above_zero(spacing=spacing)
    ticks = spacing * (torch.arange(side, dtype=torch.float64) - (side - 1) / 2)
    return _equal(torch.cartesian_prod(ticks, ticks), std)


class Point(Distribution):
    """A point mass, at d coordinates. y is 0."""

    classes = 1

    def __init__(self, at: Sequence[float]) -> None:
        self.at = torch.tensor([float(each) for each in at])
        self.shape = tuple(self.at.shape)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x = self.at.to(generator.device).expand(n, -1)
        return x, torch.zeros(n, dtype=torch.long, device=generator.device)


class Dirac(Point):
    """At 0 on the line: the data of the smallest GAN (Mescheder et al., 2018)."""

    def __init__(self) -> None:
        super().__init__([0.0])


class SwissRoll(Distribution):
    """sklearn's make_swiss_roll(noise)[:, [0, 2]] / scale: (t cos t, t sin t) with t = 1.5 pi (1 + 2 u), u ~ U(0, 1), plus
    Gaussian noise (as in Gulrajani et al., 2017). y is 0."""

    shape = (2,)
    classes = 1

    def __init__(self, noise: float, scale: float) -> None:
        above_zero(scale=scale)
        none_negative(noise=noise)
        self.noise, self.scale = noise, scale

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        u = torch.rand(n, generator=generator, device=generator.device)
        noise = self.noise * torch.randn(n, 2, generator=generator, device=generator.device)
        x = (self._spiral(u) + noise) / self.scale
        return x, torch.zeros(n, dtype=torch.long, device=generator.device)

    def blurred(self, std: float | Tensor) -> LogDensity:
        """The law of x + std * N(0, I): one Gaussian at each of many points of the spiral."""
        u = (torch.arange(KERNELS, dtype=torch.float64) + 0.5) / KERNELS
        means = self._spiral(u) / self.scale
        own, more = (torch.as_tensor(width, dtype=torch.float64) for width in (self.noise / self.scale, std))
        return Mixture(means, torch.hypot(own, more).expand_as(means))

    @staticmethod
    def _spiral(u: Tensor) -> Tensor:
        t = 1.5 * math.pi * (1 + 2 * u)
        return torch.stack([t * t.cos(), t * t.sin()], 1)


def _refuse_first(rule: str, values: Tensor, good: Tensor) -> None:
    """Raises ValueError with the first of the values that is not good."""
    if not bool(good.all()):
        raise ValueError(f"{rule}, got {values[~good][0].item():g}")


def gaussians(means: Tensor, std: float) -> Mixture:
    """Equal and round, around means [K, d]."""
    return Mixture(means, torch.full_like(means, std))


def _equal(means: Tensor, std: float) -> Mixture:
    if not std > 0:
        raise ValueError(f"std must be > 0, got {std}")
    return gaussians(working(means), std)
