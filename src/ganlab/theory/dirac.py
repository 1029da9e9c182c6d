"""The Dirac-GAN, the smallest GAN: Mescheder et al. (2018), "Which training methods for GANs do actually converge?", section 2.

Data is a point mass at 0, p_g a point mass at theta, D is linear with the weight psi. D ascends f(psi theta) + f(0) with
f(t) = -log(1 + e^-t): psi x is the logit of x being *generated*, the logit of this package's D is -psi x. All in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor
from torch.func import jacrev, vjp

Pair = tuple[Tensor, Tensor]  # of theta and of psi
Field = Callable[[Tensor, Tensor], Pair]  # (theta, psi) -> (v_theta, v_psi): minus the gradient of each player's own loss
Term = Callable[[Field, Tensor, Tensor], Pair]  # (field, theta, psi) -> what a regulariser takes off the field
Step = Callable[[Tensor], Tensor]  # one iteration on points (theta, psi) [..., 2]


def minimax(theta: Tensor, psi: Tensor) -> Pair:
    """G descends what D ascends; f'(t) = sigmoid(-t)."""
    slope = torch.sigmoid(-psi * theta)
    return -psi * slope, theta * slope


def non_saturating(theta: Tensor, psi: Tensor) -> Pair:
    """D as in minimax, G ascends f(-psi theta)."""
    t = psi * theta
    return -psi * torch.sigmoid(t), theta * torch.sigmoid(-t)


def wasserstein(theta: Tensor, psi: Tensor) -> Pair:
    """f(t) = t."""
    return -psi, theta


def instance_noise(std: float, nodes: int = 64) -> Field:
    """Minimax with N(0, std^2) added to data and samples (Sønderby et al., 2017): its expectation, by Gauss-Hermite."""
    node, weight = map(torch.from_numpy, hermegauss(nodes))
    noise, weight = std * node, weight / weight.sum()  # [nodes]

    def field(theta: Tensor, psi: Tensor) -> Pair:
        # f'(t) = (1 - tanh(t/2))/2, and E noise = 0 is left out: in floating point it is 1e-17, which nothing falls below
        fake, half = theta[..., None] + noise, psi[..., None] / 2  # [..., nodes]
        odd = torch.tanh(half * fake)
        slope = (1 - (odd * weight).sum(-1)) / 2
        return -psi * slope, (theta - ((fake * odd + noise * torch.tanh(half * noise)) * weight).sum(-1)) / 2

    return field


def none(field: Field, theta: Tensor, psi: Tensor) -> Pair:
    """No regulariser."""
    return torch.zeros_like(theta), torch.zeros_like(psi)


def r1(gamma: float) -> Term:
    """Of gamma/2 psi^2 in D's loss: `penalties.R1`, and R2 as well, for D's gradient is the same everywhere."""
    return lambda field, theta, psi: (torch.zeros_like(theta), gamma * psi)


def gradient_penalty(weight: float, target: float = 1.0) -> Term:
    """Of weight (|psi| - target)^2 in D's loss: `penalties.GradientPenalty`. It has no derivative at psi = 0."""
    return lambda field, theta, psi: (torch.zeros_like(theta), 2 * weight * (psi.abs() - target) * psi.sign())


def consensus(gamma: float) -> Term:
    """Of gamma/2 |v|^2 in both losses, v the field (Mescheder et al., 2017): gamma J^T v."""

    def term(field: Field, theta: Tensor, psi: Tensor) -> Pair:
        v, transposed = vjp(field, theta, psi)[:2]
        r_theta, r_psi = transposed(v)
        return gamma * r_theta, gamma * r_psi

    return term


@dataclass(frozen=True)
class Method:
    """A loss, what regularises it, and the interval [-clip, clip] that psi is brought back to after each of its steps."""

    loss: Field
    term: Term = none
    clip: float = math.inf

    def field(self, theta: Tensor, psi: Tensor) -> Pair:
        (v_theta, v_psi), (r_theta, r_psi) = self.loss(theta, psi), self.term(self.loss, theta, psi)
        return v_theta - r_theta, v_psi - r_psi

    def project(self, psi: Tensor) -> Tensor:
        return psi.clamp(-self.clip, self.clip)


METHODS = {  # those of the paper's code, at its settings: LMescheder/GAN_stability, notebooks/DiracGAN.ipynb
    "minimax": Method(minimax),
    "non_saturating": Method(non_saturating),
    "wasserstein_clip_1": Method(wasserstein, clip=1.0),
    "wasserstein_gp_0.35": Method(wasserstein, gradient_penalty(0.35)),  # its code says .7, with a 1/2 in front
    "instance_noise_0.7": Method(instance_noise(0.7)),
    "minimax_r1_0.3": Method(minimax, r1(0.3)),
    "minimax_r1_1": Method(minimax, r1(1.0)),  # critical: the eigenvalues meet
    "consensus_1": Method(minimax, consensus(1.0)),  # its code halves a term of this gradient, of third order, by mistake
    "non_saturating_r1_0.3": Method(non_saturating, r1(0.3)),
}


def simultaneous(method: Method, h: float | Tensor) -> Step:
    """Both players step from the same point."""

    def step(w: Tensor) -> Tensor:
        theta, psi = w.unbind(-1)
        v_theta, v_psi = method.field(theta, psi)
        return torch.stack([theta + h * v_theta, method.project(psi + h * v_psi)], -1)

    return step


def alternating(method: Method, h: float | Tensor, k: int = 1) -> Step:
    """Algorithm 1 of Goodfellow et al. (2014): k steps of D, then one of G."""
    D, G = _players(method, h, k)
    return lambda w: G(D(w))


def alternating_generator_first(method: Method, h: float | Tensor, k: int = 1) -> Step:
    """One step of G, then k of D, the order of the paper's code: the rate of `alternating`, on another path."""
    D, G = _players(method, h, k)
    return lambda w: D(G(w))


def _players(method: Method, h: float | Tensor, k: int) -> tuple[Step, Step]:
    """k steps of D, and one step of G."""

    def D(w: Tensor) -> Tensor:
        theta, psi = w.unbind(-1)
        for _ in range(k):
            psi = method.project(psi + h * method.field(theta, psi)[1])
        return torch.stack([theta, psi], -1)

    def G(w: Tensor) -> Tensor:
        theta, psi = w.unbind(-1)
        return torch.stack([theta + h * method.field(theta, psi)[0], psi], -1)

    return D, G


def flow(method: Method, h: float) -> Step:
    """The continuous field over a time h, by the classical Runge-Kutta method of order 4; unclipped."""
    v = _vectors(method)

    def step(w: Tensor) -> Tensor:
        a = v(w)
        b = v(w + h / 2 * a)
        c = v(w + h / 2 * b)
        return w + h / 6 * (a + 2 * b + 2 * c + v(w + h * c))

    return step


def _vectors(method: Method) -> Step:
    return lambda w: torch.stack(method.field(*w.unbind(-1)), -1)


def trajectory(step: Step, start: Tensor, n: int) -> Tensor:
    """The points after 0, 1, ..., n iterations, [n + 1, ..., 2] from start [..., 2]."""
    points = [start]
    for _ in range(n):
        points.append(step(points[-1]))
    return torch.stack(points)


def jacobian(method: Method) -> Tensor:
    """The derivative of the field at the equilibrium (0, 0), [2, 2]."""
    return _derivative(_vectors(method))


def rate(step: Step) -> float:
    """What the distance to the equilibrium (0, 0) is multiplied by in one iteration, once near it: the spectral radius."""
    return torch.linalg.eigvals(_derivative(step)).abs().max().item()


def _derivative(f: Step) -> Tensor:
    return jacrev(f)(torch.zeros(2, dtype=torch.float64))
