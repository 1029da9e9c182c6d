"""Precision, recall, density and coverage: whether samples lie where real ones do, and real ones where samples do, by balls
around each that reach to its k-th nearest neighbour of the same kind."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from ganlab.errors import at_least_one
from ganlab.metrics.samples import TwoFeatures, finite, nan
from ganlab.metrics.several import Several
from ganlab.types import Extractor

BLOCK = 2**23  # distances that are held at once: 32 MB


def prdc(real: Tensor, fake: Tensor, of_real: Tensor, k: int) -> dict[str, float]:
    """All four, of features [n, d] and [m, d], and the `radii` [n] of the real ones. Memory is that of the features twice, and
    of a block of distances."""
    of_fake = radii(fake, k)
    middle = real.mean(0)
    samples_in = torch.zeros(len(fake), dtype=torch.long, device=real.device)  # how many real balls each lies in
    recalled = covered = torch.zeros((), dtype=torch.long, device=real.device)
    for rows, squared in squared_distances(real - middle, fake - middle):  # [c, m]
        samples_in += (squared < of_real[rows, None]).float().sum(0).long()  # sums of bools are slower
        covered = covered + (squared.amin(1) < of_real[rows]).sum()
        recalled = recalled + (squared < of_fake).any(1).sum()
    n, m = len(real), len(fake)
    return {
        "precision": int((samples_in > 0).sum()) / m,
        "recall": int(recalled) / n,
        "density": samples_in.sum().item() / (k * m),
        "coverage": int(covered) / n,
    }


def radii(x: Tensor, k: int) -> Tensor:
    """The squared distance of each of x [n, d], n > k, to its k-th nearest other one, [n]."""
    x = x - x.mean(0)
    squares = x.new_empty(len(x))  # at once: small results between large blocks would leave the heap in pieces
    for rows, squared in squared_distances(x, x):
        squared.diagonal(rows.start).fill_(torch.inf)  # itself
        squares[rows] = squared.topk(k, largest=False).values[:, -1]
    return squares


def squared_distances(a: Tensor, b: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Between a [n, d] and b [m, d] in blocks of rows of a: which rows, and [c, m]. Centred a and b lose the fewest digits."""
    norm = b.square().sum(1)  # [m]
    size = max(1, BLOCK // len(b))
    for start in range(0, len(a), size):
        part = a[start : start + size]
        squared = torch.addmm(norm, part, b.T, alpha=-2)
        yield slice(start, start + len(part)), squared.add_(part.square().sum(1, keepdim=True)).clamp_(min=0)


class PRDC(Several, TwoFeatures):
    """All four, by the definitions of the `prdc` package, with k = 5 as there (Kynkaanniemi et al.: 3). Distances are in
    float32. NaN where a sample is not finite. The neighbours of what is real are searched once, those of samples once for the
    four: each alone costs what all do."""

    def __init__(self, extractor: Extractor, k: int = 5, **kwargs: Any) -> None:
        super().__init__(extractor, **kwargs)
        at_least_one(k=k)
        self.k, self.least, self.least_real = k, k + 1, k + 1
        self._radii = partial(radii, k=k)

    def scores(self) -> dict[str, Tensor]:
        if not finite(self.real, self.fake):
            return dict.fromkeys(self.values, nan())
        found = prdc(dim_zero_cat(self.real), dim_zero_cat(self.fake), self.of_real(self._radii), self.k)
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in found.items()}


class Precision(PRDC, value="precision"):
    """Share of samples in the ball of a real one (Kynkaanniemi et al., 2019), 0 to 1: how real they look. Equal laws stay
    below 1, by how much depends on the law, on n and on k; an outlier among the real ones has a large ball."""

    higher_is_better = True


class Recall(PRDC, value="recall"):
    """Share of real ones in the ball of a sample (Kynkaanniemi et al., 2019), 0 to 1: how much of the data is covered. Equal
    laws stay below 1, as in Precision; scattered samples have large balls, and cover what they should not."""

    higher_is_better = True


class Density(PRDC, value="density"):
    """Real balls that a sample lies in, over k, on average (Naeem et al., 2020): 0 upwards, more where real ones are dense.
    Its mean is 1 on equal laws at any n; more is not better than that, but closer to the real modes."""

    higher_is_better = True


class Coverage(PRDC, value="coverage"):
    """Share of real ones whose ball holds a sample (Naeem et al., 2020), 0 to 1. On equal laws and equal n its mean is
    1 - (n-1)...(n-k) / ((2n-1)...(2n-k)), about 1 - 2^-k = 0.969 for k = 5; more samples raise it."""

    higher_is_better = True
