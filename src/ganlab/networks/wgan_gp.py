"""WGAN-GP's residual networks (Gulrajani et al., 2017, appendix F): no BatchNorm in D, whose slope is held at single examples.

Sizes as in mimicry (Lee and Town, 2020), whose 1 x 1 convolutions keep torch's initial weights; here they are Glorot's, as in
the authors' code.
"""

from __future__ import annotations

from ganlab.networks.residual import PixelMean, Residual, ResidualD


class Generator(Residual):
    """z [B, Z] -> x [B, C, H, W] in [-1, 1]."""

    family = "wgan_gp"


class Discriminator(ResidualD):
    """x [B, C, H, W] -> output [B]: the head sees means over pixels."""

    family = "wgan_gp"
    summed = PixelMean
