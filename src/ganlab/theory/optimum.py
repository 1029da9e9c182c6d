"""A loss measured against its own optimum."""

from __future__ import annotations

import torch
from torch import Tensor

from ganlab.types import Cells, Loss, Solved


class Unsolved:
    """A loss in a game whose optimum is not that of the loss alone."""

    def __init__(self, loss: Loss, reason: str) -> None:
        self.d, self.g, self.reason = loss.d, loss.g, reason


def expected_d(loss: Loss, output: Tensor, cells: Cells) -> Tensor:
    """E d over p_data and p_g for D's output [M] on the cells; a loss that is no mean of real's terms plus one of fake's,
    d(l, l') = A(l) + B(l'), has an `expected_d` of its own."""
    if hasattr(loss, "expected_d"):
        return loss.expected_d(output, cells)
    d, zero = torch.vmap(loss.d), torch.zeros_like(output)
    nothing = loss.d(zero[0], zero[0])  # A(0) + B(0)
    has_p, has_q = cells.log_p > -torch.inf, cells.log_q > -torch.inf  # 0 * inf: a cell without mass adds nothing
    real = (cells.log_p.exp() * (d(output, zero) - nothing))[has_p].sum()
    fake = (cells.log_q.exp() * (d(zero, output) - nothing))[has_q].sum()
    return real + fake + nothing


def best_output(loss: Loss, cells: Cells) -> Tensor | None:
    """D's optimal output [M]; None where no closed form is known for this loss."""
    return loss.optimal(cells) if isinstance(loss, Solved) else None


def suboptimality(loss: Solved, output: Tensor, best: Tensor, cells: Cells) -> Tensor:
    """E d(D) - min E d >= 0, in the loss's own units; C(G) - V(D, G) in nats for the losses of the 2014 paper."""
    return expected_d(loss, loss.admissible(output, cells), cells) - expected_d(loss, best, cells)
