"""What the shape of the data asks of a network."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn


def output_range(shape: Sequence[int]) -> nn.Module:
    """The last layer of G: tanh for images (C, H, W), which lie in [-1, 1]; nothing for points, which lie anywhere."""
    return nn.Tanh() if len(shape) == 3 else nn.Identity()
