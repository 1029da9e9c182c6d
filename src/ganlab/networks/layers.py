"""What several families have in common: the two halves of a D, what wraps one, and the layers that draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ganlab.random import bernoulli


class Discriminator(nn.Module):
    """D(x, y) = head(trunk(x), y): x [B, *S] -> features [B, F] -> logit [B]. An objective that wants the features, as an
    auxiliary classifier does, takes them between the two."""

    trunk: nn.Module
    head: nn.Module

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.head(self.trunk(x), y)


class Telling(nn.Sequential):
    """Layers one after the other; those that are told y (`told = True`) are handed it."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        for layer in self:
            x = layer(x, y) if getattr(layer, "told", False) else layer(x)
        return x


class LinearHead(nn.Module):
    """Features [B, F] -> logit [B], whatever y is."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features, self.linear = features, nn.Linear(features, 1)

    def forward(self, features: Tensor, y: Tensor) -> Tensor:
        return self.linear(features).flatten()


Head = Callable[[int], nn.Module]  # features F -> ([B, F], y [B]) -> logit [B]


def labelled(what: str, classes: int) -> int:
    """The number of classes, for a part that is told which it is; raises ValueError where there is one only."""
    if classes < 2:
        raise ValueError(f"{what} wants labels and the data have none (classes = {classes}): take others, or tell nobody y")
    return classes


def one_hot(y: Tensor, classes: int, like: Tensor) -> Tensor:
    """y [B] -> [B, classes], of the dtype of `like`; torch's own looks at the values, and waits for them."""
    return (y[:, None] == torch.arange(classes, device=y.device)).to(like.dtype)


class Packed(nn.Module):
    """PacGAN (Lin et al., 2018): D sees m samples that follow each other as one input, images as channels, so that it can see
    what they have in common. x [B, *S] -> logit [B / m]; D is one for the shape `packed_shape(S, m)`."""

    def __init__(self, D: nn.Module, m: int) -> None:
        super().__init__()
        self.D, self.m = D, m
        self.register_load_state_dict_pre_hook(_from_one_piece)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.D(self._packs(x), y[:: self.m])

    def trunk(self, x: Tensor) -> Tensor:
        return self.D.trunk(self._packs(x))  # type: ignore[operator]

    def head(self, features: Tensor, y: Tensor) -> Tensor:
        return self.D.head(features, y[:: self.m])  # type: ignore[operator]

    def _packs(self, x: Tensor) -> Tensor:
        return x.reshape(len(x) // self.m, self.m * x.shape[1], *x.shape[2:])


def _from_one_piece(packed: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Weights of before there was a wrapper are those of the D in it."""
    for name in [name for name in state if name.startswith(prefix) and not name.startswith(f"{prefix}D.")]:
        state[f"{prefix}D.{name.removeprefix(prefix)}"] = state.pop(name)


def packed_shape(shape: Sequence[int], m: int) -> list[int]:
    return [m * shape[0], *shape[1:]]


class Dropout(nn.Module):
    """torch.nn.Dropout, whose masks are handed in with the other draws of an iteration."""

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"a share of units to drop lies in 0..1, got {p}")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        return x * bernoulli(1 - self.p, x.shape, like=x).div(1 - self.p)


def output_range(shape: Sequence[int]) -> nn.Module:
    """The last layer of G: tanh for images (C, H, W), which lie in [-1, 1]; nothing for points, which lie anywhere."""
    return nn.Tanh() if len(shape) == 3 else nn.Identity()
