"""The Frechet distance between Gaussians of the same moments as two samples: FID, where features are Inception's."""

from __future__ import annotations

import logging
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from ganlab.metrics.samples import TwoFeatures, finite, float64, nan
from ganlab.random import generator_of
from ganlab.types import Extractor

log = logging.getLogger(__name__)

CHUNK = 8192  # rows of features that are in float64 at once


class Moments(NamedTuple):
    mean: Tensor  # [d] float64
    cov: Tensor  # [d, d] float64, over n - 1


def moments(x: Tensor) -> Moments:
    """Of x [n, d], n >= 2."""
    mean = sum((float64(part).sum(0) for part in x.split(CHUNK)), torch.zeros((), dtype=torch.float64)) / len(x)
    cov = mean.new_zeros(x.shape[1], x.shape[1])
    for part in x.split(CHUNK):
        centred = float64(part) - mean
        cov.addmm_(centred.T, centred)
    return Moments(mean, cov / (len(x) - 1))


def frechet_distance(mu_a: Tensor, cov_a: Tensor, mu_b: Tensor, cov_b: Tensor) -> Tensor:
    """|mu_a - mu_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2), the squared W2 of N(mu_a, A) and N(mu_b, B) (Dowson and Landau,
    1982); float64, >= 0.

    With A = R R' and B = S S' the last trace is the sum of the singular values of R' S: symmetric to the end, so that no
    square root of a matrix that is not is taken, and without the directions in which a covariance of few samples is 0.
    """
    mu_a, cov_a, mu_b, cov_b = (float64(a) for a in (mu_a, cov_a, mu_b, cov_b))
    cross = _root(cov_a).T @ _root(cov_b)  # [rank A, rank B]
    gram = cross @ cross.T if cross.shape[0] <= cross.shape[1] else cross.T @ cross
    shared = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt().sum()
    return ((mu_a - mu_b).square().sum() + cov_a.trace() + cov_b.trace() - 2 * shared).clamp(min=0)


def _root(cov: Tensor) -> Tensor:
    """R [d, rank] with R R' = cov [d, d]."""
    R, failed = torch.linalg.cholesky_ex(cov)
    if not bool(failed):
        return R
    values, vectors = torch.linalg.eigh(cov)
    known = values > len(cov) * torch.finfo(cov.dtype).eps * values[-1].abs()
    return vectors[:, known] * values[known].sqrt()


class FrechetDistance(TwoFeatures):
    """FID (Heusel et al., 2017): 0 upwards, in units of the features squared. NaN where a sample is not finite.

    Of finite samples it is too large, by what `expected_bias` says: so much falls as 1/n with the smaller n, more steeply
    the more dimensions vary, and scores of different n must not be compared. It takes n >= 2 d to be sure of that
    figure; a warning says so otherwise.
    """

    higher_is_better = False
    least = least_real = 2

    def __init__(self, extractor: Extractor, **kwargs: Any) -> None:
        super().__init__(extractor, **kwargs)
        self.warned = False

    def compute(self) -> Tensor:
        if not finite(self.real, self.fake):
            return nan()
        self._warn()
        return frechet_distance(*self.of_real(moments), *moments(dim_zero_cat(self.fake)))

    @property
    def details(self) -> dict[str, float]:
        return {"expected_bias": self.expected_bias()}

    def expected_bias(self) -> float:
        """The FID to be expected of as many samples as there are if they were of the very law of the real ones.

        That of two random halves of the real features, n / 2 each, brought to these sizes as 1/n: E FID = c (1/n_a + 1/n_b)
        holds to second order for any law. For Gaussians of eigenvalues v_i, c is the sum of v_i (mean), of v_i / 4 and of
        v_i v_j / (2 (v_i + v_j)) over all i, j (covariance): d + d (d + 1) / 4 for N(0, I). Found within 1 % of the mean of
        simulations from n = 2 d, 10 % too low at n = d and 30 % at n = d / 2. NaN of fewer than 4 real points.
        """
        n, m = (sum(map(len, part)) for part in (self.real, self.fake))
        if n < 4 or not finite(self.real):
            return math.nan
        return brought_to(self.of_real(between_halves), n, m)

    def _warn(self) -> None:
        d = self.real[0].shape[1]
        n, m = (sum(map(len, part)) for part in (self.real, self.fake))
        if min(n, m) < 2 * d and not self.warned:
            self.warned = True
            log.warning(
                "FID of %d samples and %d real ones in %d dimensions: were both of the same law it would be about %.3g, not 0; "
                "take at least %d of each, or KID",
                m, n, d, self.expected_bias(), 2 * d,
            )  # fmt: skip


def brought_to(between: float, n: int, m: int) -> float:
    """The FID to be expected of n real ones and m samples of one law, from that `between_halves` of n."""
    return between * (n // 2) / 2 * (1 / n + 1 / m)


def between_halves(x: Tensor) -> float:
    """FID of two random halves of x [n, d]."""
    order = torch.randperm(len(x), generator=generator_of(0, "halves")).to(x.device)
    a, b = order[: len(x) // 2], order[len(x) // 2 : len(x) // 2 * 2]
    return frechet_distance(*moments(x[a]), *moments(x[b])).item()
