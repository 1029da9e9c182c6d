"""Phase portraits of the Dirac-GAN: the path of (theta, psi) over the field that moves it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from ganlab.figures.canvas import render
from ganlab.figures.pictures import DATA, SAMPLES

Path = Sequence[tuple[float, float]]  # of (theta, psi), an iteration after the other
Field = Callable[[float, float], tuple[float, float]]
GRID = 15  # arrows a side
COLOURS = (DATA, SAMPLES, "#009E73", "#CC79A7", "black", "#56B4E9", "#E69F00")
COMPARED = len(COLOURS)


def portrait(runs: Sequence[tuple[str, Path, Field]]) -> Image.Image:
    """One panel for each run, four in a row, and for a few of them one for their distances from the solution."""
    count = len(runs) + (len(runs) <= COMPARED)
    columns = min(4, count)
    lines = -(-count // columns)
    figure = Figure(figsize=(3.6 * columns + 0.4, 3.7 * lines), dpi=110, layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).flatten()
    for axes, run in zip(panels, runs, strict=False):
        _panel(axes, *run)
    panels[0].legend(loc="lower left", fontsize=9, framealpha=0.9)
    if count > len(runs):
        _distances(panels[len(runs)], runs)
    for axes in panels[count:]:
        axes.remove()
    return render(figure)


def _panel(axes: Axes, title: str, path: Path, field: Field) -> None:
    points = np.array(path)
    reach = 1.15 * max(np.abs(points[np.isfinite(points)]).max(), 0.5)
    ticks = np.linspace(-reach, reach, GRID)
    grid = np.array([[field(theta, psi) for theta in ticks] for psi in ticks])  # [psi, theta, 2]
    length = np.linalg.norm(grid, axis=2, keepdims=True)
    arrows = grid / np.where(length > 0, length, 1)
    axes.quiver(ticks, ticks, arrows[..., 0], arrows[..., 1], color="0.75", pivot="mid", scale=GRID * 1.4, width=0.004)
    axes.plot(points[:, 0], points[:, 1], color=DATA, lw=1, marker=".", ms=2.5)
    axes.plot(*points[0], "o", color=DATA, ms=7, label="start")
    axes.plot(*points[-1], "s", color=SAMPLES, ms=6, label="end")
    axes.plot(0, 0, "+", color="black", ms=12, mew=2, label="solution")
    radius = np.linalg.norm(points[-1])
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="$\\theta$ (of G)", ylabel="$\\psi$ (of D)")
    axes.set_title(f"{title}\n{radius:.3g} from the solution".strip(), fontsize=10)


def _distances(axes: Axes, runs: Sequence[tuple[str, Path, Field]]) -> None:
    for (title, path, _), colour in zip(runs, COLOURS, strict=False):
        radius = np.linalg.norm(np.array(path), axis=1)
        axes.plot(np.where(radius > 0, radius, np.nan), color=colour, lw=1.3, label=title)
    axes.set(xlabel="iteration", yscale="log", title="distance from the solution")
    if len(runs) > 1:
        axes.legend(fontsize=8, framealpha=0.9)
