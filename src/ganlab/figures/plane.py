"""Two dimensions: data and samples over the field of D."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from contourpy import contour_generator
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from PIL import Image

from ganlab.figures.canvas import Canvas, png, render
from ganlab.figures.curves import theory
from ganlab.figures.stages import Stage, film, stages
from ganlab.figures.style import DPI, OF_D, P_DATA, P_G, Frame, Frames, Row
from ganlab.types import Cells, Loss, Solved

PALE = ListedColormap(0.8 * colormaps["PuOr"](np.arange(256)) + 0.2)  # of D's field: lines and clouds are read over it
FIELD = 4.0  # from its neutral value to where the colours of D's field end


def plane_figures(frames: Frames, rows: Sequence[Row], loss: Loss, folder: Path) -> list[Path]:
    """game.png, game.gif, figure1.png, theory.png."""
    made = film(frames, lambda frame: _Game(frame, loss), folder)
    if frames:
        made.append(folder / "figure1.png")
        png(_stages(stages(frames, rows), loss), made[-1])
    return made + theory(rows, folder)


class _Game:
    """The picture of a frame, and then of others over the same cells."""

    def __init__(self, frame: Frame, loss: Loss) -> None:
        self.cells = frame["axes"]
        figure = Figure(figsize=(5.6, 5.1), dpi=DPI)
        axes = figure.add_axes((0.12, 0.1, 0.71, 0.77))
        self.panel = _Panel(axes, frame, loss, size=6)
        bar = figure.add_axes((0.86, 0.1, 0.03, 0.77))
        self.panel.explain(figure, bar)
        # above the field, which moves: so it stands still
        axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.99), ncols=3, frameon=False, markerscale=2, fontsize=9)
        self.title = axes.set_title(" ", fontsize=12, loc="left", y=1.0, pad=24)
        numbers = [bar] if _optimal(loss) is None else []  # whose middle is that of each field
        self.canvas = Canvas(figure, [*self.panel.moving, *axes.spines.values(), self.title, *numbers])

    def fits(self, frame: Frame) -> bool:
        return torch.equal(self.cells, frame["axes"])

    def picture(self, frame: Frame, caption: str) -> Image.Image:
        self.panel.show(frame)
        self.title.set_text(caption)
        return self.canvas.image()


def _stages(chosen: Sequence[Stage], loss: Loss) -> Image.Image:
    figure = Figure(figsize=(12, 4.1), dpi=DPI)
    places = figure.add_gridspec(1, len(chosen), left=0.055, right=0.905, top=0.75, bottom=0.12, wspace=0.08)
    panels = places.subplots(sharey=True, squeeze=False)[0]
    for axes, stage in zip(panels, chosen, strict=True):
        panel = _Panel(axes, stage.frame, loss, size=2)
        axes.set_title(stage.title, fontsize=10, y=1.0)
        axes.set_ylabel(axes.get_ylabel() if axes is panels[0] else "")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=3, frameon=False, markerscale=4, fontsize=11)
    bar = figure.add_axes((0.925, 0.17, 0.011, 0.53))
    panel.explain(figure, bar)
    return render(figure)


class _Panel:
    """The field of D, the line where it is neutral, and both clouds, over the cells of the first frame."""

    def __init__(self, axes: Axes, frame: Frame, loss: Loss, size: float) -> None:
        self.loss = loss
        x, y = frame["axes"].numpy()
        extent = (x[0], x[-1], y[0], y[-1])
        self.colours = ScalarMappable(cmap=PALE)
        # coloured before it is enlarged, which is half the work of an image that is coloured by its axes
        self.field = axes.imshow(np.zeros((1, 1, 4)), origin="lower", extent=extent, interpolation="nearest")
        self.neutral = LineCollection([], colors=OF_D, linewidths=1.2, zorder=2)
        axes.add_collection(self.neutral, autolim=False)
        axes.plot([], [], color=OF_D, lw=1.2, label="D = 1/2" if isinstance(loss, Solved) and loss.is_V else "D neutral")
        self.clouds = {
            name: axes.scatter([], [], s=size, color=colour, alpha=0.7, linewidths=0, label=label)
            for name, colour, label in (("real", P_DATA, "data"), ("fake", P_G, "samples of G"))
        }
        ranges = (extent[1] - extent[0]) / (extent[3] - extent[2])
        aspect = "equal" if 0.6 < ranges < 1.7 else "auto"  # a coordinate of a much smaller range would be a line
        axes.set(xlabel="x₁", ylabel="x₂", xlim=extent[:2], ylim=extent[2:], aspect=aspect)
        self.moving = [self.field, self.neutral, *self.clouds.values()]
        self.show(frame)

    def show(self, frame: Frame) -> None:
        x, y = frame["axes"].numpy()
        field = frame["D"].view(len(x), len(y)).numpy()
        best = _optimal(self.loss)
        middle = float(field.mean()) if best is None else best
        self.colours.set_clim(middle - FIELD, middle + FIELD)
        self.field.set_data(self.colours.to_rgba(field.T, bytes=True))
        self.neutral.set_segments(contour_generator(x, y, field.T).lines(middle))  # type: ignore[arg-type]
        for name, cloud in self.clouds.items():
            cloud.set_offsets(frame[name].numpy()[:, :2])

    def explain(self, figure: Figure, bar: Axes) -> None:
        """What the colours mean, in an axes of its own."""
        figure.colorbar(self.colours, cax=bar, label=_name_of_output(self.loss), extend="both")


def _optimal(loss: Loss) -> float | None:
    """D's best output where p_data = p_g; None where that is not known."""
    same = torch.zeros(1, dtype=torch.float64)
    best = loss.optimal(Cells(torch.zeros(1, 2), same, same)) if isinstance(loss, Solved) else None
    return None if best is None else best.item()


def _name_of_output(loss: Loss) -> str:
    return "logit of D(x)" if isinstance(loss, Solved) and loss.is_V else "output of D"
