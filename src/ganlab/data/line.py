"""Data on the line, by the universality of the uniform: if U ~ U(0, 1), then F^{-1}(U) has the distribution function F, and
F(X) ~ U(0, 1) for the X that it makes. Density, F and F^{-1} come from scipy.stats."""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import scipy.stats
import torch
from scipy.special import ndtr
from scipy.stats.sampling import NumericalInverseHermite, UNURANError
from torch import Tensor

from ganlab.data.toy import KERNELS, Distribution, Mixture, gaussians
from ganlab.errors import did_you_mean
from ganlab.precision import working
from ganlab.random import generator_of
from ganlab.types import Batch, LogDensity

BITS = 52  # of a uniform number: (i + 1/2) / 2^52 is neither 0 nor 1, where F^{-1} may be infinite
FAMILIES = {name: part for name, part in vars(scipy.stats).items() if isinstance(part, scipy.stats.rv_continuous)}


class OnTheLine(Distribution):
    """A density on the line whose distribution function F (`cdf`) and F^{-1} (`quantile`) are known, in float64."""

    shape = (1,)

    @abstractmethod
    def cdf(self, x: Tensor) -> Tensor:
        """F(x) in 0..1, [n] -> [n]."""

    @abstractmethod
    def quantile(self, u: Tensor) -> Tensor:
        """F^{-1}(u) for u in 0..1, [n] -> [n]; at 0 and 1 the ends of the support, which may be infinite."""

    def label(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """y [n] for x [n]."""
        return torch.zeros(len(x), dtype=torch.long)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        bits = torch.randint(2**BITS, (n,), generator=generator, device=generator.device)
        x = self.quantile((bits.cpu().double() + 0.5) / 2**BITS)
        y = self.label(x, generator)
        return working(x)[:, None].to(generator.device), y.to(generator.device)

    def minibatches(self, t: int, k: int, batch_size: int, seed: int, part: slice) -> Batch:
        x, y = self.sample(k * batch_size, generator_of(seed, "data", t))  # scipy works on the host
        x, y = (a.to(self.device, non_blocking=True) for a in (x, y))
        return Batch(x.view(k, batch_size, 1)[:, part], y.view(k, batch_size)[:, part])


class Line(OnTheLine):
    """A continuous distribution of scipy.stats by its name there, with its parameters: norm, t, beta, ...; y is 0."""

    classes = 1

    def __init__(self, name: str, **parameters: Any) -> None:
        if name not in FAMILIES:
            raise ValueError(f"scipy.stats has no continuous distribution {name}{did_you_mean(name, FAMILIES)}")
        for key, value in parameters.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"{name}: {key} must be a number, got {value!r}")
        try:
            self.distribution = FAMILIES[name](**parameters)
        except TypeError as error:
            raise ValueError(f"{name} has the parameters {FAMILIES[name].shapes or 'loc and scale only'}: {error}") from error
        if np.isnan(self.distribution.support()).any():
            raise ValueError(f"{name} has no density for {parameters}")

    def log_prob(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.distribution.logpdf(x[:, 0].double().cpu().numpy()))

    def cdf(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.distribution.cdf(x.double().cpu().numpy()))

    def quantile(self, u: Tensor) -> Tensor:
        return torch.as_tensor(self.distribution.ppf(u.double().cpu().numpy()))

    def blurred(self, std: float | Tensor) -> LogDensity:
        """The law of x + std * N(0, 1): one Gaussian at each of many quantiles."""
        return gaussians(self.quantile((torch.arange(KERNELS, dtype=torch.float64) + 0.5) / KERNELS)[:, None], float(std))


class LineMixture(OnTheLine, Mixture):
    """K Gaussians on the line; y is a component, drawn from its probability given x. F^{-1} is scipy's interpolation of F,
    exact to 1e-12 in u between u = 1e-15 and 1 - 1e-15, where its table ends."""

    def __init__(self, means: Tensor, stds: Tensor, weights: Tensor | None = None) -> None:
        super().__init__(means, stds, weights)
        m, s, w = (a.double().flatten().numpy() for a in (self.means, self.stds, self.weights))

        class Exact:
            def pdf(self, x: float) -> float:
                return float(w @ (np.exp(-0.5 * ((x - m) / s) ** 2) / s)) / math.sqrt(2 * math.pi)

            def cdf(self, x: float) -> float:
                return float(w @ ndtr((x - m) / s))

        points = np.unique(m[:, None] + s[:, None] * np.linspace(-8, 8, 33))  # beyond 8 standard deviations are 6e-16
        u = torch.linspace(0, 1, 2001, dtype=torch.float64)[1:-1]
        for known in (None, points[1:-1]):  # scipy finds narrow modes that lie far apart only where it is told of them
            with warnings.catch_warnings(), suppress(UNURANError):
                warnings.simplefilter("ignore")  # what scipy finds hard is found below
                self._inverse = NumericalInverseHermite(
                    Exact(), domain=(points[0], points[-1]), u_resolution=1e-12, construction_points=known
                )
                if bool((self.cdf(self.quantile(u)) - u).abs().max() < 1e-9):
                    return
        raise ValueError(f"the modes at {m.tolist()} are too narrow ({s.tolist()}) for how far apart they are")

    def cdf(self, x: Tensor) -> Tensor:
        means, stds, weights = (a.double().cpu().flatten() for a in (self.means, self.stds, self.weights))
        return torch.special.ndtr((x.double().cpu()[:, None] - means) / stds) @ (weights / weights.sum())

    def quantile(self, u: Tensor) -> Tensor:
        return torch.as_tensor(self._inverse.ppf(u.double().cpu().numpy()))

    def label(self, x: Tensor, generator: torch.Generator) -> Tensor:
        exact = self.distribution
        joint = exact.component_distribution.log_prob(x.double()[:, None, None]) + exact.mixture_distribution.logits  # [n, K]
        return torch.multinomial(joint.softmax(1).to(generator.device), 1, generator=generator)[:, 0]


def mixture1d(means: Sequence[float], stds: float | Sequence[float], weights: Sequence[float] | None = None) -> LineMixture:
    """Gaussians on the line; one standard deviation is that of all."""
    if isinstance(stds, int | float):
        stds = [stds] * len(means)
    return LineMixture(
        torch.tensor(means)[:, None], torch.tensor(stds)[:, None], None if weights is None else torch.tensor(weights)
    )
