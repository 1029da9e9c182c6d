"""What a claim computes without training anything: functions of a seed."""

from __future__ import annotations

import torch
from torch.distributions import Normal

from ganlab.game.relativistic import RelativisticPair
from ganlab.metrics.prdc import prdc, radii
from ganlab.types import Cells


def prdc_of_equal_laws(seed: int, n: int, d: int, k: int) -> dict[str, float]:
    """Precision, recall, density and coverage of n points of N(0, I_d) against n others."""
    generator = torch.Generator().manual_seed(seed)
    real, fake = torch.randn(2, n, d, generator=generator)
    return prdc(real, fake, radii(real, k), k)


def relativistic_supremum(seed: int, shift: float, cells: int, reach: float) -> dict[str, float]:
    """sup over D of RpGAN's value, plus log 2, for N(0, 1) and N(shift, 1): of masses on so many cells, in float64."""
    edges = torch.linspace(-reach, reach + shift, cells + 1, dtype=torch.float64)
    masses = [Normal(torch.tensor(mean, dtype=torch.float64), 1.0).cdf(edges).diff() for mean in (0.0, shift)]
    log_p, log_q = ((mass / mass.sum()).log() for mass in masses)
    middle = (edges[1:] + edges[:-1])[:, None] / 2
    return {"divergence": RelativisticPair().divergence(Cells(middle, log_p, log_q)).item()}
