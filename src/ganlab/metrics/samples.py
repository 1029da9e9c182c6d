"""What metrics that compare two samples as they are have in common."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torchmetrics import Metric


class TwoSamples(Metric):
    """Keeps all samples and all real points, as [n, prod S]; joined by `dim_zero_cat` in `compute`."""

    full_state_update = False
    real: list[Tensor]
    fake: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(sync_on_compute=False, **kwargs)
        self.add_state("real", [], dist_reduce_fx="cat")
        self.add_state("fake", [], dist_reduce_fx="cat")

    def update(self, x: Tensor, real: bool) -> None:
        (self.real if real else self.fake).append(x.flatten(1))
