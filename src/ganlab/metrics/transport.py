"""The exact Wasserstein distance between two samples, by optimal transport."""

from __future__ import annotations

from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from ganlab.errors import at_least_one
from ganlab.metrics.samples import TwoSamples
from ganlab.types import Source


class Transport(TwoSamples):
    """W1 between n samples and n real points, in units of x: the least mean distance of any pairing of the two. n is at most
    `most`, the first ones of each: the time grows with its cube, 0.2 s for 1,000.

    NaN where a sample is not finite. Between two real samples it is not 0; it falls as 1/sqrt(n) on the line and slower in
    more dimensions.
    """

    higher_is_better = False

    def __init__(self, source: Source, most: int = 1000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        at_least_one(most=most)
        self.most = most

    def compute(self) -> Tensor:
        real, fake = (dim_zero_cat(part).double().cpu() for part in (self.real, self.fake))
        n = min(len(real), len(fake), self.most)
        cost = torch.cdist(real[:n], fake[:n], compute_mode="donot_use_mm_for_euclid_dist")  # [n, n]
        if not bool(cost.isfinite().all()):
            return torch.tensor(torch.nan)
        pairs = linear_sum_assignment(cost.numpy())
        return cost[pairs].mean()
