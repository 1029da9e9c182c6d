"""Orders that look ahead so that a game which turns comes to rest: extragradient, and optimistic steps (Gidel et al., 2019;
Daskalakis et al., 2018)."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import Optimizer

from ganlab.game.updates import Order, Simultaneous
from ganlab.networks.weights import trained_by
from ganlab.types import Batch


class Extragradient(Order):
    """Gidel et al. (2019), algorithm 4, and Korpelevich (1976) where the optimizers are plain SGD: both players step, and then
    take their step from where they were before, by the gradients that they find there. The moments of an optimizer take both
    gradients, as in the paper's Extra-Adam. Both see one minibatch and one noise (Mishchenko et al., 2020), hence k = 1; terms
    and augmentations follow the step that counts. Twice the cost of simultaneous."""

    def fits(self, k: int, opt_D: Optimizer) -> None:
        if k != 1:
            raise ValueError(f"extragradient takes one step of each player: set k=1, got {k}")

    def __call__(self, game: Any, batch: Batch) -> None:
        (x,), (y,), z = batch.x, batch.y, game.noise()
        weights = [*game.weights_D, *game.weights_G]
        before = [w.detach().clone() for w in weights]
        game.D_gradient(x, y, z)
        game.G_gradient(x, y, z)
        for optimizer in (game.opt_D, game.opt_G):
            optimizer.step()
            optimizer.zero_grad()
        game.D_gradient(x, y, z)
        game.G_gradient(x, y, z)
        with torch.no_grad():
            torch._foreach_copy_(weights, before)
        game.D_step()
        game.G_step()


class Optimistic(Simultaneous):
    """Daskalakis et al. (2018), equation 4 and algorithm 1: with u the step that an optimizer would take, w <- w + 2 u - u of
    before; the first step is u, as if the one before had been the same. With plain SGD these are the points at which
    past-extragradient takes its gradients (Gidel et al., 2019, equation 15). Simultaneous, for any k and optimizer; the
    optimizer's state keeps the step before."""

    @torch.no_grad()
    def step(self, optimizer: Optimizer) -> None:
        weights = trained_by(optimizer)
        before = [w.detach().clone() for w in weights]
        optimizer.step()
        steps = torch._foreach_sub(weights, before)
        if KEPT in optimizer.state[weights[0]]:
            torch._foreach_add_(weights, steps)
            torch._foreach_sub_(weights, [optimizer.state[w][KEPT] for w in weights])
        for w, step in zip(weights, steps, strict=True):
            optimizer.state[w][KEPT] = step


KEPT = "optimistic_step"  # of a weight's state
