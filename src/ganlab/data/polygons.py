"""Convex polygons (Lucic et al., 2018, "Are GANs created equal?"): pictures whose manifold is known, so that the distance
of any picture to it can be found."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ganlab.data.toy import Distribution
from ganlab.errors import at_least_one
from ganlab.pixels import from_unit, to_unit
from ganlab.random import generator_of

LIBRARY = 2048  # polygons of each number of vertices among which the starts of a search are found
STEPS = 40  # of Levenberg and Marquardt's from each start, at most
STEP = 1e-6  # of the differences in their place of derivatives, in radians
ENOUGH = 1e-4  # of a squared distance: a search that gains less with a step is at its end
CHUNK = 128  # pictures that are searched for at once


class Polygons(Distribution):
    """Dark polygons on white, [1, H, H] in [-1, 1], by the recipe of google/compare_gan (colabs/Convex_Polygons_Dataset): a
    circle of diameter `scale` H is cut into k segments, each vertex lies in one of them, at least half of `least_angle` degrees
    from the segment's beginning; all are turned by a random angle, and moved so that their mean is in the middle. A pixel is
    the exact share of it that is white, where compare_gan counts 64 points in it.

    `vertices`: the numbers k that there are, equally likely; y is which of them.
    """

    def __init__(self, vertices: Sequence[int], least_angle: float, scale: float, shape: Sequence[int]) -> None:
        if len(shape) != 3 or shape[0] != 1 or shape[1] != shape[2]:
            raise ValueError(f"polygons are grey and square, but shape is {list(shape)}: set it to [1, 28, 28], say")
        if not vertices or min(vertices) < 3 or len({*vertices}) < len(vertices):
            raise ValueError(f"vertices must be different numbers >= 3, got {list(vertices)}")
        if not 0 < scale <= 1:
            raise ValueError(f"scale must be in 0..1, got {scale}")
        if not 0 < least_angle <= 360 / max(vertices):
            raise ValueError(f"least_angle must be > 0 and <= 360 / {max(vertices)} degrees, got {least_angle}")
        at_least_one(side=shape[1])
        self.shape, self.classes = tuple(shape), len(vertices)
        self.vertices, self.least = list(vertices), math.radians(least_angle) / 2
        self.radius = shape[1] * scale / 2
        self._libraries: dict[int, tuple[Tensor, Tensor]] = {}

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        device = generator.device
        y = torch.randint(self.classes, (n,), generator=generator, device=device)
        turn = 2 * torch.pi * torch.rand(n, 1, generator=generator, device=device)
        u = torch.rand(n, max(self.vertices), generator=generator, device=device)
        x = torch.empty(n, *self.shape, device=device)
        for i, k in enumerate(self.vertices):  # every k draws as much, so that a polygon does not depend on the others
            own = y == i
            x[own] = self.picture(self._angles(u[own, :k], turn[own]))
        return x, y

    def picture(self, angles: Tensor) -> Tensor:
        """The pictures [n, 1, H, H] in [-1, 1] of polygons whose vertices lie at ascending angles [n, k] of the circle."""
        return from_unit(1 - self._dark(angles))[:, None]

    def squared_distance(self, x: Tensor, starts: int) -> Tensor:
        """Of pictures x [n, 1, H, H] in [-1, 1] to the nearest polygon that the data could have: the sum over pixels of the
        squared difference of their grey from 0 to 1, [n] in float64. Least squares over the angles of the vertices, from the
        `starts` nearest of some thousand polygons of each number of vertices; the search is local, and the value from above."""
        white = to_unit(x.double())[:, 0]
        found = [self._search(part, k, starts) for k in self.vertices for part in white.split(CHUNK)]
        return torch.stack(torch.cat(found).split(len(x))).amin(0)

    def _search(self, white: Tensor, k: int, starts: int) -> Tensor:
        target = 1 - white.flatten(1)  # [n, P]
        library, dark = self._library(k)
        nearest = torch.cdist(target.float().cpu(), dark).topk(starts, largest=False).indices  # [n, starts]
        v, target = library[nearest.flatten()].to(target), target.repeat_interleave(starts, 0)
        m, free = v.shape  # k + 1: a polygon has one name too many, which the damping chooses among
        moves = torch.cat([v.new_zeros(1, free), STEP * torch.eye(free, dtype=v.dtype, device=v.device)])[:, None]
        least, damping = v.new_full((m,), torch.inf), v.new_full((m,), 1e-2)
        A, b = v.new_zeros(m, free, free), v.new_zeros(m, free)
        at, active = v.clone(), torch.arange(m, device=v.device)
        for _ in range(STEPS):
            # the picture of the try and its derivatives, as differences
            dark_at, *moved = self._at((at + moves).flatten(0, 1)).unflatten(0, (free + 1, len(at)))
            r = dark_at - target[active]
            squared = r.square().sum(1)
            gain = least[active] - squared
            better = gain > 0
            least[active] = torch.where(better, squared, least[active])
            damping[active] = torch.where(better, damping[active] / 5, damping[active] * 5)
            if (fresh := active[better]).numel():
                v[fresh] = at[better]
                J = (torch.stack(moved, 2) - dark_at[..., None])[better] / STEP  # [m, P, k + 1]
                A[fresh], b[fresh] = J.mT @ J, (J.mT @ r[better][..., None])[..., 0]
            going = torch.where(better, gain > ENOUGH * squared.clamp(min=ENOUGH), damping[active] < 1e6)
            active = active[going]
            if not len(active):
                break
            # what is at its bound and wants to go beyond it stays there (Bertsekas's projected Newton)
            a, g, old = A[active], b[active], v[active]
            moving = ~(((old <= 0) & (g > 0)) | ((old >= 1) & (g < 0)))
            moving[:, -1] = True
            a = a * (moving[:, :, None] & moving[:, None])
            shift = damping[active, None] * (a.diagonal(dim1=1, dim2=2) + 1e-6) + ~moving
            at = old - torch.linalg.solve(a + shift.diag_embed(), g * moving)
            at = torch.cat([at[:, :-1].clamp(0, 1), at[:, -1:]], 1)
        return least.view(-1, starts).amin(1)

    def _library(self, k: int) -> tuple[Tensor, Tensor]:
        """Polygons like those of the data, as `_at` takes them [m, k + 1], and their pictures [m, P], in float32 on the CPU."""
        if k not in self._libraries:
            generator = generator_of(0, f"polygons {k}")
            u, turn = (torch.rand(LIBRARY, n, generator=generator) for n in (k, 1))
            v = torch.cat([u, 2 * torch.pi * turn], 1)
            self._libraries[k] = v, torch.cat([self._at(part) for part in v.split(CHUNK)])
        return self._libraries[k]

    def _angles(self, u: Tensor, turn: Tensor) -> Tensor:
        """Of vertices [n, k] whose places in their segments are u in 0..1."""
        k = u.shape[1]
        segment = 2 * torch.pi / k
        return turn + segment * torch.arange(k, device=u.device, dtype=u.dtype) + self.least + (segment - self.least) * u

    def _at(self, v: Tensor) -> Tensor:
        """The dark shares [n, P] at v [n, k + 1]: u in 0..1, and the turn. Every polygon of the data is one of these, and
        nothing else is."""
        return self._dark(self._angles(v[:, :-1], v[:, -1:])).flatten(1)

    def _dark(self, angles: Tensor) -> Tensor:
        corners = self.radius * torch.stack([angles.cos(), angles.sin()], -1)  # [n, k, 2]
        return coverage(corners - corners.mean(1, keepdim=True) + self.shape[1] / 2, self.shape[1])


def coverage(corners: Tensor, side: int) -> Tensor:
    """The share of each of side x side unit pixels that lies within a polygon [n, k, 2] of corners (x, y) in ascending angle:
    [n, side (y), side (x)] in 0..1, exact and differentiable.

    By Green's theorem it is the integral of clamp(x - i, 0, 1) dy along the boundary within the pixel's row; along an edge x is
    linear in y, and of the clamp of t the integral is t^2 / 2 between 0 and 1.
    """
    (x0, y0), (x1, y1) = corners[..., None, None].unbind(2), corners.roll(-1, 1)[..., None, None].unbind(2)  # [n, k, 1, 1]
    place = torch.arange(side, dtype=corners.dtype, device=corners.device)
    row, column = place[:, None], place
    slope = (x1 - x0) / _no_zero(y1 - y0)
    from_y, to_y = torch.minimum(torch.maximum(y0, row), row + 1), torch.minimum(torch.maximum(y1, row), row + 1)
    a, b = x0 + slope * (from_y - y0) - column, x0 + slope * (to_y - y0) - column  # [n, k, side, side]
    wide = (b - a).abs() > 1e-3
    exact = (_clamped_integral(b) - _clamped_integral(a)) / torch.where(wide, b - a, 1)
    middle = ((a + b) / 2).clamp(0, 1)
    return ((to_y - from_y) * torch.where(wide, exact, middle)).sum(1)


def _clamped_integral(t: Tensor) -> Tensor:
    inner = t.clamp(0, 1)
    return inner.square() / 2 + (t - 1).clamp(min=0)


def _no_zero(d: Tensor) -> Tensor:
    """d, away from 0: an edge along a row has no share in the integral."""
    return torch.where(d.abs() < 1e-9, 1e-9, d)
