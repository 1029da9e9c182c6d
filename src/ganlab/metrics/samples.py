"""What metrics that compare two samples have in common: they keep both."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torchmetrics import Metric

from ganlab.types import Extractor


class TwoSamples(Metric):
    """Keeps all samples and all real points, as [n, prod S]; joined by `dim_zero_cat` in `compute`. `reset` forgets the samples
    only: what is real does not change while G trains.

    `version` is part of the provenance of each value: raise it when the same samples would get another one. `least` is the
    smallest number of samples, and `least_real` of real points, that it can be computed on.
    """

    full_state_update = False
    version = 1
    least = least_real = 1
    real: list[Tensor]
    fake: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(sync_on_compute=False, **kwargs)
        self.add_state("real", [], dist_reduce_fx="cat")
        self.add_state("fake", [], dist_reduce_fx="cat")

    def update(self, x: Tensor, real: bool) -> None:
        (self.real if real else self.fake).append(x.flatten(1))

    def reset(self) -> None:
        real = list(self.real)
        super().reset()
        self.real = real


class TwoFeatures(TwoSamples):
    """Keeps the features [n, d] that an extractor sees in both."""

    def __init__(self, extractor: Extractor, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.extractor = extractor

    def update(self, x: Tensor, real: bool) -> None:
        super().update(self.extractor(x).features, real)
