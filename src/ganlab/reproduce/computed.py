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


def relativistic_supremum(seed: int, shift: float, points: int, reach: float) -> dict[str, float]:
    """sup over D of RpGAN's value, plus log 2, for N(0, 1) and N(shift, 1), in float64: by the densities at so many points from
    -reach to reach + shift, a sum that for Gaussians is the integral to all digits (cells of the same width are not)."""
    x = torch.linspace(-reach, reach + shift, points, dtype=torch.float64)
    log_p, log_q = (Normal(torch.tensor(mean, dtype=torch.float64), 1.0).log_prob(x) for mean in (0.0, shift))
    log_h = (x[1] - x[0]).log()
    return {"divergence": RelativisticPair().divergence(Cells(x[:, None], log_p + log_h, log_q + log_h)).item()}
