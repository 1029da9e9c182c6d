"""Distances between the outputs of a critic on two minibatches: D makes them large, G small. Unbiased in the minibatch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ganlab.game.losses import UNBOUNDED
from ganlab.game.players import Players
from ganlab.types import Back


class _Discrepancy:
    def between(self, real: Tensor, fake: Tensor) -> Tensor:
        raise NotImplementedError

    def d(self, real: Tensor, fake: Tensor) -> Tensor:
        return -self.between(real, fake)

    def g(self, fake: Tensor, real: Back) -> Tensor:
        return self.between(real(), fake)

    def doubts(self, play: Players) -> Iterator[str]:
        if not play.bounded():
            yield UNBOUNDED


@dataclass(frozen=True)
class Energy(_Discrepancy):
    """The energy distance of D's outputs a on data and b on samples, 2 E|a - b| - E|a - a'| - E|b - b'| (Szekely and Rizzo,
    2013), as in Cramer GAN (Bellemare et al., 2017) with a critic of one number. It grows with D's scale, which a penalty has
    to hold; minibatches of one are refused."""

    def between(self, real: Tensor, fake: Tensor) -> Tensor:
        def distance(a: Tensor, b: Tensor) -> Tensor:
            return (a[:, None] - b).abs()

        return 2 * distance(real, fake).mean() - _apart(distance(real, real)) - _apart(distance(fake, fake))


@dataclass(frozen=True)
class MeanDiscrepancy(_Discrepancy):
    """The squared maximum mean discrepancy of D's outputs (Li et al., 2017), with the sum of the rational quadratic kernels
    (1 + r^2 / (2 alpha))^-alpha for alpha in `alphas` (Binkowski et al., 2018, section 4.1), which see several scales."""

    alphas: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.alphas or not all(alpha > 0 for alpha in self.alphas):
            raise ValueError(f"alphas must be > 0, at least one of them, got {list(self.alphas)}")

    def between(self, real: Tensor, fake: Tensor) -> Tensor:
        def kernel(a: Tensor, b: Tensor) -> Tensor:
            squared = (a[:, None] - b).square()
            return torch.stack([(1 + squared / (2 * alpha)) ** -alpha for alpha in self.alphas]).sum(0)

        return _apart(kernel(real, real)) + _apart(kernel(fake, fake)) - 2 * kernel(real, fake).mean()


def _apart(square: Tensor) -> Tensor:
    """The mean [B, B] -> [] over pairs of different examples. Raises ValueError where there are none."""
    n = len(square)
    if n < 2:
        raise ValueError("this loss compares examples with each other, and D sees one at a time: make batch_size larger")
    return (square.sum() - square.diagonal().sum()) / (n * (n - 1))
