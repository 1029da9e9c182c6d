"""Pictures of samples, as PIL images: a cloud of points over the data, or a grid of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.utils import make_grid

from ganlab.errors import at_least_one
from ganlab.figures.caption import captioned
from ganlab.pixels import to_uint8
from ganlab.random import generator_of
from ganlab.types import Source

DATA, SAMPLES = "#0072B2", "#D55E00"  # Okabe and Ito: told apart by colour-blind readers
BEHIND = "#999999"  # data behind samples that have the colours of their classes
MOST_ROWS = 20


class Picture(Protocol):
    """`n` samples [n, *S] and a caption become one image of a fixed size."""

    n: int

    def draw(self, x: Tensor, caption: str) -> Image.Image: ...


@runtime_checkable
class ByClass(Protocol):
    """A picture that shows what was asked for."""

    def rows(self, classes: int) -> tuple[Tensor, Tensor] | None:
        """Which class each sample is to be asked for, and by which of n z, both long and of equal length; None for n samples of
        classes as they come."""
        ...

    def draw(self, x: Tensor, caption: str, *, y: Tensor) -> Image.Image: ...


class Points:
    """Samples over data in the plane (the first two coordinates), or two histograms on the line."""

    def __init__(self, source: Source, n: int, inches: float = 4.8, dpi: int = 100) -> None:
        at_least_one(n=n)
        if len(source.shape) != 1:
            raise ValueError(f"Points draws points but shape is {list(source.shape)}: try metrics=images")
        self.n, self.inches, self.dpi = n, inches, dpi
        self.data = source.sample(max(n, 2000), generator_of(0, "picture"))[0].numpy()
        middle = (self.data.max(0) + self.data.min(0)) / 2
        half = 0.65 * (self.data.max(0) - self.data.min(0)).max()  # equal axes, with room for what G has not learnt yet
        self.low, self.high = middle - half, middle + half
        self.classes = source.classes

    def rows(self, classes: int) -> None:
        """Points of all classes go over each other."""
        return None

    def draw(self, x: Tensor, caption: str, walks: int = 0, y: Tensor | None = None) -> Image.Image:
        """x [n, d]; with `walks`, x is that many walks of equal length one after the other, drawn as lines. y [n] are the
        classes that were asked for, each of which gets a colour."""
        points = x.cpu().numpy()
        clear = np.isfinite(points).all(1) | bool(walks)  # of a run that has diverged, what there is
        points = points[clear]
        figure = Figure(figsize=(self.inches, self.inches), dpi=self.dpi, layout="constrained")
        axes = figure.add_subplot()
        if self.data.shape[1] == 1:
            bins = np.linspace(self.low[0], self.high[0], 81).tolist()
            axes.stairs(_density(self.data[:, 0], bins), bins, color=DATA, fill=True, alpha=0.5, label="data")
            axes.stairs(_density(points[:, 0], bins), bins, color=SAMPLES, lw=1.5, label="samples of G")
            for kind, shade in enumerate(() if y is None else self._colours(y)):
                of_class = points[y.cpu().numpy()[clear] == kind, 0]  # type: ignore[union-attr]
                share = len(of_class) / max(len(points), 1)
                axes.stairs(_density(of_class, bins) * share, bins, color=shade, lw=1.0)
            axes.set(xlabel="x", ylabel="density", xlim=(bins[0], bins[-1]))
        else:
            by_class = y is not None
            axes.scatter(
                self.data[:, 0],
                self.data[:, 1],
                s=3,
                color=BEHIND if by_class else DATA,
                alpha=0.35,
                linewidths=0,
                label="data",
            )
            colour: Any = SAMPLES if y is None else self._colours(y)[y.cpu().numpy()[clear]]
            label = "samples of G, by the class asked for" if by_class else "samples of G"
            axes.scatter(points[:, 0], points[:, 1], s=5, color=colour, alpha=0.6, linewidths=0, label=label)
            for walk in np.split(points, walks) if walks else ():
                axes.plot(walk[:, 0], walk[:, 1], color=SAMPLES, lw=0.8, alpha=0.6)
            axes.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
            axes.set(xlim=(self.low[0], self.high[0]), ylim=(self.low[1], self.high[1]))
        legend = axes.legend(loc="upper right", framealpha=0.9, markerscale=3)
        for handle in legend.legend_handles:
            if handle is not None:
                handle.set_alpha(1)
        axes.set_title(caption, fontsize=11)
        return render(figure)

    def _colours(self, y: Tensor) -> np.ndarray:
        """One for each class, [K, 4]: around the circle of hues, light and dark by turns."""
        K = max(self.classes, int(y.max()) + 1)
        return colormaps["hsv"](np.arange(K) / K) * np.array([[0.85, 0.85, 0.85, 1], [0.55, 0.55, 0.55, 1]])[np.arange(K) % 2]


def _density(values: np.ndarray, bins: list[float]) -> np.ndarray:
    """Shares of all values [n], of those outside of the bins, too, per unit of x."""
    return np.histogram(values, bins)[0] / max(len(values), 1) / np.diff(bins)


class Grid:
    """n images in [-1, 1], row by row, enlarged by whole pixels until a side has about 500."""

    def __init__(self, source: Source, n: int, columns: int = 8) -> None:
        at_least_one(n=n, columns=columns)
        if len(source.shape) != 3:
            raise ValueError(f"Grid draws images but shape is {list(source.shape)}: try metrics=points")
        self.n, self.columns = n, columns
        self.names = getattr(source, "names", None) or [str(label) for label in range(source.classes)]

    def rows(self, classes: int) -> tuple[Tensor, Tensor]:
        """One row for each class, of the same z; the first 20 classes."""
        shown, columns = min(classes, MOST_ROWS), min(self.columns, self.n)
        return torch.arange(shown).repeat_interleave(columns), torch.arange(columns).repeat(shown)

    def draw(self, x: Tensor, caption: str, y: Tensor | None = None) -> Image.Image:
        """x [n, C, H, W]; y [n] as in `rows`, whose classes are then written beside them."""
        if y is None:
            return captioned(tiled(x, self.columns), caption)
        columns = min(self.columns, self.n)
        labels = y[::columns].tolist()
        names = [self.names[i] if i < len(self.names) else str(i) for i in labels]
        return captioned(labelled_rows(x, columns, names), caption)


def tiled(x: Tensor, columns: int) -> Image.Image:
    """x [n, C, H, W] in [-1, 1]."""
    tiles = make_grid(to_uint8(x), nrow=columns, padding=2, pad_value=255).permute(1, 2, 0)
    scale = max(1, round(500 / max(tiles.shape[:2])))
    image = Image.fromarray(tiles.cpu().numpy())
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def labelled_rows(x: Tensor, columns: int, names: Sequence[str]) -> Image.Image:
    """x [n, C, H, W] in [-1, 1], with a name to the left of each row."""
    tiles = tiled(x, columns).convert("RGB")
    height = tiles.height / len(names)
    font = ImageFont.load_default(size=min(20, max(9, 0.5 * height)))
    room = round(max(font.getlength(name) for name in names)) + 12
    image = Image.new("RGB", (tiles.width + room, tiles.height), "white")
    image.paste(tiles, (room, 0))
    pen = ImageDraw.Draw(image)
    for i, name in enumerate(names):
        pen.text((room - 6, (i + 0.5) * height), name, fill="black", anchor="rm", font=font)
    return image


def animation(frames: Sequence[Path], out: Path, most: int = 60) -> None:
    """A GIF of at most `most` picture files of equal size, evenly spread."""
    gif(
        [Image.open(frames[i]) for i in sorted({round(i) for i in np.linspace(0, len(frames) - 1, min(most, len(frames)))})],
        out,
    )


def gif(images: Sequence[Image.Image], out: Path, milliseconds: int = 120) -> None:
    """Images of equal size one after the other; it rests on the last one."""
    small = [image.convert("RGB").quantize(64, dither=Image.Dither.NONE) for image in images]
    durations = [milliseconds] * (len(small) - 1) + [2500]
    small[0].save(out, save_all=True, append_images=small[1:], duration=durations, loop=0, optimize=True)


def curves(rows: Sequence[dict[str, float]], out: Path) -> None:
    """The columns of metrics.csv against the iteration: losses, V(D, G) with its value at p_g = p_data, D's outputs, scores,
    and signs of health."""
    names = dict.fromkeys(name for row in rows for name in row if "/" in name)
    panels = [["train/loss_D", "train/loss_G"], ["train/V"], ["train/D_real", "train/D_fake"]]
    panels += [[name] for name in names if name.startswith("eval/")]  # theory has its own
    panels += [
        ["health/accuracy", "health/accuracy_held_out"],
        ["health/gradient_D", "health/gradient_G"],
        ["health/diversity"],
    ]
    panels = [kept for panel in panels if (kept := [name for name in panel if name in names])]
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(4 * columns, 2.8 * lines), dpi=100, layout="constrained")
    for axes, panel in zip(figure.subplots(lines, columns, squeeze=False).flat, panels, strict=False):
        for name, colour in zip(panel, (DATA, SAMPLES), strict=False):
            points = [(row["iteration"], row[name]) for row in rows if name in row]
            axes.plot(
                *zip(*points, strict=True),
                color=colour,
                lw=1.2,
                marker="." if len(points) < 3 else "",
                label=name.split("/")[1],
            )
        if panel == ["train/V"]:
            axes.axhline(-np.log(4), color="black", lw=0.8, ls="--", label="-log 4")
        axes.set(xlabel="iteration", title=LABELS.get(panel[0], panel[0]))
        if len(axes.lines) > 1:
            axes.legend(framealpha=0.9)
    for axes in list(figure.axes)[len(panels) :]:
        axes.remove()
    render(figure).save(out)


LABELS = {
    "train/loss_D": "loss on one minibatch",
    "train/V": "V(D, G) on one minibatch [nats]",
    "train/D_real": "mean D(x) on data and samples",
    "eval/reverse_kl": "eval/reverse_kl [nats]",
    "eval/parzen": "Parzen log-likelihood [nats]",
    "eval/class_kl": "eval/class_kl [nats]",
    "health/accuracy": "accuracy of D at data or sample",
    "health/gradient_D": "norms of the gradients",
    "health/diversity": "distance of two samples / of two data",
}


def render(figure: Figure) -> Image.Image:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
