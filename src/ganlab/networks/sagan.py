"""SAGAN (Zhang et al., 2019): SNGAN's blocks, attention within, and spectral norms in both nets
(penalty=[spectral_norm,spectral_norm_g]). Sizes as in mimicry (Lee and Town, 2020)."""

from __future__ import annotations

from ganlab.networks.residual import Residual, ResidualD


class Generator(Residual):
    """z [B, Z] -> x [B, C, H, W] in [-1, 1]; its yaml says where there is attention."""

    family = "sagan"


class Discriminator(ResidualD):
    """x [B, C, H, W] -> logit [B]: the head sees sums over pixels."""

    family = "sagan"
