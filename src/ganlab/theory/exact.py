"""The exact instrument: G a map from the line to the line, p_data with a known distribution function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ganlab.figures import line as portraits
from ganlab.precision import working
from ganlab.random import generator_of
from ganlab.theory import maps
from ganlab.theory.optimum import best_output
from ganlab.theory.reading import Frame, Reading, Row, Values, against_optimum, distances, say_if_unknown
from ganlab.types import Cells, LineSource, Subject

TAIL = 1e-9  # of p_data is beyond the outermost of its quantiles
Z_TAIL = 1e-15  # of the prior is left out at either end
NARROW = 1e-6  # width of the narrowest cells, in units of the larger of |x| and the distance of the data's quartiles
NOTHING = 1e-8  # mass of p_data that counts as none in a cell which p_g does not reach
TURNS = 6  # of bisection for the crossings in W1: a 64th of a cell
MOST_FOLDS = 16  # of G that are looked at closely
FOLD_SHARE = 64  # of the z_points lie within the window on either side of a fold: one in so many
FOLD_POINTS = 128  # of z, and edges of cells, on either side of a fold
DRAWN = 100_000  # samples of the data in the picture of the theorem
BARS = 20  # of the histogram of F(G(z))


class Line:
    """Compares p_g, which is computed from G itself by the change of variables, with p_data on cells that are narrow where
    either has mass; G with the inverse CDF; and D with its optimum on these cells.

    `cells` come from the quantiles of p_data, half as many from those of p_g; G is taken as linear between `z_points`.
    """

    def __init__(self, subject: Subject, cells: int, z_points: int) -> None:
        source, prior, loss = subject.source, subject.prior, subject.loss
        if source.shape != (1,) or not isinstance(source, LineSource):
            raise ValueError(
                f"theory=line needs data on the line with a known density, and this data has the shape {list(source.shape)}"
                f"{'' if source.shape == (1,) else ': try theory=estimate' if source.shape == (2,) else ': use theory=none'}"
            )
        if subject.told:
            raise ValueError("theory=line compares G with the inverse CDF, and this G is told y beside z: try theory=estimate")
        if prior.dim != 1:
            raise ValueError(
                f"theory=line compares G with the inverse CDF and needs prior.dim=1, found {prior.dim}: try theory=estimate"
            )
        if cells < 10 or z_points < 10:
            raise ValueError(f"cells and z_points must be >= 10, got {cells} and {z_points}")
        self.source, self.loss = source, loss
        low, high = prior.coordinate.icdf(torch.tensor([Z_TAIL, 1 - Z_TAIL], dtype=torch.float64)).tolist()
        self.z = torch.linspace(low, high, z_points, dtype=torch.float64)
        self.cdf = prior.coordinate.cdf
        F_z = self.cdf(self.z)
        self.F_z = (F_z - F_z[0]) / (F_z[-1] - F_z[0])
        middle = ((self.F_z[1:] + self.F_z[:-1]) / 2).clamp(2**-53, 1 - 2**-53)  # F^{-1} may be infinite at 0 and 1
        self.inverse = source.quantile(middle), source.quantile(1 - middle)
        u, tail = torch.linspace(0, 1, cells, dtype=torch.float64)[1:-1], torch.logspace(-9, -3, 48, dtype=torch.float64)
        self.u = torch.cat([u, tail, 1 - tail]).sort().values
        self.of_data = source.quantile(self.u)
        support = source.quantile(torch.tensor([0.0, 1.0], dtype=torch.float64))
        self.support = support[support.isfinite()]
        quarters = source.quantile(torch.tensor([0.25, 0.75], dtype=torch.float64))
        self.scale = quarters[1] - quarters[0]
        low, high = source.quantile(torch.tensor([2e-3, 1 - 2e-3], dtype=torch.float64)).tolist()
        room = 0.2 * (high - low)
        self.shown = torch.linspace(low - room, high + room, 241, dtype=torch.float64)  # edges of the pictures' cells
        say_if_unknown(loss, self._cells(self.of_data, source.cdf))

    def distances(self, G: Callable[[Tensor], Tensor]) -> Values:
        Gz = self._map(G, self.z)
        F_g, near = self._pushforward(G, Gz)
        return self._distances(Gz, F_g, self._cells(Gz, F_g, near))

    def measure(self, G: Callable[[Tensor], Tensor], D: Callable[[Tensor], Tensor]) -> Reading:
        Gz = self._map(G, self.z)
        F_g, near = self._pushforward(G, Gz)
        cells = self._cells(Gz, F_g, near)
        values = self._distances(Gz, F_g, cells) | against_optimum(self.loss, _on_line(D, cells.x), cells)
        return Reading(values, self._frame(Gz, F_g, D))

    def _map(self, G: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
        """G at z [Z]."""
        return G(working(z[:, None]))[:, 0].double().cpu()

    def _pushforward(self, G: Callable[[Tensor], Tensor], Gz: Tensor) -> tuple[maps.Map, Tensor]:
        """The distribution function of G(z), and edges for cells near the folds of G. There p_g grows like 1 / sqrt(distance),
        and G is no line between two values of z: it is asked for more of them, at fold + t^2, and the edges lie at t^4, so that
        the cells where p_g varies most have the least of it."""
        folds = maps.folds(self.z, Gz, MOST_FOLDS)
        if not len(folds):
            return maps.pushforward(Gz, self.F_z), folds
        window = (self.z[1] - self.z[0]) * max(2, len(self.z) // FOLD_SHARE)
        more = maps.graded(folds, window.expand_as(folds), FOLD_POINTS, power=2).clamp(self.z[0], self.z[-1])  # [n, points]
        at = self._map(G, more.flatten()).view_as(more)
        z, order = torch.cat([self.z, more.flatten()]).sort()
        fold, ends = at[:, FOLD_POINTS], at[:, [0, -1]].mean(1)
        # just outside, for G is rounded to float32: a mass of 1e-4 would fall on the other side
        edge = fold + (fold - ends).sign() * 4 * NARROW * torch.hypot(fold, self.scale)
        near = maps.graded(edge, (fold - ends).abs(), FOLD_POINTS, power=4)
        return maps.pushforward(torch.cat([Gz, at.flatten()])[order], self.cdf(z)), near.flatten()

    def _cells(self, Gz: Tensor, F_g: maps.Map, *more: Tensor) -> Cells:
        """Cells that cover p_data and p_g; their edges are the quantiles of both, and `more`."""
        ordered = Gz.sort().values
        own = ordered[torch.linspace(0, len(Gz) - 1, len(self.u) // 2).long()]
        around = torch.stack([ordered[0], ordered[-1], self.of_data[0], self.of_data[-1]])
        room = NARROW * torch.hypot(around, self.scale) * torch.tensor([-4, 4, -4, 4])
        edges = torch.cat([self.of_data, own, self.support, around + room, *more]).sort().values
        # what float32 tells apart at x: relative to |x| in the tails, to the data's width in the middle
        place = (torch.asinh(edges / self.scale) / NARROW).round()
        return self._masses(edges[torch.cat([torch.ones(1, dtype=torch.bool), place.diff() > 0])], F_g)

    def _masses(self, edges: Tensor, F_g: maps.Map) -> Cells:
        x, width = (edges[1:] + edges[:-1]) / 2, edges.diff()
        P, Q = self.source.cdf(edges).diff(), F_g(edges).diff()
        thin = self.source.log_prob(x[:, None]) + width.log()  # differences of F near 1 are rounded to 1e-16
        log_p = torch.where(P > 1e-11, P.log(), thin)
        log_p = torch.where((Q == 0) & (P < NOTHING), -torch.inf, log_p)  # z was cut off at Z_TAIL: nobody knows of p_g there
        return Cells(x[:, None], log_p - log_p.logsumexp(0), Q.log() - Q.sum().log())

    def _distances(self, Gz: Tensor, F_g: maps.Map, cells: Cells) -> Values:
        x = cells.x[:, 0]
        error, direction = maps.inverse_cdf_error(Gz, self.F_z, *self.inverse)
        return {
            **distances(cells),
            "w1": maps.w1(self.source.cdf, F_g, x, TURNS).item(),
            "ks": (self.source.cdf(x) - F_g(x)).abs().max().item(),
            "inverse_cdf_error": error,
            "direction": direction,
            "monotone": maps.monotone_share(Gz, self.F_z).item(),
            "uncovered": cells.log_p[cells.log_q == -torch.inf].exp().sum().item(),
        }

    def _frame(self, Gz: Tensor, F_g: maps.Map, D: Callable[[Tensor], Tensor]) -> Frame:
        edges = self.shown
        P, Q = self.source.cdf(edges).diff(), F_g(edges).diff()
        x = ((edges[1:] + edges[:-1]) / 2)[:, None]
        cells, output = Cells(x, P.log(), Q.log()), _on_line(D, x)
        best = best_output(self.loss, cells)
        known = (P + Q > 0) if best is not None else torch.zeros_like(P, dtype=torch.bool)
        every = slice(None, None, max(1, len(self.z) // 512))
        bars = torch.linspace(0, 1, BARS + 1, dtype=torch.float64)
        inner = F_g(self.source.quantile(bars[1:-1]))
        return {
            "x": x[:, 0],
            "p": P / edges.diff(),
            "q": Q / edges.diff(),
            "D": output,
            "best": torch.where(known, best, torch.nan) if best is not None else torch.full_like(output, torch.nan),
            "z": self.z[every],
            "Gz": Gz[every],
            "F_z": self.F_z[every],
            "inverse": self.source.quantile(self.F_z[every].clamp(TAIL, 1 - TAIL)),
            "pit": torch.cat([torch.zeros(1), inner, torch.ones(1)]).diff(),  # masses of F(G(z))
        }

    def figures(self, frames: Sequence[tuple[int, Frame]], rows: Sequence[Row], folder: Path) -> list[Path]:
        x, _ = self.source.sample(DRAWN, generator_of(0, "universality"))
        u, path = self.source.cdf(x[:, 0].double()), folder / "universality.png"
        density = lambda at: self.source.log_prob(torch.from_numpy(at)[:, None]).exp().numpy()  # noqa: E731
        portraits.universality(x[:, 0].numpy(), u.numpy(), density).save(path)
        return [path, *portraits.line_figures(frames, rows, self.loss, folder)]


def _on_line(D: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return D(working(x)).double().cpu()
