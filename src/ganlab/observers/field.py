"""The direction in which the players of the smallest game are moved, for its phase portrait."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ganlab.game.consensus import moved
from ganlab.game.players import Players
from ganlab.game.updates import Order
from ganlab.types import Loss

DRAWS = 4000  # of the noise, for an arrow


def dirac_field(
    loss: Loss, terms: Mapping[str, Any], augment: Any, objective: Any, order: Order
) -> Callable[[float, float], tuple[float, float]]:
    """Of the Dirac-GAN (Mescheder et al., 2018), the direction in which a step moves (theta, psi): minus the gradients of the
    players' own losses, with the term of consensus where that is the order; where D sees noise, the mean over many draws."""
    n = 1 if augment.neutral else DRAWS
    x, y, z = torch.zeros(n, 1, dtype=torch.float64), torch.zeros(n, dtype=torch.long), torch.zeros(n, 1)

    def at(theta: float, psi: float) -> tuple[float, float]:
        t, p = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (theta, psi))
        play = Players(lambda z, y: t.expand(len(z), 1), lambda x, y: p * x[:, 0], loss, terms, augment, objective)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            *_, (on_psi, on_theta) = moved(play, x, y, z, (0, 0), [p], [t], order.gamma)
        return -on_theta.item(), -on_psi.item()

    return at
