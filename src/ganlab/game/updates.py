"""The order in which D and G are stepped within one iteration, as functions of the game and its k minibatches."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from ganlab.types import Batch


class Game(Protocol):
    """What an order of updates needs of the game: noise, the gradients, the two steps."""

    def noise(self) -> Tensor: ...

    def D_gradient(self, x: Tensor, y: Tensor, z: Tensor) -> None: ...

    def G_gradient(self, y: Tensor, z: Tensor) -> None: ...

    def consensus_gradient(self, x: Tensor, y: Tensor, z: Tensor, gamma: float) -> None: ...

    def D_step(self) -> None: ...

    def G_step(self) -> None: ...


def alternating(game: Game, batch: Batch) -> None:
    """Algorithm 1 of Goodfellow et al. (2014)."""
    for x, y in zip(batch.x, batch.y, strict=True):  # for k steps: D ascends V on a fresh minibatch and fresh noise
        game.D_gradient(x, y, game.noise())
        game.D_step()
    game.G_gradient(y, game.noise())  # then G descends, with fresh noise
    game.G_step()


def simultaneous(game: Game, batch: Batch) -> None:
    """Both gradients at the same weights and the same noise, then both steps; with k > 1 after k - 1 steps of D alone.

    What the 2014 code did (one Theano function stepped both nets), and SimGD in Mescheder et al. (2018).
    """
    *first, (x, y) = zip(batch.x, batch.y, strict=True)
    for x_, y_ in first:
        game.D_gradient(x_, y_, game.noise())
        game.D_step()
    z = game.noise()
    game.D_gradient(x, y, z)
    game.G_gradient(y, z)
    game.D_step()
    game.G_step()


class Consensus:
    """Consensus optimization (Mescheder et al., 2017): simultaneous, and each player also descends gamma/2 of the squared norm
    of both gradients. It needs second derivatives of both nets: twice the time on the toys."""

    def __init__(self, gamma: float) -> None:
        if not gamma > 0:
            raise ValueError(f"consensus needs gamma > 0, got {gamma}: try updates=simultaneous")
        self.gamma = gamma

    def __call__(self, game: Game, batch: Batch) -> None:
        *first, (x, y) = zip(batch.x, batch.y, strict=True)
        for x_, y_ in first:
            game.D_gradient(x_, y_, game.noise())
            game.D_step()
        game.consensus_gradient(x, y, game.noise(), self.gamma)
        game.D_step()
        game.G_step()
