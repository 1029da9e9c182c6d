"""Two dimensions: data and samples over the field of D."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image

from ganlab.figures.curves import theory
from ganlab.figures.canvas import render
from ganlab.figures.stages import Stage, film, stages
from ganlab.figures.style import DPI, OF_D, P_DATA, P_G, Frame, Frames, Row
from ganlab.types import Cells, Loss, Solved

FIELD = 4.0  # from its neutral value to where the colours of D's field end


def plane_figures(frames: Frames, rows: Sequence[Row], loss: Loss, folder: Path) -> list[Path]:
    """game.png, game.gif, figure1.png, theory.png."""
    made = film(frames, _picture, loss, folder)
    if frames:
        made.append(folder / "figure1.png")
        _stages(stages(frames, rows), loss).save(made[-1])
    return made + theory(rows, folder)


def _picture(frame: Frame, loss: Loss, caption: str) -> Image.Image:
    figure = Figure(figsize=(5.6, 4.9), dpi=DPI)
    axes = figure.add_axes((0.1, 0.1, 0.72, 0.8))
    colours = _draw(axes, frame, loss, size=6)
    figure.colorbar(colours, cax=figure.add_axes((0.85, 0.1, 0.03, 0.8)), label=_name_of_output(loss), extend="both")
    axes.legend(loc="upper right", framealpha=0.9, markerscale=2, fontsize=9)
    axes.set_title(caption, fontsize=12, loc="left")
    return render(figure)


def _stages(chosen: Sequence[Stage], loss: Loss) -> Image.Image:
    figure = Figure(figsize=(12, 4.1), dpi=DPI, layout="constrained")
    panels = figure.subplots(1, len(chosen), sharey=True, squeeze=False)[0]
    for axes, stage in zip(panels, chosen, strict=True):
        colours = _draw(axes, stage.frame, loss, size=2)
        axes.set_title(stage.title, fontsize=10)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, markerscale=4, fontsize=11)
    figure.colorbar(colours, ax=panels.tolist(), label=_name_of_output(loss), extend="both", shrink=0.8)
    return render(figure)


def _draw(axes: Axes, frame: Frame, loss: Loss, size: float) -> AxesImage:
    x, y = frame["axes"].numpy()
    field = frame["D"].view(len(x), len(y)).numpy()
    middle = _neutral(loss, field)
    extent = (x[0], x[-1], y[0], y[-1])
    colours = axes.imshow(
        field.T, origin="lower", extent=extent, cmap="PuOr", vmin=middle - FIELD, vmax=middle + FIELD, alpha=0.8
    )
    if field.min() < middle < field.max():
        axes.contour(x, y, field.T, levels=[middle], colors=OF_D, linewidths=1.2)
    axes.plot([], [], color=OF_D, lw=1.2, label="D = 1/2" if isinstance(loss, Solved) and loss.is_V else "D neutral")
    for name, colour, label in (("real", P_DATA, "data"), ("fake", P_G, "samples of G")):
        points = frame[name].numpy()
        axes.scatter(points[:, 0], points[:, 1], s=size, color=colour, alpha=0.7, linewidths=0, label=label)
    ranges = (extent[1] - extent[0]) / (extent[3] - extent[2])
    aspect = "equal" if 0.6 < ranges < 1.7 else "auto"  # a coordinate of a much smaller range would be a line
    axes.set(xlabel="$x_1$", ylabel="$x_2$", xlim=extent[:2], ylim=extent[2:], aspect=aspect)
    return colours


def _neutral(loss: Loss, field: np.ndarray) -> float:
    """D's best output where p_data = p_g; the mean of its field where that is not known."""
    same = torch.zeros(1, dtype=torch.float64)
    best = loss.optimal(Cells(torch.zeros(1, 2), same, same)) if isinstance(loss, Solved) else None
    return float(field.mean()) if best is None else best.item()


def _name_of_output(loss: Loss) -> str:
    return "logit of D(x)" if isinstance(loss, Solved) and loss.is_V else "output of D"
