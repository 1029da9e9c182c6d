"""The glossary: the paper's letters, their shapes, and the protocols that the parts of the bench meet in.

Letters of shapes (used in every comment of this package):

    B   a minibatch (the paper's m)          S   the shape of one x: (2,) for points, (C, H, W) for images
    k   steps of D per iteration             Z   the dimension of z
    K   modes of a mixture                   N   examples in a data set        n   any other count
    M   cells that the theory is measured on

`x` is data, `y` its label (mixture component, digit, class), `z` noise from the prior p_z; `real` and `fake` are D's logits
[B] on data and on G(z). D returns a logit; the paper's D(x) is its sigmoid.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import Distribution


class Batch(NamedTuple):
    """What one iteration of Algorithm 1 takes from p_data: k minibatches, one for each step of D."""

    x: Tensor  # [k, B, *S]; images lie in [-1, 1]
    y: Tensor  # [k, B] long; always there, unconditional networks ignore it


Back = Callable[[], Tensor]
Generator = Callable[[Tensor, Tensor], Tensor]  # (z [B, Z], y [B]) -> x [B, *S]
Discriminator = Callable[[Tensor, Tensor], Tensor]  # (x [B, *S], y [B]) -> logit [B], never [B, 1]


@runtime_checkable
class Loss(Protocol):
    """A value function on logits: what D descends and what G descends, each a scalar."""

    def d(self, real: Tensor, fake: Tensor) -> Tensor: ...

    def g(self, fake: Tensor, real: Back) -> Tensor:
        """real() is D's logits [B] on the data of its last step, without a graph; it costs a pass, where it is asked for."""
        ...


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

    def reference(self, n: int) -> tuple[Tensor, Tensor]:
        """x [n, *S] and y [n] on the CPU that samples of G are scored against: the same for each run. n examples of a data set,
        none of them twice; ValueError if there are fewer."""
        ...


class Features(NamedTuple):
    """What an extractor sees in n images."""

    features: Tensor  # [n, d] float32: a layer that distances between images are taken in
    logits: Tensor  # [n, K] float32: of its classes


@runtime_checkable
class Extractor(Protocol):
    """A fixed network through which scores look at images."""

    dims: int  # d
    classes: int  # K

    def __call__(self, x: Tensor) -> Features:
        """x [n, C, H, W] in [-1, 1], on any device; computed once for scores that ask for the same x one after the other."""
        ...

    def card(self) -> dict[str, object]:
        """Which network this is, so that scores seen through another one are not compared: its name, the sha256 of its
        weights, the size that images are brought to, and how."""
        ...


class Subject(NamedTuple):
    """The game, for a probe that is to measure it."""

    source: Source
    prior: Prior
    loss: Loss
    G: Callable[[Tensor], Tensor]  # z [n, Z] -> x [n, *S], on the CPU and without gradient
    D: Callable[[Tensor], Tensor]  # x [n, *S] -> output [n]
    field: Callable[[float, float], tuple[float, float]] | None = None  # of a game of two numbers: where a step moves them
    told: bool = False  # whether G is a map of z and y


class Cells(NamedTuple):
    """p_data and p_g as masses on the same M cells, in float64."""

    x: Tensor  # [M, *S] one point in each; on the line they ascend
    log_p: Tensor  # [M] log of the mass of p_data
    log_q: Tensor  # [M] log of the mass of p_g


class LogDensity(Protocol):
    def log_prob(self, x: Tensor) -> Tensor: ...  # [n, *S] -> [n], in nats and float64


@runtime_checkable
class Blurrable(Source, Protocol):
    """A source whose density is known at any resolution."""

    def blurred(self, std: float | Tensor) -> LogDensity:
        """The law of x + std * N(0, I); a std of each coordinate [d] is asked for where they have very different ranges."""
        ...


@runtime_checkable
class Modal(Source, Protocol):
    """A source of K modes whose shares and distances are known: a mixture of Gaussians."""

    weights: Tensor  # [K], they sum to 1

    def to(self, device: torch.device) -> Modal: ...

    def deviations(self, x: Tensor) -> Tensor:
        """How many standard deviations x [n, d] lies from the mean of each mode, [n, K]."""
        ...


@runtime_checkable
class OnManifold(Source, Protocol):
    """A source of pictures whose support is known."""

    def squared_distance(self, x: Tensor, starts: int) -> Tensor:
        """Of x [n, C, H, W] in [-1, 1] to the nearest picture of the support, in greys from 0 to 1, [n] in float64, by searches
        from so many starts."""
        ...


@runtime_checkable
class LineSource(Source, LogDensity, Protocol):
    """A source on the line whose distribution function F is known."""

    def cdf(self, x: Tensor) -> Tensor: ...  # F, [n] -> [n]

    def quantile(self, u: Tensor) -> Tensor: ...  # F^{-1}, [n] -> [n]


@runtime_checkable
class Solved(Loss, Protocol):
    """A loss whose optimum is known; one without all of these has none, as far as the probes are concerned.
    `losses.Pointwise` brings what most losses have in common."""

    is_V: bool  # whether -d is the V(D, G) of the 2014 paper, and D's output the logit of D(x)

    def optimal(self, cells: Cells) -> Tensor | None:
        """The output [M] of the D that descends d to its minimum; None where no closed form is known."""
        ...

    def admissible(self, output: Tensor, cells: Cells) -> Tensor:
        """The output [M] of any D, brought into the set that `optimal` is the best of."""
        ...

    def divergence(self, cells: Cells) -> Tensor:
        """What G is led to descend by an optimal D, a scalar, 0 at p_g = p_data; -min d where G plays the same game as D."""
        ...


@runtime_checkable
class Prior(Protocol):
    """p_z."""

    dim: int
    coordinate: Distribution  # of each of its independent coordinates, in float64

    def sample(self, n: int, generator: torch.Generator) -> Tensor: ...  # [n, Z] on the generator's device

    def interpolate(self, a: Tensor, b: Tensor, share: Tensor) -> Tensor: ...  # a, b [Z], share [n] -> [n, Z]
