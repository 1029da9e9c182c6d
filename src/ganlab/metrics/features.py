"""What scores of features have in common: they compute in float64, and what several of them need they compute once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.weak import TensorWeakRef

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
