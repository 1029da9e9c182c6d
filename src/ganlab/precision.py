"""The dtype that a run computes in: torch's default one, float32, or float64 with trainer.precision=64-true."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

DOUBLE = ("64-true", "64")  # in Lightning's words


def working(x: Tensor) -> Tensor:
    """x in the dtype that networks have."""
    return x.to(torch.get_default_dtype())


@contextmanager
def computed_in(precision: object) -> Iterator[None]:
    """Networks are made, numbers drawn and data handed out in float64, where this is the Trainer's precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if str(precision) in DOUBLE else before)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
