"""G as a map from the line to the line: the distribution it makes, and how far it is from the inverse CDF of the data.

By the change of variables, p_g(x) = sum over {z: G(z) = x} of p_z(z) / |G'(z)|. It is infinite at the folds of G, where
G' = 0, but its mass in a cell is not: measure masses, not densities.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]  # [n] -> [n], elementwise
TURNS = 60  # of bisection: more than a float64 has bits


def roots(f: Map, edges: Tensor, turns: int = TURNS) -> Tensor:
    """Where f [n] -> [n] changes its sign between neighbours of `edges` [M + 1], ascending: by bisection, to 2^-turns of the
    distance between the two."""
    sign = f(edges) > 0
    (cell,) = torch.nonzero(sign[1:] != sign[:-1], as_tuple=True)
    low, high, below = edges[cell], edges[cell + 1], sign[cell]
    for _ in range(turns):
        middle = (low + high) / 2
        same = (f(middle) > 0) == below
        low, high = torch.where(same, middle, low), torch.where(same, high, middle)
    return (low + high) / 2


def density(G: Map, log_p_z: Map, preimages: Tensor) -> Tensor:
    """p_g(x), a scalar, from all z [n] with G(z) = x: sum of p_z(z) / |G'(z)|, G' by autograd."""
    z = preimages.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(G(z).sum(), z)
    return (log_p_z(z.detach()).exp() / slope.abs()).sum()


def mass(G: Map, F_z: Map, low: float, high: float, z: Tensor) -> Tensor:
    """P(low < G(z) <= high) from the prior's distribution function and the crossings of a smooth G between neighbours of
    the ascending `z` [M + 1], whose ends are those of the prior."""
    ends = [z[:1], roots(lambda v: G(v) - low, z), roots(lambda v: G(v) - high, z), z[-1:]]
    cut = torch.cat(ends).sort().values
    middle = G((cut[1:] + cut[:-1]) / 2)
    return F_z(cut).diff()[(low < middle) & (middle <= high)].sum()


def interpolate(x: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """The piecewise linear function through (xs, ys) at x [n], constant beyond the ends; xs [M] ascends, at a repeated one
    it jumps, and there it has its higher value."""
    i = torch.searchsorted(xs, x, right=True).clamp(1, len(xs) - 1)
    width = xs[i] - xs[i - 1]
    share = torch.where(width > 0, (x - xs[i - 1]) / width, (x >= xs[i]).to(x.dtype))
    return torch.lerp(ys[i - 1], ys[i], share.clamp(0, 1))


def folds(z: Tensor, Gz: Tensor, most: int) -> Tensor:
    """Where G turns between rising and falling, ascending [n], by the parabola through the three values Gz [M + 1] at evenly
    spaced z around it; of more than `most`, those where it bends most, for a flat G turns at each rounding."""
    step = Gz.diff()
    (at,) = torch.nonzero((step[1:] >= 0) != (step[:-1] >= 0), as_tuple=True)
    bend = step[1:][at] - step[:-1][at]
    if len(at) > most:
        at, bend = (part[bend.abs().topk(most).indices.sort().values] for part in (at, bend))
    return z[at + 1] - (z[1] - z[0]) * (step[at + 1] + step[at]) / (2 * bend)


def graded(around: Tensor, reach: Tensor, points: int, power: int) -> Tensor:
    """Points on both sides of each of `around` [n], ever denser towards it: at reach [n] times s^power, s evenly in 0..1,
    [n, 2 points + 1]."""
    s = torch.linspace(-1, 1, 2 * points + 1, dtype=around.dtype)
    return around[:, None] + reach[:, None] * s.sign() * s.abs() ** power


def pushforward(Gz: Tensor, F_z: Tensor) -> Map:
    """The distribution function of G(z), z ~ p_z, for the piecewise linear G through the values Gz [M + 1] at ascending z
    whose distribution function is F_z [M + 1]: each rising or falling run of G brings the mass of its z."""
    F_z = (F_z - F_z[0]) / (F_z[-1] - F_z[0])
    rises = Gz.diff() >= 0
    (turns,) = torch.nonzero(rises[1:] != rises[:-1], as_tuple=True)
    bounds = [0, *(turns + 1).tolist(), len(Gz) - 1]
    runs = [(Gz[a : b + 1], F_z[a : b + 1] - F_z[a]) for a, b in pairwise(bounds)]
    ascending = [(G, F) if G[-1] >= G[0] else (G.flip(0), F[-1] - F.flip(0)) for G, F in runs]

    def F_g(x: Tensor) -> Tensor:
        total = torch.zeros_like(x)
        for G, F in ascending:
            total += interpolate(x, G, F)
        return total.clamp(0, 1)

    return F_g


def w1(F: Map, G: Map, edges: Tensor, turns: int = TURNS) -> Tensor:
    """W1 = int |F - G| dx of two distribution functions in units of x, by Simpson's rule on the cells between `edges` [M + 1]
    and the crossings of F and G (of `roots`); what lies beyond the ends is left out."""

    def gap(x: Tensor) -> Tensor:
        return F(x) - G(x)

    edges = torch.cat([edges, roots(gap, edges, turns)]).sort().values
    left, right, middle = gap(edges[:-1]), gap(edges[1:]), gap((edges[:-1] + edges[1:]) / 2)
    return ((left + 4 * middle + right) / 6 * edges.diff()).abs().sum()


def inverse_cdf_error(Gz: Tensor, F_z: Tensor, rising: Tensor, falling: Tensor) -> tuple[float, int]:
    """E |G(z) - F^{-1}(F_z(z))| in units of x, and +1; or, where that is nearer, with the falling F^{-1}(1 - F_z(z)), and -1:
    both make p_data of p_z. Gz and F_z are values at cell edges of z [M + 1], rising and falling the two inverse CDFs at
    their centres in F_z [M]."""
    share, middle = F_z.diff(), (Gz[1:] + Gz[:-1]) / 2
    up, down = (((middle - inverse).abs() @ share).item() for inverse in (rising, falling))
    return (up, 1) if up <= down else (down, -1)


def monotone_share(Gz: Tensor, F_z: Tensor) -> Tensor:
    """The share of z, by p_z, where G goes the way that it goes mostly; 1 for a monotone G."""
    share, step = F_z.diff() / (F_z[-1] - F_z[0]), Gz.diff()
    return torch.maximum(share[step > 0].sum(), share[step < 0].sum())
