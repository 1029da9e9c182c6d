"""Maximum mean discrepancy (Gretton et al., 2012): of features, where it is KID, and of points."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics.image.kid import maximum_mean_discrepancy, poly_kernel
from torchmetrics.utilities import dim_zero_cat

from ganlab.errors import at_least_one
from ganlab.metrics.samples import TwoFeatures, TwoSamples, finite, float64, nan
from ganlab.types import Extractor, Source

SEED = 2020  # torch-fidelity's, whose draws these are
HALVINGS = 6  # the widths of MMD's kernels: 4, 2, 1, 1/2, ... 1/16 of the median distance
MEDIAN_OF = 1000  # real points whose distances give the median
CHUNK = 1024  # points whose distances to all others are held at once


class KernelDistance(TwoFeatures):
    """KID (Binkowski et al., 2018): the unbiased MMD^2 of features under the kernel (x.y / d + 1)^3, the mean over random
    subsets of equal size. 0 on equal laws at any n, where single values lie around 0 and half of them below. NaN where a
    sample is not finite.

    Subsets are those of torch-fidelity with the samples as its first input: its value comes out. Fewer than `subset_size`
    samples make smaller subsets, and one subset of all where both are as few. After `compute`, `std` is the standard deviation
    over subsets, and `subsets` of them overlap: their standard error is no error of the score.
    """

    higher_is_better = False
    least = least_real = 2

    def __init__(self, extractor: Extractor, subsets: int = 100, subset_size: int = 1000, **kwargs: Any) -> None:
        super().__init__(extractor, **kwargs)
        at_least_one(subsets=subsets)
        if subset_size < 2:
            raise ValueError(f"subset_size must be >= 2, got {subset_size}")
        self.subsets, self.subset_size = subsets, subset_size
        self.std = math.nan

    @property
    def details(self) -> dict[str, float]:
        return {"std": self.std}

    def compute(self) -> Tensor:
        if not finite(self.real, self.fake):
            return nan()
        real, fake = dim_zero_cat(self.real), dim_zero_cat(self.fake)
        size = min(self.subset_size, len(real), len(fake))
        draw = np.random.RandomState(SEED)
        values = []
        for _ in range(1 if size == len(real) == len(fake) else self.subsets):
            x, y = (a[torch.from_numpy(draw.choice(len(a), size, replace=False)).to(a.device)] for a in (fake, real))
            # the products are most of the work and their rounding cancels; what they are the terms of does not
            values.append(maximum_mean_discrepancy(*(float64(poly_kernel(*pair)) for pair in ((x, x), (x, y), (y, y)))))
        self.std = torch.stack(values).std(correction=0).item()
        return torch.stack(values).mean()


class MMD(TwoSamples):
    """The unbiased MMD^2 of points under the mean of Gaussian kernels exp(-r^2 / 2 w^2), whose widths w are 4, 2, 1, 1/2, ...
    1/16 of the median distance between real points (the first 1,000): at most 2, and 0 on equal laws at any n, where single
    values lie around 0. NaN where a sample is not finite, or all real points are the same.
    """

    higher_is_better = False
    least = least_real = 2

    def __init__(self, source: Source, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def compute(self) -> Tensor:
        if not finite(self.real, self.fake):
            return nan()
        real, fake = (float64(dim_zero_cat(part)) for part in (self.real, self.fake))
        width = 4 * torch.pdist(real[:MEDIAN_OF]).median()
        if not bool(width > 0):
            return nan()
        n, m = len(real), len(fake)
        within = (_kernels(real, real, width) - n) / (n * (n - 1)) + (_kernels(fake, fake, width) - m) / (m * (m - 1))
        return within - 2 * _kernels(real, fake, width) / (n * m)


def _kernels(a: Tensor, b: Tensor, width: Tensor) -> Tensor:
    """The sum of the kernel over all pairs of a [n, d] and b [m, d]; of a with itself, n of them are 1."""
    total = a.new_zeros(())
    for part in a.split(CHUNK):
        kernel = torch.exp(torch.cdist(part, b).div_(width).square_().div_(-2))  # [CHUNK, m]
        total += kernel.sum()
        for _ in range(HALVINGS):
            kernel.square_().square_()  # half the width
            total += kernel.sum()
    return total / (HALVINGS + 1)
