"""Parzen-window log-likelihood, by the protocol of Goodfellow et al. (2014): a Gaussian of width sigma around each sample of G,
sigma chosen on held-out data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from ganlab.errors import at_least_one
from ganlab.metrics.samples import TwoSamples
from ganlab.types import Source

SIGMAS = tuple(10 ** (i / 9 - 1) for i in range(10))  # the 2014 code's np.logspace(-1, 0, 10)
CHUNK = 200  # points whose distances to all samples are held at once


def log_likelihoods(x: Tensor, samples: Tensor, sigmas: Sequence[float]) -> Tensor:
    """log p(x) in nats, [sigmas, n], for x [n, d] under the mean of N(sample, sigma^2 I) over samples [M, d], for each sigma.

    Distances are computed once for all sigmas; sums are in log space, since at sigma 0.1 every term underflows.
    """
    d, M = samples.shape[1], len(samples)
    norm = samples.square().sum(1)  # [M]
    parts = []
    for part in x.split(CHUNK):
        squared = (part.square().sum(1)[:, None] + norm - 2 * part @ samples.T).clamp_(min=0)  # [CHUNK, M]
        parts.append(torch.stack([torch.logsumexp(squared / (-2 * sigma**2), 1) for sigma in sigmas]))
    scale = torch.tensor([d * math.log(sigma * math.sqrt(2 * math.pi)) + math.log(M) for sigma in sigmas], dtype=x.dtype)
    return torch.cat(parts, 1) - scale.to(x.device)[:, None]


class ParzenWindow(TwoSamples):
    """Mean log-likelihood of real points under the Parzen window of the samples, in nats. The first `valid` real points choose
    sigma among `SIGMAS`, the rest are scored. Images are scored in [0, 1], where the paper has them.

    As in the paper: 10,000 samples, 1,000 points to choose sigma, 10,000 to score. The number of samples matters as much as G
    does: 10,000 real images of MNIST score 241, 1,000 score 114; more than real images score is no better model.
    After `compute`, `details` has `sigma`, the one chosen, and the `standard_error` of the mean over the real points.
    """

    higher_is_better = True
    in_order = True  # the first real points are not as the others

    def __init__(self, source: Source, valid: int = 1000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        at_least_one(valid=valid)
        self.valid, self.least_real, self.images = valid, valid + 1, len(source.shape) == 3
        self.details: dict[str, float] = {}

    def update(self, x: Tensor, real: bool) -> None:
        super().update((x + 1) / 2 if self.images else x, real)

    def compute(self) -> Tensor:
        real, samples = dim_zero_cat(self.real), dim_zero_cat(self.fake)
        best = int(log_likelihoods(real[: self.valid], samples, SIGMAS).mean(1).argmax())
        scores = log_likelihoods(real[self.valid :], samples, [SIGMAS[best]])[0].double()
        self.details = {"sigma": SIGMAS[best], "standard_error": scores.std(correction=0).item() / math.sqrt(len(scores))}
        return scores.mean()
