"""SNGAN (Miyato et al., 2018): residual blocks, with D's weights divided by their spectral norms (penalty=spectral_norm).

Sizes as in mimicry (Lee and Town, 2020): 32 pixels a side with one width throughout, larger images with one that doubles.
"""

from __future__ import annotations

from ganlab.networks.residual import Residual, ResidualD


class Generator(Residual):
    """z [B, Z] -> x [B, C, H, W] in [-1, 1]."""

    family = "sngan"


class Discriminator(ResidualD):
    """x [B, C, H, W] -> logit [B]: the head sees sums over pixels."""

    family = "sngan"
