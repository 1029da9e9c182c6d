"""DiffAugment (Zhao et al., 2020): what it does to images [B, C, H, W], gray or colour, in three parts that compose. Each draws
anew for every image; ranges are those of the authors' code."""

from __future__ import annotations

import torch
from torch import Tensor

from ganlab.game.augment import Augment
from ganlab.random import uniform


class OfImages(Augment):
    """One that changes the laws that D sees, and is of images alone."""

    neutral, images = False, True

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4:
            raise ValueError(
                f"{type(self).__name__} is of images [B, C, H, W] but D is shown {list(x.shape)}: try instance noise"
            )
        return self.changed(x)

    def changed(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Color(OfImages):
    """Brightness, saturation and contrast, in this order: b is added, distances to the mean over channels and those to the mean
    of the whole image are multiplied; b in -w/2..w/2, the factors in 1 - w/2..1 + w/2, w the argument."""

    def __init__(self, brightness: float, saturation: float, contrast: float) -> None:
        super().__init__()
        self.brightness, self.saturation, self.contrast = brightness, saturation, contrast

    def changed(self, x: Tensor) -> Tensor:
        b, s, c = (uniform((len(x), 1, 1, 1), like=x) - 0.5 for _ in range(3))
        x = x + self.brightness * b
        gray = x.mean(1, keepdim=True)
        x = gray + (x - gray) * (1 + self.saturation * s)
        mean = x.mean((1, 2, 3), keepdim=True)
        return mean + (x - mean) * (1 + self.contrast * c)


class Translation(OfImages):
    """By whole pixels, up to the share `ratio` of height and of width, both ways; 0 moves in."""

    fixed = ("ratio",)

    def __init__(self, ratio: float) -> None:
        super().__init__()
        self.ratio = _share(ratio)

    def changed(self, x: Tensor) -> Tensor:
        for dim in (2, 3):
            size = x.shape[dim]
            most = int(size * self.ratio + 0.5)
            shift = (uniform((len(x), 1), like=_full(x)) * (2 * most + 1)).floor().clamp(max=2 * most).long() - most
            source = torch.arange(size, device=x.device) - shift  # [B, size]
            place = [len(x), 1, 1, 1]
            place[dim] = size
            inside = ((source >= 0) & (source < size)).reshape(place)
            x = x.gather(dim, source.clamp(0, size - 1).reshape(place).expand_as(x)) * inside
        return x


class Cutout(OfImages):
    """A rectangle of the share `ratio` of height and of width becomes 0; its centre is anywhere, so that it may stick out."""

    fixed = ("ratio",)

    def __init__(self, ratio: float) -> None:
        super().__init__()
        self.ratio = _share(ratio)

    def changed(self, x: Tensor) -> Tensor:
        inside = []
        for dim in (2, 3):
            size = x.shape[dim]
            cut = int(size * self.ratio + 0.5)
            places = size + 1 - cut % 2
            centre = (uniform((len(x), 1), like=_full(x)) * places).floor().clamp(max=places - 1)
            off = torch.arange(size, device=x.device) - (centre - cut // 2)  # [B, size]
            inside.append((off >= 0) & (off < cut))
        return x * ~(inside[0][:, None, :, None] & inside[1][:, None, None, :])


def _full(x: Tensor) -> Tensor:
    """Of a dtype that tells pixels apart."""
    return x.new_empty((), dtype=torch.promote_types(x.dtype, torch.float32))


def _share(ratio: float) -> float:
    if not 0 <= ratio <= 1:
        raise ValueError(f"ratio is a share of the image, in 0..1, got {ratio}")
    return ratio
