"""What metrics that compare two samples have in common: they keep both, and what is known of the real one is found once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from ganlab.types import Extractor

T = TypeVar("T")


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
        self._known_of: list[Tensor] = []
        self._known: dict[Callable[[Tensor], Any], Any] = {}

    def update(self, x: Tensor, real: bool) -> None:
        (self.real if real else self.fake).append(x.flatten(1))

    def reset(self) -> None:
        real = list(self.real)
        super().reset()
        self.real = real

    def of_real(self, function: Callable[[Tensor], T]) -> T:
        """`function` of the real points [n, prod S], not computed again while they are the same ones."""
        if len(self._known_of) != len(self.real) or any(a is not b for a, b in zip(self._known_of, self.real, strict=True)):
            self._known_of, self._known = list(self.real), {}
        if function not in self._known:
            self._known[function] = function(dim_zero_cat(self.real))
        return self._known[function]


class TwoFeatures(TwoSamples):
    """Keeps the features [n, d] that an extractor sees in both."""

    def __init__(self, extractor: Extractor, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.extractor = extractor

    def update(self, x: Tensor, real: bool) -> None:
        super().update(self.extractor(x).features, real)


def float64(x: Tensor) -> Tensor:
    """x in float64, on its device where that has it."""
    return (x.cpu() if x.device.type == "mps" else x).double()


def finite(*samples: list[Tensor]) -> bool:
    return all(bool(x.isfinite().all()) for sample in samples for x in sample)


def nan() -> Tensor:
    return torch.tensor(torch.nan, dtype=torch.float64)


@contextmanager
def keeping(*metrics: Metric) -> Iterator[None]:
    """In here they are shown data: an extractor that can (`keeping`) reads what it saw of the same before."""
    with ExitStack() as stack:
        for extractor in {id(one): one for metric in metrics if (one := getattr(metric, "extractor", None))}.values():
            stack.enter_context(getattr(extractor, "keeping", nullcontext)())
        yield
