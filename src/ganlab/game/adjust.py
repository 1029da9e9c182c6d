"""What is done to a loss, whichever it is: a loss made of another one."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ganlab.game.losses import Pointwise
from ganlab.game.players import Players
from ganlab.theory.divergences import expectation
from ganlab.theory.optimum import best_output, expected_d
from ganlab.types import Back, Cells, Loss, Solved


class Smoothed(Pointwise):
    """One-sided label smoothing (Salimans et al., 2016, section 3.4): D is told of a share of the data that they are samples.

    Its best answer is that of the loss itself between the masses (1 - share) p_data and p_g + share p_data: for the game of
    2014, D* = (1 - share) p_data / (p_data + p_g). Only a loss that is a sum of a part on data and a part on samples, and whose
    D is free at each x, has labels to smooth.
    """

    def __init__(self, loss: Loss, share: float) -> None:
        if isinstance(getattr(loss, "loss", None), Pointwise):
            raise ValueError(
                f"{type(loss).__name__} is of a minibatch, and label smoothing of each example: it comes first, as in "
                "adjust=[label_smoothing,top_k]"
            )
        if not isinstance(loss, Pointwise):
            raise ValueError(
                f"{type(loss).__name__} has no labels to smooth: label smoothing needs a loss of each example, as minimax, "
                "least_squares, hinge"
            )
        if not 0 <= share < 0.5:
            raise ValueError(f"share must lie in 0..0.5 (0.1 in the paper), got {share}")
        self.loss, self.share = loss, share

    def __repr__(self) -> str:
        return f"Smoothed({self.loss!r}, {self.share})"

    def on_data(self, logit: Tensor) -> Tensor:
        return (1 - self.share) * self.loss.on_data(logit) + self.share * self.loss.on_samples(logit)

    def on_samples(self, logit: Tensor) -> Tensor:
        return self.loss.on_samples(logit)

    def wanted(self, logit: Tensor) -> Tensor:
        return self.loss.wanted(logit)

    def doubts(self, play: Players) -> Iterator[str]:
        yield from self.loss.doubts(play)

    def optimal(self, cells: Cells) -> Tensor | None:
        share = torch.as_tensor(self.share, dtype=cells.log_p.dtype)
        called_samples = torch.logaddexp(cells.log_q, cells.log_p + share.log())
        return best_output(self.loss, Cells(cells.x, cells.log_p + torch.log1p(-share), called_samples))

    def divergence(self, cells: Cells) -> Tensor:
        """By how much the best D does better than at p_g = p_data: an f-divergence, 0 there and only there. A G that does not
        play D's game, as a non-saturating one, is led by D's best answer, and not down this."""
        return self._least(Cells(cells.x, cells.log_p, cells.log_p)) - self._least(cells)

    def _least(self, cells: Cells) -> Tensor:
        best = self.optimal(cells)
        if best is None:
            return torch.tensor(torch.nan)
        return expectation(cells.log_p, self.on_data(best)) + expectation(cells.log_q, self.on_samples(best))


class TopK:
    """Top-k training (Sinha et al., 2020): G learns from the `share` of its samples alone that D finds most real; at least one.

    The mask comes from ranks, so that nothing changes its shape when the share moves (`schedule`): the paper lowers it from 1
    to 1/2. A relativistic loss keeps its pairs.
    """

    def __init__(self, loss: Loss, share: float) -> None:
        if not hasattr(loss, "each_g"):
            raise ValueError(f"{type(loss).__name__} is no mean over samples, whose best could be taken: leave out top_k")
        if not 0 < share <= 1:
            raise ValueError(f"share must lie in 0..1, above 0, got {share}")
        self.loss, self.share = loss, share
        self.is_V = getattr(loss, "is_V", False)

    def d(self, real: Tensor, fake: Tensor) -> Tensor:
        return self.loss.d(real, fake)

    def g(self, fake: Tensor, real: Back) -> Tensor:
        rank = fake.detach().argsort(descending=True).argsort()
        kept = (rank < self.share * len(fake)).to(fake.dtype)
        return (self.loss.each_g(fake, real) * kept).sum() / kept.sum()

    def doubts(self, play: Players) -> Iterator[str]:
        yield from getattr(self.loss, "doubts", lambda play: ())(play)

    def expected_d(self, output: Tensor, cells: Cells) -> Tensor:
        return expected_d(self.loss, output, cells)

    def optimal(self, cells: Cells) -> Tensor | None:
        """D's game is the loss's own."""
        return best_output(self.loss, cells)

    def admissible(self, output: Tensor, cells: Cells) -> Tensor:
        return self.loss.admissible(output, cells) if isinstance(self.loss, Solved) else output

    def divergence(self, cells: Cells) -> Tensor:
        """NaN: where samples that D finds poor teach nothing, none is known."""
        return torch.tensor(torch.nan)
