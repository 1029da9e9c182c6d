"""Distances between p_data and p_g, D* and the value of the game, from log-masses.

Every function takes log P and log Q [M]: the logs of the masses of p_data and p_g on the same M cells, which sum to 1; -inf
is no mass. Densities become masses by `quadrature`, and the sums below their integrals. All values are in nats. Masses of
cells may also be those of true intervals: JSD, KL and total variation are then lower bounds of those of the distributions,
for lumping points together never makes two distributions easier to tell apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor
from torch.nn.functional import logsigmoid

LOG2, LOG4 = math.log(2), math.log(4)


def quadrature(breaks: Sequence[float], nodes: int) -> tuple[Tensor, Tensor]:
    """Points and weights [M] of Gauss and Legendre's rule, so many between each two neighbours of `breaks`: put there the
    ends, and where a density jumps or has a kink. log density + log weight is a log-mass."""
    node, weight = map(torch.from_numpy, leggauss(nodes))
    edges = torch.tensor(breaks, dtype=torch.float64)
    half, middle = edges.diff()[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    return (middle + half * node).flatten(), (half * weight).flatten()


def expectation(log_p: Tensor, values: Tensor) -> Tensor:
    """sum P values; a cell without mass adds nothing, whatever its value."""
    return torch.where(log_p == -math.inf, 0.0, log_p.exp() * values).sum()


def log_ratio(log_p: Tensor, log_q: Tensor) -> Tensor:
    """The logit of D*(x) = p_data / (p_data + p_g) (Goodfellow et al., 2014, equation 2); 0 where neither has mass."""
    return torch.where((log_p == -math.inf) & (log_q == -math.inf), 0.0, log_p - log_q)


def mixed(log_p: Tensor, log_q: Tensor) -> Tensor:
    """log of (P + Q) / 2."""
    return torch.logaddexp(log_p, log_q) - LOG2


def kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(P || Q); inf where P has mass and Q has none."""
    return expectation(log_p, log_p - log_q)


def jsd(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Jensen and Shannon's divergence, 0 to log 2: the mean KL of P and of Q to their mixture."""
    m = mixed(log_p, log_q)
    return (kl(log_p, m) + kl(log_q, m)) / 2


def total_variation(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Half the sum of |P - Q|, 0 to 1."""
    return (log_p.exp() - log_q.exp()).abs().sum() / 2


def V(log_p: Tensor, log_q: Tensor, logit: Tensor) -> Tensor:
    """V(D, G) = E log D(x) + E log(1 - D(G(z))) for D's logits [M] on the cells (Goodfellow et al., 2014, equation 1)."""
    return expectation(log_p, logsigmoid(logit)) + expectation(log_q, logsigmoid(-logit))


def C(log_p: Tensor, log_q: Tensor) -> Tensor:
    """C(G) = max_D V(D, G) = -log 4 + 2 JSD (theorem 1), -log 4 to 0."""
    return -LOG4 + 2 * jsd(log_p, log_q)


def identity_error(log_p: Tensor, log_q: Tensor) -> Tensor:
    """|V(D*, G) - (-log 4 + 2 JSD)|, the JSD by another way than `jsd`: entropy of the mixture less the mean entropy."""
    m = mixed(log_p, log_q)
    entropies = (expectation(log_p, log_p) + expectation(log_q, log_q)) / 2 - expectation(m, m)
    return (V(log_p, log_q, log_ratio(log_p, log_q)) - (-LOG4 + 2 * entropies)).abs()


@dataclass(frozen=True)
class FDivergence:
    """D_f(P || Q) = sum Q f(P / Q) = max_T E_P T - E_Q f*(T), with f convex and f(1) = 0 (Nguyen et al., 2010)."""

    T: Callable[[Tensor], Tensor]  # the T that attains it, f'(r), from log r = log P - log Q
    conjugate: Callable[[Tensor], Tensor]  # f*(t)

    def dual(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        T = self.T(log_ratio(log_p, log_q))
        return expectation(log_p, T) - expectation(log_q, self.conjugate(T))


# Nowozin et al. (2016), table 1
F_DIVERGENCES = {
    "kl": FDivergence(lambda log_r: 1 + log_r, lambda t: (t - 1).exp()),
    "reverse_kl": FDivergence(lambda log_r: -(-log_r).exp(), lambda t: -1 - (-t).log()),
    "pearson": FDivergence(lambda log_r: 2 * log_r.expm1(), lambda t: t.square() / 4 + t),
    "squared_hellinger": FDivergence(lambda log_r: -(-log_r / 2).expm1(), lambda t: t / (1 - t)),
    "total_variation": FDivergence(lambda log_r: log_r.sign() / 2, lambda t: t),
    "gan": FDivergence(logsigmoid, lambda t: -(-t.exp()).log1p()),
}
