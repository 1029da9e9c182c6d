"""The glossary: the paper's letters, their shapes, and the protocols that the parts of the bench meet in.

Letters of shapes (used in every comment of this package):

    B   a minibatch (the paper's m)          S   the shape of one x: (2,) for points, (C, H, W) for images
    k   steps of D per iteration             Z   the dimension of z
    K   modes of a mixture                   N   examples in a data set        n   any other count

`x` is data, `y` its label (mixture component, digit, class), `z` noise from the prior p_z; `real` and `fake` are D's logits
[B] on data and on G(z). D returns a logit; the paper's D(x) is its sigmoid.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn


class Batch(NamedTuple):
    """What one iteration of Algorithm 1 takes from p_data: k minibatches, one for each step of D."""

    x: Tensor  # [k, B, *S]; images lie in [-1, 1]
    y: Tensor  # [k, B] long; always there, unconditional networks ignore it


Generator = Callable[[Tensor, Tensor], Tensor]  # (z [B, Z], y [B]) -> x [B, *S]
Discriminator = Callable[[Tensor, Tensor], Tensor]  # (x [B, *S], y [B]) -> logit [B], never [B, 1]


@runtime_checkable
class Loss(Protocol):
    """A value function on logits: what D descends and what G descends, each a scalar."""

    def d(self, real: Tensor, fake: Tensor) -> Tensor: ...

    def g(self, fake: Tensor) -> Tensor: ...


@runtime_checkable
class Penalty(Protocol):
    """A constraint on D: a term of its loss (in fp32, differentiable), and a projection after each of its steps."""

    def __call__(self, D: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor: ...

    def project(self, D: nn.Module) -> None: ...


@runtime_checkable
class Prior(Protocol):
    """p_z."""

    dim: int

    def sample(self, n: int, generator: torch.Generator) -> Tensor: ...  # [n, Z] on the generator's device

    def interpolate(self, a: Tensor, b: Tensor, share: Tensor) -> Tensor: ...  # a, b [Z], share [n] -> [n, Z]


@runtime_checkable
class Source(Protocol):
    """p_data."""

    shape: tuple[int, ...]  # S
    classes: int  # labels are 0 ... classes - 1

    def to(self, device: torch.device) -> Source: ...

    def minibatches(self, t: int, k: int, batch_size: int, seed: int, part: slice) -> Batch:
        """The k minibatches of iteration t, a pure function of the arguments; `part` is one rank's share of each."""
        ...

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """x [n, *S] and y [n], drawn with replacement on the generator's device."""
        ...
