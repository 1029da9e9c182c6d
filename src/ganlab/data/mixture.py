"""Any mixture of Gaussians, typed on the command line: unequal and correlated components, in any dimension."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from ganlab.data.toy import Mixture
from ganlab.precision import working

ASYMMETRY = 1e-6  # of a covariance, relative to its largest entry: more is no rounding


class Correlated(Mixture):
    """K Gaussians with covariances [K, d, d], of which float64 is kept; `stds` [K, d] are those of the coordinates alone."""

    def __init__(self, means: Tensor, covariances: Tensor, weights: Tensor | None = None) -> None:
        K, d = means.shape if means.dim() == 2 else (0, 0)
        if covariances.shape != (K, d, d):
            raise ValueError(
                f"a mixture of {K} means of {d} coordinates needs covariances [{K}, {d}, {d}], got {list(covariances.shape)}"
            )
        covariances = covariances.double().cpu()
        for i, each in enumerate(covariances):
            if not bool(each.isfinite().all()):
                raise ValueError(f"covariance {i} is not finite: give numbers")
            if (each - each.T).abs().max() > ASYMMETRY * each.abs().max():
                raise ValueError(f"covariance {i} is not symmetric: entries across the diagonal have to be the same")
            if torch.linalg.cholesky_ex(each).info:
                least = torch.linalg.eigvalsh(each)[0].item()
                raise ValueError(
                    f"covariance {i} is not positive definite: its smallest eigenvalue is {least:g}, and must be > 0"
                )
        super().__init__(means, covariances.diagonal(dim1=1, dim2=2).sqrt().to(means.dtype), weights)
        self.covariances = covariances
        factors = torch.linalg.cholesky(covariances)
        self.factors = factors.to(means.dtype)  # L, covariance = L L^T
        self.inverse = torch.linalg.inv(factors).to(means.dtype)

    @property
    def distribution(self) -> MixtureSameFamily:
        means, weights = (a.double().cpu() for a in (self.means, self.weights))
        normals = MultivariateNormal(means, scale_tril=torch.linalg.cholesky(self.covariances))
        return MixtureSameFamily(Categorical(weights / weights.sum()), normals)

    def deviations(self, x: Tensor) -> Tensor:
        white = torch.einsum("kij,nkj->nki", self.inverse.to(x.dtype), x[:, None] - self.means)
        return white.square().sum(2).sqrt()

    def blurred(self, std: float | Tensor) -> Correlated:
        noise = torch.as_tensor(std, dtype=torch.float64).square().expand(len(self.covariances[0])).diag()
        return Correlated(self.means, self.covariances + noise, self.weights)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        y = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, *self.shape, generator=generator, device=generator.device)
        return self.means[y] + torch.einsum("nij,nj->ni", self.factors[y], noise), y

    def to(self, device: torch.device) -> Correlated:
        moved = copy.copy(super().to(device))
        assert isinstance(moved, Correlated)
        moved.factors, moved.inverse = self.factors.to(device), self.inverse.to(device)
        return moved


def mixture(
    means: Sequence[Any], stds: Any = None, covariances: Sequence[Any] | None = None, weights: Sequence[float] | None = None
) -> Mixture:
    """Gaussians at `means`, K rows of d coordinates each. `stds` is one number for all; or a list of K, one per component; or
    rows of d, one per coordinate: K of them, or one for all. In their place `covariances`: K matrices [d, d], or one for all.
    `weights` are shares, equal where there are none. Raises ValueError."""
    m = _numbers("means", means)
    if m.dim() != 2:
        raise ValueError("means must be rows of coordinates, as [[0,0],[2,1]]")
    (K, d), w = m.shape, None if weights is None else _numbers("weights", weights)
    if (stds is None) == (covariances is None):
        both = "stds and covariances are both given" if covariances is not None else "neither stds nor covariances are given"
        raise ValueError(f"{both}: give one, and set the other to null")
    if covariances is not None:
        c = _numbers("covariances", covariances)
        if c.dim() == 2:
            c = c.expand(K, *c.shape)
        return Correlated(working(m), c, None if w is None else working(w))
    s = _numbers("stds", stds)
    if s.shape not in ((), (K,), (1, d), (K, 1), (K, d)):
        raise ValueError(
            f"stds of shape {list(s.shape)} do not fit means of shape {[K, d]}: give one number, a list of {K}, or rows of {d}"
        )
    s = (s[:, None] if s.dim() == 1 else s).expand(K, d)
    return Mixture(working(m), working(s), None if w is None else working(w))


def _numbers(name: str, value: Any) -> Tensor:
    """A number or nested lists of them, float64."""

    def checked(part: Any) -> Any:
        if isinstance(part, Sequence) and not isinstance(part, str):
            return [checked(each) for each in part]
        if isinstance(part, bool) or not isinstance(part, int | float):
            raise ValueError(f"{name} must be numbers, got {str(part)[:40]!r}")
        return float(part)

    try:
        return torch.tensor(checked(value), dtype=torch.float64)
    except ValueError as error:
        if "must be numbers" in str(error):
            raise
        raise ValueError(f"{name} must be rows of the same length") from error
