"""Terms on what D and G say: near averages, alike for points that are alike, centred; of G, smooth or near its noise."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ganlab.game.augment import Augment
from ganlab.game.players import GLook, Look
from ganlab.game.terms import Term, not_negative
from ganlab.random import normal


class LeCam(Term):
    """Tseng et al. (2021), equation 4: weight * (E (D(x) - a_fake)^2 + E (D(G(z)) - a_real)^2), with a_real and a_fake moving
    averages of D's outputs, of which a share `decay` stays at each step."""

    real: Tensor
    fake: Tensor

    def __init__(self, weight: float, decay: float, every: int = 1) -> None:
        super().__init__(every)
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in 0..1, below 1, got {decay}")
        self.weight, self.decay = not_negative("weight", weight), decay
        self.register_buffer("real", torch.zeros(()))
        self.register_buffer("fake", torch.zeros(()))

    def forward(self, seen: Look) -> Tensor:
        return self.weight * ((seen.on_x - self.fake).square().mean() + (seen.on_fake - self.real).square().mean())

    @torch.no_grad()
    def after_step(self, net: nn.Module, seen: Look) -> None:
        self.real.lerp_(seen.on_x.mean(), 1 - self.decay)
        self.fake.lerp_(seen.on_fake.mean(), 1 - self.decay)


class Centring(Term):
    """weight * (mean of E D(x) and E D(G(z)))^2: nothing else holds the level of D's outputs where only differences count, as
    in relativistic losses and critics (Karras et al., 2018, appendix A.1, hold E D(x)^2 of data)."""

    def __init__(self, weight: float, every: int = 1) -> None:
        super().__init__(every)
        self.weight = not_negative("weight", weight)

    def forward(self, seen: Look) -> Tensor:
        return self.weight * ((seen.on_x.mean() + seen.on_fake.mean()) / 2).square()


class Consistency(Term):
    """CR (Zhang et al., 2020, equation 3): weight * E (D(x) - D(T(x)))^2 on data, with T any augmentation."""

    def __init__(self, weight: float, augment: Augment, every: int = 1) -> None:
        super().__init__(every)
        if getattr(augment, "neutral", False):
            raise ValueError("consistency compares x with an augmented x, and this augmentation does nothing")
        self.weight, self.augment = not_negative("weight", weight), augment

    def forward(self, seen: Look) -> Tensor:
        return self.weight * self.change(seen, "x")

    def change(self, seen: Look, side: str) -> Tensor:
        return (seen.plain(side) - seen.D_plain(self.augment(getattr(seen, side)))).square().mean()


class BalancedConsistency(Consistency):
    """bCR (Zhao et al., 2021, section 3.1): on data and on samples."""

    def __init__(self, weight: float, weight_fake: float, augment: Augment, every: int = 1) -> None:
        super().__init__(weight, augment, every)
        self.weight_fake = not_negative("weight_fake", weight_fake)

    def forward(self, seen: Look) -> Tensor:
        return super().forward(seen) + self.weight_fake * self.change(seen, "fake")


class LatentConsistency(Term):
    """zCR for D (Zhao et al., 2021, section 3.2): weight * E (D(G(z)) - D(G(z + std * N(0, I))))^2."""

    def __init__(self, weight: float, std: float, every: int = 1) -> None:
        super().__init__(every)
        self.weight, self.std = not_negative("weight", weight), not_negative("std", std)

    def forward(self, seen: Look) -> Tensor:
        with torch.no_grad():
            near = seen.G(seen.z + self.std * normal(seen.z.shape, like=seen.z))
        return self.weight * (seen.plain("fake") - seen.D_plain(near)).square().mean()


class LatentDiversity(Term):
    """zCR for G, the other half: -weight * E (G(z) - G(z + std * N(0, I)))^2, a mean over coordinates: samples of noise that is
    close are to differ."""

    of = "G"

    def __init__(self, weight: float, std: float, every: int = 1) -> None:
        super().__init__(every)
        self.weight, self.std = not_negative("weight", weight), not_negative("std", std)

    def forward(self, seen: GLook) -> Tensor:
        near = seen.G(seen.z + self.std * normal(seen.z.shape, like=seen.z))
        return -self.weight * (seen.fake - near).square().mean()


class PathLength(Term):
    """Karras et al. (2020), equation 4: weight * E (||J^T v||_2 - a)^2, J the Jacobian of G by z, v = N(0, I) over the root of
    the pixels of a channel, and a the moving average of that length, of which a share `decay` stays."""

    of = "G"
    mean: Tensor

    def __init__(self, weight: float, decay: float, every: int = 1) -> None:
        super().__init__(every)
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in 0..1, below 1, got {decay}")
        self.weight, self.decay = not_negative("weight", weight), decay
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, seen: GLook) -> Tensor:
        x = seen.fake
        v = normal(x.shape, like=x) / math.sqrt(math.prod(x.shape[2:]))
        length = seen.pull(v).square().sum(1).add(1e-12).sqrt()
        seen.kept[self] = torch.lerp(self.mean.to(length.dtype), length.detach().mean(), 1 - self.decay)
        return self.weight * (length - seen.kept[self]).square().mean()

    @torch.no_grad()
    def after_step(self, net: nn.Module, seen: Any) -> None:
        if self in seen.kept:  # a lazy one has no news in between
            self.mean.copy_(seen.kept[self])


class TransportCost(Term):
    """weight * E ||G(z) - z||^2, where z and x have the same dimension: of all G with the same p_g, the one that moves its
    noise least. On the line that is the monotone one, the inverse CDF (adversarial flow models, 2025, take it for images)."""

    of = "G"

    def __init__(self, weight: float, every: int = 1) -> None:
        super().__init__(every)
        self.weight = not_negative("weight", weight)

    def forward(self, seen: GLook) -> Tensor:
        x = seen.fake.flatten(1)
        if x.shape != seen.z.shape:
            raise ValueError(f"transport moves z to x of as many dimensions, and z has {seen.z.shape[1]}, x {x.shape[1]}")
        return self.weight * (x - seen.z).square().sum(1).mean()
