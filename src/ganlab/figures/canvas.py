"""A figure that is made once: what stands still is drawn once, and what moves over it as often as it moves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator
from PIL import Image


class Canvas:
    """`moving` are the artists that change from one picture to the next; all others are as they were when the first one was
    drawn, its layout included. The same pixels as of a figure that is drawn anew, as long as what stands still is under what
    moves or beside it."""

    def __init__(self, figure: Figure, moving: Sequence[Artist]) -> None:
        self.figure, self.canvas = figure, FigureCanvasAgg(figure)
        order = {id(artist): i for axes in figure.axes for i, artist in enumerate(axes.get_children())}
        panels: list[Any] = [*figure.axes, None]  # what is the figure's own is over all of them
        self.moving = sorted(moving, key=lambda a: (panels.index(a.axes), a.get_zorder(), order.get(id(a), 0)))
        self.still: Any = None

    def image(self) -> Image.Image:
        if self.still is None:
            self._stand()
        self.canvas.restore_region(self.still)
        for artist in self.moving:
            artist.draw(self.canvas.get_renderer())
        return _pixels(self.canvas)

    def _stand(self) -> None:
        if self.figure.get_layout_engine() is not None:
            self.canvas.draw()  # with what moves: it may need room
            self.figure.set_layout_engine("none")
        for artist in self.moving:
            artist.set_animated(True)
        self.canvas.draw()
        self.still = self.canvas.copy_from_bbox(self.figure.bbox)


def panels(n: int, columns: int, width: float, height: float, dpi: int) -> tuple[Figure, list[Axes]]:
    """n axes in so many columns, each with its labels in width x height inches. A layout engine would measure all texts twice,
    which takes longer than to draw them."""
    lines = -(-n // columns)
    across, down = width * columns, height * lines
    figure = Figure(figsize=(across, down), dpi=dpi)
    inner = (width - LEFT - RIGHT, height - TOP - BOTTOM)
    edges = {"left": LEFT / across, "right": 1 - RIGHT / across, "top": 1 - TOP / down, "bottom": BOTTOM / down}
    grid = figure.add_gridspec(lines, columns, wspace=(LEFT + RIGHT) / inner[0], hspace=(TOP + BOTTOM) / inner[1], **edges)
    return figure, [figure.add_subplot(grid[divmod(i, columns)]) for i in range(n)]


def against_iteration(axes: Axes) -> None:
    """For what was logged: few ticks, without which ten panels took a third longer, between powers of ten only 2 and 5, and
    plain numbers in place of powers: four panels in a fifth less time."""
    axes.set_xlabel("iteration")
    if axes.get_yscale() == "log":
        axes.locator_params(axis="x", nbins=4)
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        low, high = axes.get_ylim()
        if high < 3 * low:  # there may be no power of ten
            axes.yaxis.set_major_locator(MaxNLocator(4))
            axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(_number)
        axes.yaxis.set_minor_formatter(_number if high < 100 * low else NullFormatter())
    else:
        axes.locator_params(nbins=4)


def _number(value: float, place: float = 0) -> str:
    return f"{value:g}"


LEFT, RIGHT, TOP, BOTTOM = 0.68, 0.12, 0.32, 0.5  # inches beside the axes of a panel


def png(picture: Image.Image, file: Path) -> None:
    """A tenth larger than it could be, in half the time."""
    picture.save(file, compress_level=3)


def render(figure: Figure) -> Image.Image:
    """Of a figure that is drawn once."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return _pixels(canvas)


def _pixels(canvas: FigureCanvasAgg) -> Image.Image:
    size = canvas.get_width_height()
    return Image.frombuffer("RGBA", size, canvas.buffer_rgba(), "raw", "RGBA", 0, 1).convert("RGB")  # a copy, without alpha
