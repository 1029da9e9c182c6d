"""The order in which D and G are stepped within one iteration, as functions of the game and its k minibatches."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from ganlab.types import Batch


class Game(Protocol):
    """What an order of updates needs of the game: noise, the two gradients, the two steps."""

    def noise(self) -> Tensor: ...

    def D_gradient(self, x: Tensor, y: Tensor, z: Tensor) -> None: ...

    def G_gradient(self, y: Tensor, z: Tensor) -> None: ...

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
