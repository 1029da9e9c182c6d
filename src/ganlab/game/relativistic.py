"""Losses in which D says not whether x is real, but how much more real data are than samples (Jolicoeur-Martineau, 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ganlab.theory.divergences import LOG2, log_ratio
from ganlab.types import Back, Cells

EXACT = 2048  # cells whose pairs are all taken; more are gathered into so many groups of neighbouring outputs
FAR = 2000.0  # beyond any log ratio of two masses in float64


@dataclass(frozen=True)
class RelativisticPair:
    """RpGAN (Jolicoeur-Martineau, 2019, equation 1, with f = -softplus(-l)): D ascends E log sigmoid(D(x) - D(G(z))) over pairs
    of a datum and a sample, G ascends the same with the two exchanged.

    Of the laws p of x and q of G(z), the supremum over D is JS(p x q, q x p) - log 2, attained by log(p / q) + c for any c.
    """

    is_V = False

    def d(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(fake - real).mean()

    def g(self, fake: Tensor, real: Back) -> Tensor:
        return self.each_g(fake, real).mean()

    def each_g(self, fake: Tensor, real: Back) -> Tensor:
        """Of each sample, beside the datum that it is a pair with."""
        return softplus(real() - fake)

    def expected_d(self, output: Tensor, cells: Cells) -> Tensor:
        """E d for D's output [M] on the cells: over all pairs of them; of more than EXACT cells, of groups with close outputs,
        which is right to the square of their width."""
        output = output.clamp(-FAR, FAR)
        P, of_data = _gathered(output, cells.log_p.exp())
        Q, of_samples = _gathered(output, cells.log_q.exp())
        return (P[:, None] * Q * softplus(of_samples - of_data[:, None])).sum()

    def optimal(self, cells: Cells) -> Tensor:
        """log(p_data / p_g), with mean 0 where both laws have mass."""
        return self.admissible(log_ratio(cells.log_p, cells.log_q), cells)

    def admissible(self, output: Tensor, cells: Cells) -> Tensor:
        """The output up to a constant, of which the game knows nothing."""
        weight = ((cells.log_p + cells.log_q) / 2).exp()
        total = weight.sum()
        centre = torch.where(weight > 0, weight * output, 0.0).sum() / torch.where(total > 0, total, 1.0)
        return output - centre

    def divergence(self, cells: Cells) -> Tensor:
        """JS(p_data x p_g, p_g x p_data), 0 to log 2: that of a pair and of the same pair exchanged."""
        return LOG2 - self.expected_d(log_ratio(cells.log_p, cells.log_q), cells)


def _gathered(output: Tensor, mass: Tensor) -> tuple[Tensor, Tensor]:
    """Masses and outputs of at most EXACT groups of cells; those without mass are left out."""
    output, mass = output[mass > 0], mass[mass > 0]
    if len(output) <= EXACT:
        return mass, output
    output, order = output.sort()
    mass = mass[order]
    before = mass.cumsum(0) - mass / 2
    even = torch.arange(len(mass), device=mass.device) / len(mass)  # half by mass, half by number: tails stay apart
    group = ((before / mass.sum() + even) / 2 * EXACT).long().clamp(max=EXACT - 1)
    masses = torch.zeros(EXACT, dtype=mass.dtype, device=mass.device).index_add(0, group, mass)
    outputs = torch.zeros_like(masses).index_add(0, group, mass * output)
    return masses[masses > 0], (outputs / masses)[masses > 0]


@dataclass(frozen=True)
class RelativisticAverage:
    """RaGAN (Jolicoeur-Martineau, 2019, section 4.2): a datum is compared with the mean output on samples, a sample with that
    on data; G has the two exchanged. No closed form is known for its best D."""

    def d(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(fake.mean() - real).mean() + softplus(fake - real.mean()).mean()

    def g(self, fake: Tensor, real: Back) -> Tensor:
        return self.each_g(fake, real).mean()

    def each_g(self, fake: Tensor, real: Back) -> Tensor:
        """Of each sample, with the datum beside it."""
        on_data = real()
        return softplus(on_data.mean() - fake) + softplus(on_data - fake.mean())
