"""Sliced Wasserstein distance, for points of any dimension without a known density."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from ganlab.errors import at_least_one
from ganlab.metrics.samples import TwoSamples
from ganlab.random import generator_of
from ganlab.types import Source


class SlicedWasserstein(TwoSamples):
    """Mean W1 between n samples and n real points over random directions (Bonneel et al., 2015), in units of x.

    Its value between two real samples is not 0 but falls as 1/sqrt(n); in one dimension it is W1 itself.
    """

    higher_is_better = False
    directions: Tensor  # [prod S, directions]

    def __init__(self, source: Source, directions: int = 128, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        at_least_one(directions=directions)
        generator = generator_of(0, "directions")
        normals = torch.randn(directions, *source.shape, generator=generator).flatten(1)
        self.register_buffer("directions", (normals / normals.norm(dim=1, keepdim=True)).T)  # [prod S, directions]

    def compute(self) -> Tensor:
        real, fake = (
            (dim_zero_cat(part) @ self.directions).sort(0).values for part in (self.real, self.fake)
        )  # [n, directions]
        N = max(len(real), len(fake))  # levels at which both quantile functions are compared: all, for equal ones
        u = (torch.arange(N, device=real.device, dtype=torch.float64) + 0.5) / N
        a, b = (part[(u * len(part)).long()] for part in (real, fake))  # [N, directions]
        return (a - b).abs().mean()
