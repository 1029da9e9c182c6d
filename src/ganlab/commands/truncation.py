"""Fewer, better samples: nearer to the middle of what G is fed (`ganlab sample --truncate PSI`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ganlab.errors import UserError
from ganlab.random import generator_of
from ganlab.types import Prior

MEAN_OF = 10_000  # z of a mean w (Karras et al., 2019)


@runtime_checkable
class Truncatable(Prior, Protocol):
    """A prior with a middle, of which the rest thins out."""

    def truncated(self, psi: float) -> Prior: ...


@runtime_checkable
class Styled(Protocol):
    """A G that maps z and y to a style w [B, W], and draws x from that."""

    def style(self, z: Tensor, y: Tensor) -> Tensor: ...

    def drawn(self, styles: Sequence[Tensor]) -> Tensor: ...


class NearMean(nn.Module):
    """G with w brought towards the mean w of the class, to psi of the way that it was off (Karras et al., 2019, appendix B; the
    mean of each class of its own after Dobler et al., 2022)."""

    def __init__(self, G: Styled, prior: Prior, psi: float, classes: int) -> None:
        super().__init__()
        self.G, self.psi = G, psi
        z = prior.sample(MEAN_OF, generator_of(0, "mean style"))
        with torch.no_grad():
            every = [torch.full((len(z),), label) for label in range(classes)]
            self.means = torch.stack([G.style(z, y).mean(0) for y in every])  # [K, W]

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        mean = self.means[y if len(self.means) > 1 else torch.zeros_like(y)]
        return self.G.drawn([mean.lerp(self.G.style(z, y), self.psi)])


def truncated(G: nn.Module, prior: Prior, psi: float, classes: int | None) -> tuple[nn.Module, Prior]:
    """G and prior, of which the rarer samples are left out: StyleGAN2's w by NearMean, psi from 0 (one sample) to 1 (all); of
    another G z, psi > 0 in standard deviations, if the prior is normal. Raises UserError elsewhere."""
    if isinstance(G, Styled):
        if not 0 <= psi <= 1:
            raise UserError(f"--truncate {psi:g}: of StyleGAN2 it is a share, from 0 (the mean) to 1 (as G is)")
        return NearMean(G, prior, psi, classes or 1), prior
    if not isinstance(prior, Truncatable):
        kind = type(prior).__name__.lower()
        raise UserError(
            f"--truncate {psi:g}: a {kind} prior has no rarer part to leave out; it needs prior=normal or stylegan2"
        )
    if not psi > 0:
        raise UserError(f"--truncate {psi:g}: z is kept within so many standard deviations, which must be > 0")
    return G, prior.truncated(psi)
