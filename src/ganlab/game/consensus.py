"""Consensus optimization (Mescheder et al., 2017)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ganlab.game.players import Players, Terms
from ganlab.game.terms import batch_norm
from ganlab.game.updates import Order
from ganlab.types import Batch


class Consensus(Order):
    """Simultaneous, and each player also descends gamma/2 of the squared norm of both gradients. It needs second derivatives of
    both nets: twice the time on the toys. With several processes that norm is the one of a share's own gradients."""

    stacks = False
    fades = ("gamma",)

    def __init__(self, gamma: float) -> None:
        if not gamma > 0:
            raise ValueError(f"consensus needs gamma > 0, got {gamma}: try updates=simultaneous")
        self.gamma = gamma

    def doubts(self, play: Players) -> Iterator[str]:
        third_derivatives(play, "consensus")
        yield from ()

    def __call__(self, game: Any, batch: Batch) -> None:
        *first, (x, y) = zip(batch.x, batch.y, strict=True)
        for x_, y_ in first:
            game.D_gradient(x_, y_, game.noise())
            game.D_step()
        w_D, w_G = game.weights_D, game.weights_G
        steps = game.now.D_steps, game.now.G_steps
        D, G, gradients = moved(game.players, x, y, game.noise(), steps, w_D, w_G, self.gamma)
        # a sum whose gradients these are: backward through it tells DDP of them, which averages them over processes
        total = torch.stack([(w * g).sum() for w, g in zip([*w_D, *w_G], gradients, strict=True)]).sum()
        game.backward_to(total, inputs=[*w_D, *w_G])
        game.now.D_terms, game.now.G_terms = D, G
        game.D_step()
        game.G_step()


def third_derivatives(play: Players, who: str) -> None:
    """Raises ValueError where a D has none, for an order of updates that takes them of terms with gradients."""
    third = [name for name, term in play.terms.items() if term.of == "D" and (term.gradients or term.separate)]
    if third and (name := batch_norm(play.D)):
        raise ValueError(
            f"{who} takes the third derivative of penalty.{third[0]}, which BatchNorm ({name} of D) does not have: "
            "take +model.D.norm=none or another order of updates"
        )


def moved(
    play: Players, x: Tensor, y: Tensor, z: Tensor, steps: tuple[int, int], w_D: Sequence[Tensor], w_G: Sequence[Tensor],
    gamma: float,
) -> tuple[Terms, Terms, list[Tensor]]:  # fmt: skip
    """With v the gradients of both players' losses by their own weights, those of losses to which gamma/2 |v|^2 is added.
    Returns what was played, and the gradients by [*w_D, *w_G]."""
    play = play._replace(through=True)
    D, G = play.objective.D(play, x, y, z, steps[0]), play.objective.G(play, x, y, z, steps[1])
    v = [*torch.autograd.grad(D.loss, w_D, create_graph=True), *torch.autograd.grad(G.loss, w_G, create_graph=True)]
    if isinstance(gamma, float) and not gamma:  # one with a schedule is a tensor, which is not looked into
        return D, G, [part.detach() for part in v]
    size = gamma / 2 * torch.stack([part.square().sum() for part in v]).sum()
    pull = torch.autograd.grad(size, [*w_D, *w_G], materialize_grads=True)
    return D, G, [(a + b).detach() for a, b in zip(v, pull, strict=True)]
