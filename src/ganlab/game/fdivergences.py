"""f-GAN: the value functions of Nowozin et al. (2016). D's raw output v becomes T = g_f(v), and D ascends
E T(x) - E f*(T(G(z))), a lower bound of D_f(p_data || p_g) that the best D attains; G descends the same.

Written in v, `real` is T and `fake` is f*(T): each pair below is the paper's table of output activations, simplified."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ganlab.game.losses import Pointwise
from ganlab.theory.divergences import LOG2, expectation, jsd, kl, log_ratio, total_variation
from ganlab.types import Cells


class FGAN(Pointwise):
    @abstractmethod
    def T(self, v: Tensor) -> Tensor:
        """g_f(v), elementwise."""

    @abstractmethod
    def conjugate(self, v: Tensor) -> Tensor:
        """f*(g_f(v)), elementwise."""

    def on_data(self, logit: Tensor) -> Tensor:
        return -self.T(logit)

    def on_samples(self, logit: Tensor) -> Tensor:
        return self.conjugate(logit)

    def wanted(self, logit: Tensor) -> Tensor:
        return -self.conjugate(logit)


@dataclass(frozen=True)
class KL(FGAN):
    """KL(p_data || p_g)."""

    def T(self, v: Tensor) -> Tensor:
        return v

    def conjugate(self, v: Tensor) -> Tensor:
        return (v - 1).exp()

    def optimal(self, cells: Cells) -> Tensor:
        return 1 + log_ratio(cells.log_p, cells.log_q)

    def divergence(self, cells: Cells) -> Tensor:
        return kl(cells.log_p, cells.log_q)


@dataclass(frozen=True)
class ReverseKL(FGAN):
    """KL(p_g || p_data)."""

    def T(self, v: Tensor) -> Tensor:
        return -(-v).exp()

    def conjugate(self, v: Tensor) -> Tensor:
        return v - 1

    def optimal(self, cells: Cells) -> Tensor:
        return log_ratio(cells.log_p, cells.log_q)

    def divergence(self, cells: Cells) -> Tensor:
        return kl(cells.log_q, cells.log_p)


@dataclass(frozen=True)
class Pearson(FGAN):
    """chi2(p_data || p_g) = int (p_data - p_g)^2 / p_g dx."""

    def T(self, v: Tensor) -> Tensor:
        return v

    def conjugate(self, v: Tensor) -> Tensor:
        return v.square() / 4 + v

    def optimal(self, cells: Cells) -> Tensor:
        return 2 * log_ratio(cells.log_p, cells.log_q).expm1()

    def divergence(self, cells: Cells) -> Tensor:
        return expectation(cells.log_p, log_ratio(cells.log_p, cells.log_q).exp()) - 1


@dataclass(frozen=True)
class SquaredHellinger(FGAN):
    """int (sqrt p_data - sqrt p_g)^2 dx, 0 to 2."""

    def T(self, v: Tensor) -> Tensor:
        return -(-v).expm1()

    def conjugate(self, v: Tensor) -> Tensor:
        return v.expm1()

    def optimal(self, cells: Cells) -> Tensor:
        return log_ratio(cells.log_p, cells.log_q) / 2

    def divergence(self, cells: Cells) -> Tensor:
        return ((cells.log_p / 2).exp() - (cells.log_q / 2).exp()).square().sum()


@dataclass(frozen=True)
class TotalVariation(FGAN):
    """1/2 int |p_data - p_g| dx, 0 to 1."""

    def T(self, v: Tensor) -> Tensor:
        return v.tanh() / 2

    def conjugate(self, v: Tensor) -> Tensor:
        return v.tanh() / 2

    def optimal(self, cells: Cells) -> Tensor:
        """T = 1/2 sign(p_data - p_g): without bound in v, and 0 where they are equal."""
        ratio = log_ratio(cells.log_p, cells.log_q)
        return torch.where(ratio == 0, 0.0, ratio.sign() * torch.inf)

    def divergence(self, cells: Cells) -> Tensor:
        return total_variation(cells.log_p, cells.log_q)


@dataclass(frozen=True)
class JensenShannon(FGAN):
    """2 JSD(p_data, p_g), 0 to 2 log 2: the game of 2014 with T = log 2 + log D, so that its value is the divergence itself."""

    def T(self, v: Tensor) -> Tensor:
        return LOG2 - softplus(-v)

    def conjugate(self, v: Tensor) -> Tensor:
        """-log(2 - exp T)."""
        return softplus(v) - LOG2

    def optimal(self, cells: Cells) -> Tensor:
        return log_ratio(cells.log_p, cells.log_q)

    def divergence(self, cells: Cells) -> Tensor:
        return 2 * jsd(cells.log_p, cells.log_q)
