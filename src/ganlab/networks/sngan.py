"""SNGAN (Miyato et al., 2018): residual blocks, with D's weights divided by their spectral norms (penalty=spectral_norm).

Sizes as in mimicry (Lee and Town, 2020): 32 pixels a side with one width throughout, larger images with one that doubles.
"""

from __future__ import annotations

from collections.abc import Sequence

from ganlab.networks import layers
from ganlab.networks.norms import Norm
from ganlab.networks.residual import PixelSum, Residual, ResidualD
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
        super().__init__("sngan", shape, z_dim, width, doublings, told, norm)


class Discriminator(ResidualD):
    """x [B, C, H, W] -> logit [B]: the head sees sums over pixels."""

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
        super().__init__("sngan", shape, width, doublings, halvings, flat, norm, head, PixelSum())
