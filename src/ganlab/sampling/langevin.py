"""Discriminator driven latent sampling (Che et al., 2020): Langevin dynamics of z."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ganlab.errors import above_zero, at_least_one
from ganlab.sampling.judged import Drawn, Judged

TOGETHER = 1000  # chains whose graphs are held at once


def log_density_and_gradient(log_density: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """log p(z) [n], up to a constant, and its gradient [n, Z]; z is left alone."""
    with torch.enable_grad():
        z = z.detach().requires_grad_(True)
        value = log_density(z)
        (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient


def log_transition(to: Tensor, start: Tensor, gradient: Tensor, step: float) -> Tensor:
    """log of the density [n], up to a constant, with which a Langevin step from `start` [n, Z], where log p has this gradient,
    leads `to` there: N(start + step / 2 gradient, step I)."""
    return -(to - start - step / 2 * gradient).double().square().sum(1) / (2 * step)


class Langevin:
    """n chains of K steps in z, each from a draw of p_z, along the gradient of log p_z(z) + logit D(G(z)), minus the energy of
    the paper; its G(z) have the law p_data if D is optimal and p_g covers it. `adjusted`: steps are accepted or not, as
    Metropolis has it, and the law is exact for any step size; else, as in the paper, all are taken that stay in the support of
    p_z."""

    gradient = True

    def __init__(self, K: int, step: float, adjusted: bool) -> None:
        at_least_one(K=K)
        above_zero(step=step)
        self.K, self.step, self.adjusted = K, step, adjusted

    def __call__(self, judged: Judged, n: int, generator: torch.Generator) -> Drawn:
        ends, taken = [], 0
        z, y = judged.propose(n, generator)
        for part in zip(z.split(TOGETHER), y.split(TOGETHER), strict=True):
            end, count = self._walk(judged, *part, generator)
            ends.append(end)
            taken += count
        return Drawn(torch.cat(ends), y, {"accepted": taken / (n * self.K)})

    def _walk(self, judged: Judged, z: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, int]:
        def log_p(z: Tensor) -> Tensor:
            return judged.log_prior(z) + judged.logit(z, y)

        value, gradient = log_density_and_gradient(log_p, z)
        taken = 0
        for _ in range(self.K):
            noise = torch.randn(z.shape, generator=generator, dtype=z.dtype).to(z.device)
            to = z + self.step / 2 * gradient + self.step**0.5 * noise
            value_to, gradient_to = log_density_and_gradient(log_p, to)
            u = torch.rand(len(z), generator=generator, dtype=torch.float64).to(z.device)
            if self.adjusted:
                back = log_transition(z, to, gradient_to, self.step) - log_transition(to, z, gradient, self.step)
                goes = u.log() < value_to - value + back
            else:
                goes = value_to > -torch.inf
            z, gradient = (torch.where(goes[:, None], b, a) for a, b in ((z, to), (gradient, gradient_to)))
            value, taken = torch.where(goes, value_to, value), taken + int(goes.sum())
        return z, taken
