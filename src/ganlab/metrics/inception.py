"""Inception score: how sure a classifier is of each sample, and how varied its verdicts are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from ganlab.errors import at_least_one
from ganlab.metrics.samples import float64
from ganlab.types import Extractor

SEED = 2020  # torch-fidelity's, whose shuffle this is


class InceptionScore(Metric):
    """exp E KL(p(y|x) || p(y)) of the samples' logits (Salimans et al., 2016): 1, for verdicts all alike, to K, for sure ones
    spread evenly; the mean over `splits` parts of the samples. NaN where logits are not finite. Real data are ignored: a G that
    shows one perfect image of each class, or of other classes than the data, scores K all the same.

    Each part estimates p(y) from its own n / splits samples, so that the score is too low, the more so the fewer they are; as
    published it is of 50,000 samples and 10 splits. Shuffled and split as torch-fidelity does by default. After `compute`,
    `std` is the standard deviation over the splits.
    """

    full_state_update = False
    higher_is_better = True
    version = 1
    least_real = 0
    logits: list[Tensor]

    def __init__(self, extractor: Extractor, splits: int = 10, **kwargs: Any) -> None:
        super().__init__(sync_on_compute=False, **kwargs)
        at_least_one(splits=splits)
        self.extractor, self.splits, self.least = extractor, splits, splits
        self.std = math.nan
        self.add_state("logits", [], dist_reduce_fx="cat")

    def update(self, x: Tensor, real: bool) -> None:
        if not real:
            self.logits.append(self.extractor(x).logits)

    @property
    def details(self) -> dict[str, float]:
        return {"std": self.std}

    def compute(self) -> Tensor:
        logits = float64(dim_zero_cat(self.logits))  # [n, K]
        n = len(logits)
        logits = logits[torch.from_numpy(np.random.RandomState(SEED).permutation(n)).to(logits.device)]
        scores = torch.stack([_score(logits[i * n // self.splits : (i + 1) * n // self.splits]) for i in range(self.splits)])
        self.std = scores.std(correction=0).item()
        return scores.mean()


def _score(logits: Tensor) -> Tensor:
    log_p = logits.log_softmax(1)  # [n, K]
    log_marginal = log_p.logsumexp(0) - math.log(len(log_p))
    return (log_p.exp() * (log_p - log_marginal)).sum(1).mean().exp()
