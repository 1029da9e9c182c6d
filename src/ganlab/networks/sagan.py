"""SAGAN (Zhang et al., 2019): SNGAN's blocks, attention within, and spectral norms in both nets
(penalty=[spectral_norm,spectral_norm_g]). Sizes as in mimicry (Lee and Town, 2020)."""

from __future__ import annotations

from collections.abc import Sequence

from ganlab.networks import layers
from ganlab.networks.norms import Norm
from ganlab.networks.residual import PixelSum, Residual, ResidualD
from ganlab.networks.told import Told


class Generator(Residual):
    """z [B, Z] -> x [B, C, H, W] in [-1, 1]; `attention`: after which blocks, counted from 1."""

    def __init__(
        self,
        shape: Sequence[int],
        z_dim: int,
        width: int,
        attention: Sequence[int],
        doublings: int = 0,
        told: Told | None = None,
        norm: str | Norm = "batch",
    ) -> None:
        super().__init__("sagan", shape, z_dim, width, doublings, told, norm, attention)


class Discriminator(ResidualD):
    """x [B, C, H, W] -> logit [B]; `attention`: after which blocks, counted from 1."""

    def __init__(
        self,
        shape: Sequence[int],
        width: int,
        attention: Sequence[int],
        doublings: int = 0,
        halvings: int | None = None,
        flat: int = 2,
        norm: str | Norm = "none",
        head: layers.Head = layers.LinearHead,
    ) -> None:
        super().__init__("sagan", shape, width, doublings, halvings, flat, norm, head, PixelSum(), attention)
