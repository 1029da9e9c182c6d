"""What normalises between the layers of a net, as recipes: (channels, dims) -> the layers that follow a linear map or a
convolution of so many channels, whose values have `dims` more dimensions (0 for points, 2 for images). Where there are none,
that map keeps its bias.

A family's `norm` is one of the words below, or any such recipe as a node.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding
from torch.nn.parameter import Parameter

from ganlab.errors import did_you_mean
from ganlab.networks.layers import labelled

APART = 0.3  # standard deviation of what classes differ by at first: alike, they take thousands of steps to be told apart

Norm = Callable[[int, int], list[nn.Module]]


def batch(channels: int, dims: int) -> list[nn.Module]:
    """Ioffe and Szegedy (2015): over the minibatch, and in evaluation by running statistics."""
    return [over_the_batch(channels, dims)]


def layer(channels: int, dims: int) -> list[nn.Module]:
    """Ba et al. (2016): over all values of one example, then a scale and a shift for each channel, as Gulrajani et al. (2017)
    have it in a D with a gradient penalty: examples stay independent."""
    return [nn.GroupNorm(1, channels)]


def instance(channels: int, dims: int) -> list[nn.Module]:
    """Ulyanov et al. (2016): over the pixels of one channel of one example, then a scale and a shift for each channel."""
    if not dims:
        raise ValueError("norm = instance is over the pixels of images, and there are none between these layers: try layer")
    return [nn.GroupNorm(channels, channels)]


def nothing(channels: int, dims: int) -> list[nn.Module]:
    return []


WORDS: dict[str, Norm] = {"batch": batch, "layer": layer, "instance": instance, "none": nothing}


def chosen(norm: str | Norm) -> Norm:
    """The recipe that a word, or the recipe itself, stands for."""
    if callable(norm):
        return norm
    if norm not in WORDS:
        raise ValueError(f"norm = {norm} is not one of {', '.join(WORDS)}{did_you_mean(norm, WORDS)}")
    return WORDS[norm]


class ClassBatch:
    """BatchNorm whose scale and shift are those of the class (Dumoulin et al., 2017; in a G: Miyato and Koyama, 2018). `apart`:
    the standard deviation of what classes differ by at first."""

    def __init__(self, classes: int, apart: float = APART) -> None:
        self.classes, self.apart = labelled("class-conditional BatchNorm", classes), apart

    def __call__(self, channels: int, dims: int) -> list[nn.Module]:
        return [ClassBatchNorm(channels, dims, self.classes, self.apart)]


class ClassBatchNorm(nn.Module):
    """x [B, channels, ...], y [B]: normalised over the whole minibatch, then row y of `weight` and `bias` [K, channels]."""

    told = unconstrained = True  # a table of classes is no map, and has no norm to hold

    def __init__(self, channels: int, dims: int, classes: int, apart: float = APART) -> None:
        super().__init__()
        self.norm = over_the_batch(channels, dims, affine=False)
        self.weight = Parameter(1 + apart * torch.randn(classes, channels))
        self.bias = Parameter(apart * torch.randn(classes, channels))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        scale, shift = (embedding(y, rows)[(..., *[None] * (x.dim() - 2))] for rows in (self.weight, self.bias))
        return scale * self.norm(x) + shift


def over_the_batch(channels: int, dims: int, affine: bool = True) -> nn.Module:
    """BatchNorm of points or of images."""
    return (nn.BatchNorm2d if dims else nn.BatchNorm1d)(channels, affine=affine)
