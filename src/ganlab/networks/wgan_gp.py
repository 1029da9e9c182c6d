"""WGAN-GP's residual networks (Gulrajani et al., 2017, appendix F): no BatchNorm in D, whose slope is held at single examples.

Sizes as in mimicry (Lee and Town, 2020), whose 1 x 1 convolutions keep torch's initial weights; here they are Glorot's, as in
the authors' code.
"""

from __future__ import annotations

from collections.abc import Sequence

from ganlab.networks import layers
from ganlab.networks.norms import Norm
from ganlab.networks.residual import PixelMean, Residual, ResidualD
from ganlab.networks.told import Told


class Generator(Residual):
    """z [B, Z] -> x [B, C, H, W] in [-1, 1], doubled bilinearly."""

    def __init__(
        self,
        shape: Sequence[int],
        z_dim: int,
        width: int,
        doublings: int = 0,
        told: Told | None = None,
        norm: str | Norm = "batch",
    ) -> None:
        super().__init__("wgan_gp", shape, z_dim, width, doublings, told, norm)


class Discriminator(ResidualD):
    """x [B, C, H, W] -> output [B]: the head sees means over pixels."""

    def __init__(
        self,
        shape: Sequence[int],
        width: int,
        doublings: int = 0,
        halvings: int | None = None,
        flat: int = 2,
        norm: str | Norm = "none",
        head: layers.Head = layers.LinearHead,
    ) -> None:
        super().__init__("wgan_gp", shape, width, doublings, halvings, flat, norm, head, PixelMean())
