"""Adaptive discriminator augmentation (Karras et al., 2020, "Training GANs with limited data"): its pipeline `bgc`, of pixel
blitting, geometric and colour transformations, and its cutout, each applied to each image with a probability p that follows
D's overfitting.

As in the authors' code but for three things: blitting copies pixels and interpolates none; the mirrored surroundings of an
image have no end, so that no shape depends on what is drawn; p stays within 0..1. On a GPU the gradient of a sampled image is
a sum in no fixed order: two runs there agree up to rounding.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from ganlab.errors import at_least_one
from ganlab.game.augment_diff import OfImages
from ganlab.game.players import Look
from ganlab.random import normal, uniform

SYM6 = (0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466,
        0.787641141030194, 0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578,
        0.0017677118642428036, -0.007800708325034148)  # fmt: skip  # Daubechies' symlet: its even shifts are orthonormal
CENTRE = sum(i * tap for i, tap in enumerate(SYM6)) / sum(SYM6)  # 5.1: where the filter puts what it is given
MARGIN, BAND = 6, 3  # pixels that are mirrored before filtering, and how far out the result is then exact
SMALLEST = 8  # pixels of a side


class BGC(OfImages):
    """The pipeline with one probability p, which `blit`, `geometric` and `colour` multiply for their groups: 0 leaves a group
    out. So does `cutout` for what follows them in the authors' code and is no part of bgc: a rectangle of half the height and
    width becomes 0, as R3GAN has it. Gray and colour images of at least 8 x 8."""

    fixed: tuple[str, ...] = ("blit", "geometric", "colour", "cutout")
    p: Any  # a number, or one in a buffer

    def __init__(self, p: float, blit: float = 1.0, geometric: float = 1.0, colour: float = 1.0, cutout: float = 0.0) -> None:
        super().__init__()
        for name, value in {"p": p, "blit": blit, "geometric": geometric, "colour": colour, "cutout": cutout}.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is a probability or its factor, in 0..1, got {value}")
        if geometric and not _twice_differentiable():
            raise ValueError(
                f"torch {torch.__version__} has no second derivative of grid_sample: take a newer one, or geometric=0"
            )
        self.p = p
        self.blit, self.geometric, self.colour, self.cutout = blit, geometric, colour, cutout

    def changed(self, x: Tensor) -> Tensor:
        if x.shape[1] not in (1, 3) or min(x.shape[2:]) < SMALLEST:
            raise ValueError(
                f"{type(self).__name__} is of gray or RGB images of 8 x 8 at least but these are {list(x.shape[1:])}"
            )
        with torch.autocast(x.device.type, enabled=False):
            seen = x.to(torch.promote_types(x.dtype, torch.float32))
            if self.blit:
                seen = blitted(seen, *self._blitting(seen))
            if self.geometric:
                seen = transformed(seen, *self._geometry(seen))
            if self.colour:
                seen = recoloured(seen, self._colours(seen))
            if self.cutout:
                seen = cut(seen, *self._cut(seen))
            return seen.to(x.dtype)

    def _blitting(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Whether each image is flipped [B] (half of them), its quarter turns [B], its shift [B, 2] (rows, columns), at most an
        eighth of the image."""
        q, n = self.p * self.blit, len(x)
        flip = _either((uniform((n,), like=x) * 2).floor(), 0.0, q, x)
        turns = _either((uniform((n,), like=x) * 4).floor(), 0.0, q, x)
        share = _either((uniform((n, 2), like=x) * 2 - 1) / 8, 0.0, q, x)
        height, width = x.shape[2:]
        return flip, turns, torch.stack([(share[:, 0] * height).round(), (share[:, 1] * width).round()], 1)

    def _geometry(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scaling, rotation, anisotropic scaling, rotation, shift: the linear map [B, 2, 2] from where a pixel goes to where it
        comes from, about the centre, and the shift [B, 2], both in pixels (rows, columns)."""
        q, n = self.p * self.geometric, len(x)
        half = 1 - (1 - q) ** 0.5  # of two rotations: at least one with q
        scale = _either((normal((n,), like=x) * 0.2).exp2(), 1.0, q, x)
        first = _either((uniform((n,), like=x) * 2 - 1) * math.pi, 0.0, half, x)
        stretch = _either((normal((n,), like=x) * 0.2).exp2(), 1.0, q, x)
        second = _either((uniform((n,), like=x) * 2 - 1) * math.pi, 0.0, half, x)
        shift = _either(normal((n, 2), like=x) / 8, 0.0, q, x)
        shift = torch.stack([shift[:, 0] * x.shape[2], shift[:, 1] * x.shape[3]], 1)
        back = _rotation(-first) @ torch.diag_embed(torch.stack([stretch, 1 / stretch], 1)) @ _rotation(-second)
        return back / scale[:, None, None], shift

    def _colours(self, x: Tensor) -> Tensor:
        """Brightness, contrast, luma flip, hue, saturation: an affine map [B, 3, 4] of RGB."""
        q, n = self.p * self.colour, len(x)
        light = _either(normal((n,), like=x) * 0.2, 0.0, q, x)
        contrast = _either((normal((n,), like=x) * 0.5).exp2(), 1.0, q, x)
        flip = _either((uniform((n,), like=x) * 2).floor(), 0.0, q, x)
        hue = _either((uniform((n,), like=x) * 2 - 1) * math.pi, 0.0, q, x)
        saturation = _either(normal((n,), like=x).exp2(), 1.0, q, x)
        return colour_map(light, contrast, flip, hue, saturation)

    def _cut(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The share of each side [B] of a rectangle, a half or none, and its centre [B, 2], anywhere in the image (0..1)."""
        half = torch.full((len(x),), 0.5, dtype=x.dtype, device=x.device)
        return _either(half, 0.0, self.p * self.cutout, x), uniform((len(x), 2), like=x)


class Adaptive(BGC):
    """With p in a buffer: every `every` steps of D it moves by the images that these have seen over `speed`, up where
    r_t = E sign(D(x)) on data (equation 1) is above `target`, down where it is below. `p` is that of the start."""

    fixed = (*BGC.fixed, "p")  # for schedules: it moves by itself
    signs: Tensor
    r: Tensor

    def __init__(
        self, p: float, target: float, speed: float, every: int,
        blit: float = 1.0, geometric: float = 1.0, colour: float = 1.0, cutout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(p, blit, geometric, colour, cutout)
        at_least_one(every=every)
        if not (-1 < target < 1 and speed > 0):
            raise ValueError(f"ADA needs a target in -1..1 and speed > 0 images, got target={target} and speed={speed}")
        self.target, self.speed, self.every = target, speed, every
        del self.p
        self.register_buffer("p", torch.tensor(float(p)))
        self.register_buffer("signs", torch.zeros(()))  # their sum since p has moved
        self.register_buffer("r", torch.zeros(()))  # the newest r_t

    @torch.no_grad()
    def after_step(self, seen: Look) -> None:
        r, images = seen.on_x.detach().sign().mean(), len(seen.x)
        if torch.distributed.is_available() and torch.distributed.is_initialized():  # of all processes, so that p stays one
            torch.distributed.all_reduce(r)
            processes = torch.distributed.get_world_size()
            r, images = r / processes, images * processes
        self.signs += r
        if (seen.step + 1) % self.every == 0:  # of D, which the host knows
            self.r.copy_(self.signs / self.every)
            self.p.add_((self.r - self.target).sign() * (images * self.every / self.speed)).clamp_(0, 1)
            self.signs.zero_()

    def readings(self) -> dict[str, Tensor]:
        return {"ada_p": self.p, "ada_r": self.r}


def blitted(x: Tensor, flip: Tensor, turns: Tensor, shift: Tensor) -> Tensor:
    """x [B, C, H, W] flipped left to right where flip [B] is 1, turned by turns [B] times 90 degrees counterclockwise about its
    centre, moved by shift [B, 2] whole pixels (down, right); what lies outside is mirrored."""
    height, width = x.shape[2:]
    rows = torch.arange(height, device=x.device, dtype=x.dtype)[:, None] - (height - 1) / 2 - shift[:, 0, None, None]
    columns = torch.arange(width, device=x.device, dtype=x.dtype) - (width - 1) / 2 - shift[:, 1, None, None]
    quarter = (turns * (math.pi / 2))[:, None, None]
    cos, sin = quarter.cos().round(), quarter.sin().round()
    rows, columns = cos * rows + sin * columns, cos * columns - sin * rows  # before the turn
    columns = columns * (1 - 2 * flip[:, None, None])
    at = [_mirrored((place + (size - 1) / 2 + 0.25).floor(), size) for place, size in ((rows, height), (columns, width))]
    index = (at[0] * width + at[1]).long().flatten(1)[:, None]  # [B, 1, H W]; the .25: between two pixels the first is taken
    return x.flatten(2).gather(2, index.expand(-1, x.shape[1], -1)).reshape(x.shape)


def transformed(x: Tensor, back: Tensor, shift: Tensor) -> Tensor:
    """x [B, C, H, W] at the places that back [B, 2, 2] (about the centre) has for those of the result, which is then moved by
    shift [B, 2]; (rows, columns) in pixels. Sampled at twice the resolution between two passes of an orthonormal filter, so
    that nothing changes where nothing is to; what lies outside is mirrored."""
    height, width = x.shape[2:]
    up, down = zip(*(_filters(n, x.dtype, x.device) for n in (height, width)), strict=True)
    fine = up[0] @ x @ up[1].mT  # pixel n lies at 2 (n + MARGIN) + CENTRE
    rows, columns = (
        (torch.arange(2 * n + len(SYM6) - 2, device=x.device, dtype=x.dtype) - CENTRE) / 2 for n in (height, width)
    )
    rows = rows[:, None] - (height - 1) / 2 - shift[:, 0, None, None]  # [B, 2 H + 10, 1]
    columns = columns - (width - 1) / 2 - shift[:, 1, None, None]
    m = back[:, :, :, None, None]
    places = m[:, 0, 0] * rows + m[:, 0, 1] * columns, m[:, 1, 0] * rows + m[:, 1, 1] * columns
    grid = [
        (2 * (_banded(place + (size - 1) / 2, size) + MARGIN) + CENTRE) * (2 / (extent - 1)) - 1
        for place, size, extent in zip(places, (height, width), fine.shape[2:], strict=True)
    ]
    fine = grid_sample(fine, torch.stack(grid[::-1], -1), padding_mode="border", align_corners=True)
    return down[0] @ fine @ down[1].mT


@lru_cache(maxsize=16)
def _filters(n: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """What brings n pixels to twice the resolution, with mirrored ones beyond: [2 (n + 2 MARGIN) + 10, n]; and what brings them
    back: [n, 2 n + 10]. One after the other at the same places, they are 1."""
    wide, taps = n + 2 * MARGIN, torch.tensor(SYM6, dtype=dtype)
    up, down = torch.zeros(2 * wide + len(SYM6) - 2, n, dtype=dtype), torch.zeros(n, 2 * n + len(SYM6) - 2, dtype=dtype)
    for i, pixel in enumerate(_mirrored(place, n) for place in range(-MARGIN, n + MARGIN)):  # (on the host)
        up[2 * i : 2 * i + len(SYM6), pixel] += 2**0.5 * taps
    for i in range(n):
        down[i, 2 * i : 2 * i + len(SYM6)] = taps / 2**0.5
    return up.to(device), down.to(device)


def recoloured(x: Tensor, colours: Tensor) -> Tensor:
    """colours [B, 3, 4] of RGB images [B, 3, H, W]; a gray one is taken as three equal channels, whose mean it becomes."""
    if x.shape[1] == 1:
        factor, light = colours[:, :, :3].sum(2).mean(1), colours[:, :, 3].mean(1)
        return x * factor[:, None, None, None] + light[:, None, None, None]
    return (colours[:, :, :3] @ x.flatten(2) + colours[:, :, 3:]).reshape(x.shape)


def colour_map(light: Tensor, contrast: Tensor, flip: Tensor, hue: Tensor, saturation: Tensor) -> Tensor:
    """[B, 3, 4] of [B] each, in the order of the arguments: `light` is added, all is multiplied by `contrast`, the luma is
    negated where `flip` is 1, hues turn by `hue` about the gray axis, and what is off that axis is multiplied."""
    eye = torch.eye(3, dtype=light.dtype, device=light.device)
    axis = light.new_full((3, 3), 1 / 3)  # v v^T, v = (1, 1, 1) / sqrt 3
    cross = (eye.roll(1, 0) - eye.roll(1, 1)) / 3**0.5  # v x
    off = eye - axis
    turn = axis + hue.cos()[:, None, None] * off + hue.sin()[:, None, None] * cross
    gray = contrast[:, None, None] * (eye - 2 * flip[:, None, None] * axis)
    linear = (axis + saturation[:, None, None] * off) @ turn @ gray
    return torch.cat([linear, linear.sum(2, keepdim=True) * light[:, None, None]], 2)


def cut(x: Tensor, share: Tensor, centre: Tensor) -> Tensor:
    """x [B, C, H, W], 0 in a rectangle of share [B] of the height and the width about centre [B, 2] (down, right; 0..1)."""
    inside = []
    for axis, size in ((0, x.shape[2]), (1, x.shape[3])):
        place = (torch.arange(size, device=x.device, dtype=x.dtype) + 0.5) / size
        inside.append((place - centre[:, axis, None]).abs() < share[:, None] / 2)  # [B, size]
    return x.masked_fill((inside[0][:, :, None] & inside[1][:, None, :])[:, None], 0.0)


@cache
def _twice_differentiable() -> bool:
    x = torch.ones(1, 1, 2, 2, requires_grad=True)
    value = grid_sample(x, torch.zeros(1, 1, 1, 2), align_corners=True).square().sum()
    try:
        torch.autograd.grad(torch.autograd.grad(value, x, create_graph=True)[0].sum(), x)
    except RuntimeError:
        return False
    return True


def _either(value: Tensor, neutral: float, q: Any, x: Tensor) -> Tensor:
    """The value [B, ...] with probability q, otherwise what changes nothing; decided for each image."""
    taken = uniform((len(x), *[1] * (value.dim() - 1)), like=x) < q
    return torch.where(taken, value, neutral)


def _rotation(angle: Tensor) -> Tensor:
    """[B, 2, 2]"""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)


def _mirrored(place: Any, size: int) -> Any:
    """Pixel coordinates, a tensor or a number, brought into 0..size - 1 by mirrors at the first and the last pixel."""
    return size - 1 - abs(place % (2 * (size - 1)) - (size - 1))


def _banded(place: Tensor, size: int) -> Tensor:
    """The same, but for a band about the image, whose mirrored pixels are there."""
    near = (place >= -BAND) & (place <= size - 1 + BAND)
    return torch.where(near, place, _mirrored(place, size))
