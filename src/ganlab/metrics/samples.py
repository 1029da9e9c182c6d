"""What metrics that compare two samples have in common: they keep both, compute in float64, and what several of them need they
compute once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.weak import TensorWeakRef
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


T = TypeVar("T")
KEPT = 8  # results of each function; those whose tensors are gone go first


def once(function: Callable[..., T]) -> Callable[..., T]:
    """`function(*samples, **options)` of lists of tensors, not computed again while it is asked for the same ones: the four
    scores of PRDC, and what is real, share their work by it. Tensors are told apart by identity, and not kept alive."""
    kept: list[tuple[list[TensorWeakRef], object, T]] = []

    @wraps(function)
    def remembering(*samples: list[Tensor], **options: object) -> T:
        tensors = [x for sample in samples for x in sample]
        key = (tuple(len(sample) for sample in samples), tuple(sorted(options.items())))
        kept[:] = [entry for entry in kept if all(ref() is not None for ref in entry[0])]
        for i, (refs, known, value) in enumerate(kept):
            if known == key and all(ref() is x for ref, x in zip(refs, tensors, strict=True)):
                kept.append(kept.pop(i))  # the last used is the last to go
                return value
        value = function(*samples, **options)
        kept.append(([TensorWeakRef(x) for x in tensors], key, value))
        del kept[:-KEPT]
        return value

    return remembering


def float64(x: Tensor) -> Tensor:
    """x in float64, on its device where that has it."""
    return (x.cpu() if x.device.type == "mps" else x).double()


def finite(*samples: list[Tensor]) -> bool:
    return all(bool(x.isfinite().all()) for sample in samples for x in sample)


def nan() -> Tensor:
    return torch.tensor(torch.nan, dtype=torch.float64)
