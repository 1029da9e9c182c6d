"""The order in which D and G are stepped within one iteration, as functions of the game and its k minibatches."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer

from ganlab.errors import at_least_one
from ganlab.types import Batch


class Order:
    """`g_steps` of G are taken in an iteration, and k of D. `gamma` is the weight of what consensus adds to both losses,
    `ahead` the steps of D that are looked ahead. `stacks`: whether it asks a game for gradients and steps alone, so that the
    game may be many replicas at once."""

    g_steps = 1
    gamma = 0.0
    ahead = 0
    stacks = True

    def fits(self, k: int, opt_D: Optimizer) -> None:
        """Raises ValueError for a k, or an optimizer of D, that the order is not defined for."""

    def step(self, optimizer: Optimizer) -> None:
        """One step of a player, whose gradients are there."""
        optimizer.step()


class Alternating(Order):
    """Algorithm 1 of Goodfellow et al. (2014); published settings also take several steps of G."""

    def __init__(self, g_steps: int = 1) -> None:
        at_least_one(g_steps=g_steps)
        self.g_steps = g_steps

    def __call__(self, game: Any, batch: Batch) -> None:
        for x, y in zip(batch.x, batch.y, strict=True):  # for k steps: D ascends V on a fresh minibatch and fresh noise
            game.D_gradient(x, y, game.noise())
            game.D_step()
        for _ in range(self.g_steps):
            game.G_gradient(x, y, game.noise())  # then G descends, with fresh noise
            game.G_step()


class Simultaneous(Order):
    """Both gradients at the same weights and the same noise, then both steps; with k > 1 after k - 1 steps of D alone.

    What the 2014 code did (one Theano function stepped both nets), and SimGD in Mescheder et al. (2018).
    """

    def __call__(self, game: Any, batch: Batch) -> None:
        *first, (x, y) = zip(batch.x, batch.y, strict=True)
        for x_, y_ in first:
            game.D_gradient(x_, y_, game.noise())
            game.D_step()
        z = game.noise()
        game.D_gradient(x, y, z)
        game.G_gradient(x, y, z)
        game.D_step()
        game.G_step()
