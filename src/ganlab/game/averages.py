"""Averages of G over its iterations: how large a share of an average the newest G is, which the host knows from t alone.

After iteration t (from 0), average <- average + share(t) (G - average).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ganlab.errors import at_least_one


class Average:
    """G_ema is G itself. The base class of averages: `shares` has one for each that is kept, the first of which is G_ema."""

    on = False  # whether G_ema is another net than G
    stds: tuple[float, ...] = ()  # of the profiles that are kept, relative to t, where any other can be made of them afterwards
    every = 0  # iterations between two snapshots of them; 0 = none

    def shares(self, t: int) -> tuple[float, ...]:
        """In 0..1."""
        return (1.0,)


class Decay(Average):
    """An exponential average of at most `decay`. Its ramp, (1 + t) / (ramp + t), forgets the initial weights: of a limit r,
    iteration t has a weight that grows as t^(r - 2)."""

    def __init__(self, decay: float, ramp: float) -> None:
        if not 0 <= decay < 1 or not ramp > 1:
            raise ValueError(f"an average needs 0 <= decay < 1 and ramp > 1, got decay={decay} and ramp={ramp}")
        self.decay, self.ramp, self.on = decay, ramp, decay > 0

    def shares(self, t: int) -> tuple[float, ...]:
        return (1 - min(self.decay, (1 + t) / (self.ramp + t)),)


class HalfLife(Average):
    """StyleGAN2's (Karras et al., 2020; its training loop): after `images` real images a weight has halved, at first already
    after the share `ramp` of those seen so far. `per_iteration`: real images of one iteration."""

    on = True

    def __init__(self, images: float, ramp: float, per_iteration: int) -> None:
        if not (images > 0 and ramp > 0):
            raise ValueError(f"a half-life needs images > 0 and ramp > 0, got images={images} and ramp={ramp}")
        at_least_one(per_iteration=per_iteration)
        self.images, self.ramp, self.per_iteration = images, ramp, per_iteration

    def shares(self, t: int) -> tuple[float, ...]:
        life = min(self.images, self.ramp * t * self.per_iteration)
        return (1 - 0.5 ** (self.per_iteration / max(life, 1e-8)),)


class Power(Average):
    """Karras et al. (2024), section 3: iteration t weighs t^gamma, so that the profile widens with t; its standard deviation is
    `stds` times t (.05 and .10 in the paper). Of snapshots every `every` iterations any other width is made afterwards:
    `synthesis`. The first of `stds` is sampled and scored while it trains."""

    on = True

    def __init__(self, stds: list[float], every: int) -> None:
        at_least_one(every=every)
        if len(set(stds)) < len(stds) or not stds:
            raise ValueError(f"power averages need stds that differ, got {stds}")
        self.stds, self.every = tuple(stds), every
        self._exponents = [exponent_of(std) for std in stds]

    def shares(self, t: int) -> tuple[float, ...]:
        """1 - beta_t, beta_t = (1 - 1/t)^(gamma + 1), t from 1 (equation 127)."""
        return tuple(1 - (t / (t + 1)) ** (gamma + 1) for gamma in self._exponents)


WIDEST = math.sqrt(1 / 12)  # gamma = 0: all iterations alike


def exponent_of(std: float) -> float:
    """gamma of the profile t^gamma on 0..1 whose standard deviation is std: (gamma + 1) / ((gamma + 2)^2 (gamma + 3)) = std^2
    (equations 123 and 126), the largest root. ValueError beyond 0 < std < sqrt(1/12), the width of gamma = 0."""
    if not 0 < std < WIDEST:
        raise ValueError(f"the relative width of an average lies in 0..{WIDEST:.3f}, got {std}")
    low, high = 0.0, 1.0

    def width(gamma: float) -> float:
        return math.sqrt((gamma + 1) / (gamma + 3)) / (gamma + 2)

    while width(high) > std:
        high *= 2
    for _ in range(200):  # it falls with gamma; bisection down to the last bit
        middle = (low + high) / 2
        low, high = (middle, high) if width(middle) > std else (low, middle)
    return (low + high) / 2


def correlations(t_a: Tensor, gamma_a: Tensor, t_b: Tensor, gamma_b: Tensor) -> Tensor:
    """Inner products [a, b] of profiles p(t) = (gamma + 1) t^gamma / T^(gamma + 1) on 0..T (equation 151): T [a] and gamma [a]
    against [b], in float64."""
    t_a, gamma_a, t_b, gamma_b = t_a[:, None], gamma_a[:, None], t_b[None], gamma_b[None]
    exponent = torch.where(t_a < t_b, gamma_b, -gamma_a)
    return (gamma_a + 1) * (gamma_b + 1) * (t_a / t_b) ** exponent / ((gamma_a + gamma_b + 1) * torch.maximum(t_a, t_b))


def synthesis(times: Sequence[int], stds: Sequence[float], t: int, std: float) -> Tensor:
    """Weights [n], of sum 1, of n snapshots, taken after times[i] iterations of the profile of stds[i], whose combination comes
    closest to the profile of std at t: least squares between profiles (Karras et al., 2024, algorithm 3). Float64."""
    kept, wanted = _profiles(times, stds), _profiles([t], [std])
    found: Tensor = torch.linalg.solve(correlations(*kept, *kept), correlations(*kept, *wanted))[:, 0]
    return found / found.sum()


def misfit(weights: Tensor, times: Sequence[int], stds: Sequence[float], t: int, std: float) -> float:
    """How far that combination is from the profile of std at t: the norm of their difference over that of the profile."""
    kept, wanted = _profiles(times, stds), _profiles([t], [std])
    size = correlations(*wanted, *wanted)[0, 0]
    cross, own = weights @ correlations(*kept, *wanted)[:, 0], weights @ correlations(*kept, *kept) @ weights
    return ((size - 2 * cross + own) / size).clamp(min=0).sqrt().item()


def _profiles(times: Sequence[int], stds: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Their T [n] and gamma [n]."""
    return torch.tensor(times, dtype=torch.float64), torch.tensor([exponent_of(std) for std in stds], dtype=torch.float64)
