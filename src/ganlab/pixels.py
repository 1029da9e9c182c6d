"""Images as bytes and as numbers: the only place that knows the bench's range."""

from __future__ import annotations

import torch
from torch import Tensor

from ganlab.precision import working


def to_float(x: Tensor) -> Tensor:
    """uint8 0 ... 255 -> [-1, 1] of the same shape, float32 or what the run computes in."""
    return working(x).mul_(2 / 255).sub_(1)


def to_unit(x: Tensor) -> Tensor:
    """[-1, 1] -> 0 (black) ... 1 (white) of the same shape and dtype."""
    return (x + 1) / 2


def from_unit(x: Tensor) -> Tensor:
    """Inverts `to_unit`."""
    return 2 * x - 1


def to_uint8(x: Tensor) -> Tensor:
    """[-1, 1] -> uint8 0 ... 255 of the same shape, rounded; what lies outside is clamped. Inverts `to_float`."""
    return x.float().add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
