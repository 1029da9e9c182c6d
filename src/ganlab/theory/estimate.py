"""The instrument for the plane, and where G is no map from the line to the line: p_g from samples, at a finite resolution."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganlab.errors import at_least_one
from ganlab.figures import line, plane
from ganlab.precision import working
from ganlab.random import generator_of
from ganlab.theory.optimum import best_output
from ganlab.theory.reading import Frame, Reading, Row, Values, against_optimum, distances, say_if_unknown
from ganlab.types import Blurrable, Cells, Subject

SHOWN = 600  # points of data and of samples in a picture
SLICED = 4000  # samples in the sliced distance
DIRECTIONS = 16  # of the sliced distance, evenly over the half circle
CHUNK = 1024  # points whose density is computed at once: a blurred curve is a mixture of thousands
EVERYWHERE = 1e-6  # share of the mass of both laws that is spread evenly over the cells


class Estimate:
    """Compares p_data and p_g on a grid of `side` cells a dimension, both seen through Gaussian noise about as wide as a cell
    (half as wide in a coordinate of less than half the range, and so on):
    p_g by a kernel density estimate from n samples, p_data exactly, so that both are blurred alike and p_g = p_data reads 0
    up to the sampling error, which `floor` states: the same reading of n samples of p_data itself.

    What is finer than a cell is not seen, and a millionth of both laws is spread over all cells, so that KL is finite: JSD,
    KL and total variation are lower bounds. z is the same every time.
    """

    def __init__(self, subject: Subject, side: int, n: int) -> None:
        source, prior, loss = subject.source, subject.prior, subject.loss
        at_least_one(n=n)
        if side < 8:
            raise ValueError(f"side must be >= 8, got {side}")
        if len(source.shape) != 1 or source.shape[0] > 2 or not isinstance(source, Blurrable):
            raise ValueError(
                f"theory=estimate needs points with a known density on the line or in the plane, and this data has the shape "
                f"{list(source.shape)}: use theory=none"
            )
        self.loss, self.d = loss, source.shape[0]
        self.z = prior.sample(n, generator_of(0, "theory"))
        self.real = source.sample(n, generator_of(0, "theory data"))[0]
        low, high = self.real.double().min(0).values, self.real.double().max(0).values
        range_ = high - low
        finer = (
            (range_.max() / range_).log2().floor().exp2()
        )  # [d]; inf where a coordinate is constant, which no density allows
        middle, half = (low + high) / 2, 0.6 * range_.max() / finer
        self.low, self.width, self.side = middle - half, 2 * half / side, side  # [d], [d]
        axes = [low + width * (torch.arange(side) + 0.5) for low, width in zip(self.low, self.width.tolist(), strict=True)]
        self.axes = torch.stack(axes)
        self.x = torch.cartesian_prod(*axes).view(-1, self.d)  # [M, d]
        steps = torch.arange(side, dtype=torch.float64)
        self.kernel = torch.exp(-0.5 * (steps[:, None] - steps).square())  # N(0, width^2) between cells, of each coordinate
        # counting samples by cells blurs p_g once more, by a uniform law of a cell's width
        blur = self.width * math.sqrt(1 + 1 / 12)
        law = source.blurred(blur if (finer > 1).any() else blur[0].item())
        self.log_p = self._spread(torch.cat([law.log_prob(part) for part in self.x.split(CHUNK)]))
        self.lines = torch.ones(1, 1)
        if self.d == 2:
            angle = torch.arange(DIRECTIONS) * torch.pi / DIRECTIONS
            self.lines = torch.stack([angle.cos(), angle.sin()])  # [d, directions]
        self.real_shadows = self._shadows(self.real)
        self.floor = distances(self._cells(self.real))["jsd"]
        say_if_unknown(loss, self._cells(self.real))

    def distances(self, G: Callable[[Tensor], Tensor]) -> Values:
        fake = G(self.z)
        return self._distances(fake, self._cells(fake))

    def measure(self, G: Callable[[Tensor], Tensor], D: Callable[[Tensor], Tensor]) -> Reading:
        fake = G(self.z)
        cells, output = self._cells(fake), D(working(self.x)).double()
        frame: Frame = {"axes": self.axes, "D": output, "real": self.real[:SHOWN], "fake": fake[:SHOWN]}
        if self.d == 1:
            best = best_output(self.loss, cells)
            p, q = (log_mass.exp() / self.width.item() for log_mass in (cells.log_p, cells.log_q))
            frame = {
                "x": self.x[:, 0],
                "p": p,
                "q": q,
                "D": output,
                "best": torch.full_like(p, torch.nan) if best is None else best,
            }
        return Reading(self._distances(fake, cells) | against_optimum(self.loss, output, cells), frame)

    def _distances(self, fake: Tensor, cells: Cells) -> Values:
        return {**distances(cells), "floor": self.floor, "sliced_w1": self._sliced(fake)}

    def _cells(self, x: Tensor) -> Cells:
        """Kernel density at the cells' centres: x [n, d] counted by cells, blurred along each dimension. What lies outside of
        the grid counts for its outermost cells."""
        place = ((x - self.low) / self.width).clamp(0, self.side - 1).long()  # [n, d]
        index = place[:, 0] if self.d == 1 else place[:, 0] * self.side + place[:, 1]
        counts = torch.bincount(index, minlength=self.side**self.d).double().view([self.side] * self.d)
        density = self.kernel @ counts if self.d == 1 else self.kernel @ counts @ self.kernel
        return Cells(self.x, self.log_p, self._spread(density.flatten().log()))

    def _sliced(self, fake: Tensor) -> float:
        return (self.real_shadows - self._shadows(fake)).abs().mean().item()

    def _shadows(self, x: Tensor) -> Tensor:
        """Of the first points of x [n, d] on each of the lines, in their order, [directions, SLICED]."""
        return torch.from_numpy(np.sort((x[:SLICED] @ self.lines).T.numpy(), axis=1))  # torch's takes 20 times as long

    @staticmethod
    def _spread(log_mass: Tensor) -> Tensor:
        mass = (log_mass - log_mass.logsumexp(0)).exp()
        return ((1 - EVERYWHERE) * mass + EVERYWHERE / len(mass)).log()

    def figures(self, frames: Sequence[tuple[int, Frame]], rows: Sequence[Row], folder: Path) -> list[Path]:
        draw = line.line_figures if self.d == 1 else plane.plane_figures
        return draw(frames, rows, self.loss, folder)
