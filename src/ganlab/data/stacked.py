"""Stacked MNIST (Metz et al., 2017): three digits as the channels of one image, so that there are 1,000 modes to be found."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from ganlab.data.datasets import torchvision_images
from ganlab.data.images import Images
from ganlab.errors import UserError
from ganlab.random import generator_of
from ganlab.types import Batch

CHANNELS = 3


def stacked_mnist(root: str, source: str | None, shape: Sequence[int], split: str = "train") -> StackedDigits:
    """MNIST's images, as in `torchvision_images`, three at a time. Raises UserError."""
    if len(shape) != 3 or shape[0] != CHANNELS:
        raise UserError(f"shape={list(shape)} but stacked MNIST has 3 channels: set it to [3, 28, 28]")
    return StackedDigits(torchvision_images("MNIST", root, source, [1, *shape[1:]], split))


class StackedDigits:
    """An endless source: each channel is an image drawn at random. x [n, 3, H, W], y = 100 a + 10 b + c of 10 classes."""

    def __init__(self, images: Images) -> None:
        self.images = images
        self.shape = (CHANNELS, *images.shape[1:])
        self.classes = images.classes**CHANNELS

    @property
    def fingerprint(self) -> str | None:
        return self.images.fingerprint

    def to(self, device: torch.device) -> StackedDigits:
        moved = copy.copy(self)
        moved.images = self.images.to(device)
        return moved

    def minibatches(self, t: int, k: int, batch_size: int, seed: int, part: slice) -> Batch:
        x, y = self.sample(k * batch_size, generator_of(seed, "data", t, self.images.device))
        return Batch(x.unflatten(0, (k, batch_size))[:, part], y.unflatten(0, (k, batch_size))[:, part])

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """x [n, 3, H, W] in [-1, 1] and y [n] on the generator's device."""
        x, y = self.images.sample(n * CHANNELS, generator)
        digits = y.unflatten(0, (n, CHANNELS))
        base = self.images.classes ** torch.arange(CHANNELS - 1, -1, -1, device=y.device)
        return x.reshape(n, *self.shape), (digits * base).sum(1)

    def reference(self, n: int) -> tuple[Tensor, Tensor]:
        return self.sample(n, generator_of(0, "reference"))
