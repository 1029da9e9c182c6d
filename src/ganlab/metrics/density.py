"""Scores of points against the exact p_data, where its density is known."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from ganlab.metrics.samples import TwoSamples
from ganlab.precision import working
from ganlab.theory.divergences import jsd, quadrature
from ganlab.types import Blurrable, LineSource, LogDensity, Source

CHUNK = 1024  # points whose density is computed at once: a curve is a mixture of thousands
REACH = 9.0  # standard deviations beyond which a Gaussian has nothing: 2e-19
PANELS, NODES = 24, 10  # of the quadrature over a strip
BISECTIONS = 80  # halvings of an interval that holds a quantile: to the last digit


def law_of(source: Source, score: str) -> Any:
    """The source itself if it knows its density; a curve with noise as the mixture of Gaussians along it."""
    if hasattr(source, "log_prob"):
        return source
    try:
        if isinstance(source, Blurrable):
            return source.blurred(0.0)
    except ValueError:  # a curve without noise has none
        pass
    raise ValueError(f"{score} needs data with a known density, and this data has none: try metrics=points")


class LogLikelihood(TwoSamples):
    """Mean log p_data(x) of the samples, in nats per sample; for real data it is the negative entropy, and unbiased at any n.
    -inf where a sample lies where p_data is 0, NaN where one is not finite.

    It knows nothing of modes without samples, and like Precision it should be read next to a score that does: samples at the
    very top of one mode score higher than real ones. After `compute`, `outside` is the share of samples at -inf and
    `negative_entropy` the same mean over the real points, NaN without any.
    """

    higher_is_better = True
    least_real = 0

    def __init__(self, source: Source, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.law: LogDensity = law_of(source, "LogLikelihood")
        self.outside = self.negative_entropy = math.nan

    def update(self, x: Tensor, real: bool) -> None:
        known = x.flatten(1).isfinite().all(1).cpu()  # [n]; a density need not take anything else
        log_p = torch.full([len(x)], torch.nan, dtype=torch.float64)
        parts = x.detach().cpu()[known].split(CHUNK)
        log_p[known] = torch.cat([self.law.log_prob(part).double().cpu() for part in parts])
        super().update(working(log_p[:, None]).to(x.device), real)

    @property
    def details(self) -> dict[str, float]:
        return {"outside": self.outside, "negative_entropy": self.negative_entropy}

    def compute(self) -> Tensor:
        fake = dim_zero_cat(self.fake).cpu().double()
        self.outside = (fake == -math.inf).double().mean().item()
        self.negative_entropy = dim_zero_cat(self.real).cpu().double().mean().item() if self.real else math.nan
        return fake.mean()


class BinnedJSD(Metric):
    """Jensen-Shannon divergence in nats between the samples and the exact p_data, over cells that hold 1/B of p_data each: at
    most log 2. Real points are ignored. NaN where a sample is not finite.

    On the line the cells are intervals between quantiles; in the plane they are strips between quantiles of the first
    coordinate, each cut at quantiles of the second. So they are fine where p_data is dense, whatever its scale. The masses are
    exact, from the distribution function: by lumping, the value is a lower bound of the JSD.

    Counts of n samples alone make it (B - 1) / 8n on average if p_g = p_data. That `bias` is subtracted, so that the mean of
    equal laws is 0 (to a few percent of the bias for n >= 10 B) and single values lie on both sides of it. Far from p_data the
    bias is smaller, and the value too low by at most that.
    """

    full_state_update = False
    higher_is_better = False
    version = 1
    least = 1
    least_real = 0
    counts: Tensor  # [B]
    n: Tensor  # all samples
    unclear: Tensor  # those that are not finite

    def __init__(self, source: Source, cells: int = 256, **kwargs: Any) -> None:
        super().__init__(sync_on_compute=False, **kwargs)
        d = source.shape[0] if len(source.shape) == 1 else 0
        law = law_of(source, "BinnedJSD")
        if d not in (1, 2) or not (hasattr(law, "means") or isinstance(law, LineSource)):
            raise ValueError(
                f"BinnedJSD needs a density on the line or a mixture in the plane, and this data has shape {source.shape}"
            )
        side = cells if d == 1 else math.isqrt(cells)
        if side < 2 or side**d != cells:
            raise ValueError(f"cells must be >= 2 on the line and a square >= 4 in the plane, got {cells}")
        self.d, self.side = d, side
        self.edges, self.cuts = _edges(law, d, side)
        self.add_state("counts", torch.zeros(cells, dtype=torch.long), dist_reduce_fx="sum")
        for name in ("n", "unclear"):
            self.add_state(name, torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, x: Tensor, real: bool) -> None:
        if real:
            return
        x = x.detach().cpu().double()
        known = x[x.isfinite().all(1)]
        cell = torch.searchsorted(self.edges, known[:, 0].contiguous())
        if self.d == 2:
            cell = cell * self.side + torch.searchsorted(self.cuts[cell], known[:, 1:].contiguous())[:, 0]
        self.counts += torch.bincount(cell, minlength=len(self.counts)).to(self.counts.device)
        self.n += len(x)
        self.unclear += len(x) - len(known)

    @property
    def bias(self) -> float:
        """(B - 1) / 8n."""
        return (len(self.counts) - 1) / (8 * int(self.n))

    def compute(self) -> Tensor:
        log_q = (self.counts.cpu().double() / int(self.n)).log()
        log_p = torch.full_like(log_q, -math.log(len(log_q)))
        return torch.where(self.unclear.cpu() > 0, math.nan, jsd(log_p, log_q) - self.bias)


def _edges(law: Any, d: int, side: int) -> tuple[Tensor, Tensor]:
    """Where the first coordinate is cut, [side - 1], and for each strip of it the second, [side, side - 1]; float64."""
    u = torch.arange(1, side, dtype=torch.float64) / side
    if not hasattr(law, "means"):
        return law.quantile(u), torch.empty(0)
    means, stds, weights = (a.double().cpu() for a in (law.means, law.stds, law.weights))
    edges = quantiles(u, means[:, 0], stds[:, 0], (weights / weights.sum())[None])[0]
    if d == 1:
        return edges, torch.empty(0)
    below = torch.special.ndtr((edges[:, None] - means[:, 0]) / stds[:, 0])  # [side - 1, K]
    inside = torch.cat([below, torch.ones_like(below[:1])]).diff(dim=0, prepend=torch.zeros_like(below[:1])) * weights
    if not hasattr(law, "covariances"):
        return edges, quantiles(u, means[:, 1], stds[:, 1], inside / inside.sum(1, keepdim=True))
    return edges, torch.cat([_cut_within(u, *strip, law) for strip in _strips(edges)])


def _strips(edges: Tensor) -> list[tuple[float, float]]:
    ends = [-math.inf, *edges.tolist(), math.inf]
    return list(pairwise(ends))


def _cut_within(u: Tensor, low: float, high: float, law: Any) -> Tensor:
    """Quantiles [1, m] of the second coordinate in a strip of the first, where they depend on each other: given the first, the
    second is normal, with a mean that moves; the strip is a mixture of these over the nodes of a quadrature."""
    found = []
    for mean, cov, weight in zip(law.means.double().cpu(), law.covariances, law.weights.double().cpu(), strict=True):
        std = cov[0, 0].sqrt()
        a, b = ((torch.tensor(end, dtype=torch.float64) - mean[0]) / std for end in (low, high))
        a, b = a.clamp(-REACH, REACH), b.clamp(-REACH, REACH)
        if a == b:
            continue
        t, share = quadrature(torch.linspace(a.item(), b.item(), PANELS + 1).tolist(), NODES)
        share = weight * share * torch.exp(-0.5 * t.square())
        rest = (cov[1, 1] - cov[0, 1] ** 2 / cov[0, 0]).sqrt()
        found.append((mean[1] + cov[0, 1] / std * t, rest.expand_as(t), share))
    means, stds, weights = (torch.cat(parts) for parts in zip(*found, strict=True))
    return quantiles(u, means, stds, (weights / weights.sum())[None])


def quantiles(u: Tensor, means: Tensor, stds: Tensor, weights: Tensor) -> Tensor:
    """F^{-1}(u [m]) of mixtures of the same Gaussians [K] on the line with other weights [s, K], by bisection, [s, m]."""
    low = torch.full([len(weights), len(u)], (means - 40 * stds).min().item(), dtype=torch.float64)
    high = torch.full_like(low, (means + 40 * stds).max().item())
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        F = torch.einsum("smk,sk->sm", torch.special.ndtr((middle[..., None] - means) / stds), weights)
        short = u > F
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    return (low + high) / 2
