"""Pictures of samples, as PIL images: a cloud of points over the data, or a grid of images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.artist import Artist
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ganlab.errors import at_least_one
from ganlab.figures.canvas import Canvas, against_iteration, panels, png, render
from ganlab.figures.caption import captioned
from ganlab.pixels import to_uint8
from ganlab.random import generator_of
from ganlab.types import Source

DATA, SAMPLES = "#0072B2", "#D55E00"  # Okabe and Ito: told apart by colour-blind readers
BEHIND = "#999999"  # data behind samples that have the colours of their classes
MOST_ROWS = 20
LONG = 46  # signs of a caption, which a cloud of usual size has room for


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
        self._scenes: dict[tuple[int, int], _Scene] = {}  # by walks and classes

    def rows(self, classes: int) -> None:
        """Points of all classes go over each other."""
        return None

    def draw(self, x: Tensor, caption: str, walks: int = 0, y: Tensor | None = None) -> Image.Image:
        """x [n, d]; with `walks`, x is that many walks of equal length one after the other, drawn as lines. y [n] are the
        classes that were asked for, each of which gets a colour."""
        points = x.cpu().numpy()
        clear = np.isfinite(points).all(1) | bool(walks)  # of a run that has diverged, what there is
        K = 0 if y is None else max(self.classes, int(y.max()) + 1)
        if (walks, K) not in self._scenes:
            make = _OnLine if self.data.shape[1] == 1 else _InPlane
            self._scenes[walks, K] = make(self, walks, K)
        return self._scenes[walks, K].draw(points[clear], None if y is None else y.cpu().numpy()[clear], caption)


class _Scene(ABC):
    """The picture of a cloud, with so many walks through it, or of so many classes: made once, then moved."""

    def __init__(self, cloud: Points) -> None:
        self.cloud = cloud
        figure, (self.axes,) = panels(1, 1, cloud.inches, cloud.inches, cloud.dpi)
        self.title = self.axes.set_title(" ", fontsize=11, y=1.0)
        moving = self._compose()
        # under what moves: it stands still, and hides no sample
        legend = self.axes.legend(loc="upper right", framealpha=0.9, markerscale=3)
        for handle in legend.legend_handles:
            if handle is not None:
                handle.set_alpha(1)
        for artist in moving:
            artist.set_zorder(legend.get_zorder() + 1)
        self.canvas = Canvas(figure, [*moving, self.title])

    @abstractmethod
    def _compose(self) -> Sequence[Artist]:
        """All that is in the axes; gives what moves."""

    @abstractmethod
    def _move(self, points: np.ndarray, y: np.ndarray | None) -> None: ...

    def draw(self, points: np.ndarray, y: np.ndarray | None, caption: str) -> Image.Image:
        """Of points [n, d] of classes y [n]."""
        self._move(points, y)
        self.title.set_text(caption)
        self.title.set_fontsize(min(11.0, 11 * LONG / max(len(caption), 1)))  # as much as fits
        return self.canvas.image()


class _OnLine(_Scene):
    """Histograms, over heights that the data give: of a G that has collapsed, one is cut off."""

    def __init__(self, cloud: Points, walks: int, K: int) -> None:
        self.shades = _colours(K)
        super().__init__(cloud)

    def _compose(self) -> Sequence[Artist]:
        axes, cloud = self.axes, self.cloud
        self.bins = np.linspace(cloud.low[0], cloud.high[0], 81).tolist()
        nothing, data = np.zeros(80), _density(cloud.data[:, 0], self.bins)
        axes.stairs(data, self.bins, color=DATA, fill=True, alpha=0.5, label="data")
        self.all = axes.stairs(nothing, self.bins, color=SAMPLES, lw=1.5, label="samples of G")
        self.each = [axes.stairs(nothing, self.bins, color=shade, lw=1.0) for shade in self.shades]
        axes.set(xlabel="x", ylabel="density", xlim=(self.bins[0], self.bins[-1]), ylim=(0, 1.5 * data.max()))
        return [self.all, *self.each]

    def _move(self, points: np.ndarray, y: np.ndarray | None) -> None:
        self.all.set_data(_density(points[:, 0], self.bins))
        for kind, stairs in enumerate(self.each):
            of_class = points[y == kind, 0]
            stairs.set_data(_density(of_class, self.bins) * (len(of_class) / max(len(points), 1)))


class _InPlane(_Scene):
    def __init__(self, cloud: Points, walks: int, K: int) -> None:
        self.walks, self.shades = walks, _colours(K)
        super().__init__(cloud)

    def _compose(self) -> Sequence[Artist]:
        axes, cloud, by_class = self.axes, self.cloud, len(self.shades) > 0
        behind = BEHIND if by_class else DATA
        axes.scatter(cloud.data[:, 0], cloud.data[:, 1], s=3, color=behind, alpha=0.35, linewidths=0, label="data")
        label = "samples of G, by the class asked for" if by_class else "samples of G"
        colour: Any = self.shades[:1] if by_class else SAMPLES
        self.samples = axes.scatter([0.0], [0.0], s=5, color=colour, alpha=0.6, linewidths=0, label=label)
        self.paths = [axes.plot([], [], color=SAMPLES, lw=0.8, alpha=0.6)[0] for _ in range(self.walks)]
        axes.set(xlabel="x₁", ylabel="x₂", aspect="equal")
        axes.set(xlim=(cloud.low[0], cloud.high[0]), ylim=(cloud.low[1], cloud.high[1]))
        return [self.samples, *self.paths]

    def _move(self, points: np.ndarray, y: np.ndarray | None) -> None:
        self.samples.set_offsets(points[:, :2])
        if y is not None:
            self.samples.set_facecolor(self.shades[y])
        for path, walk in zip(self.paths, np.split(points, self.walks) if self.walks else (), strict=True):
            path.set_data(walk[:, 0], walk[:, 1])


def _colours(K: int) -> np.ndarray:
    """One for each of so many classes, [K, 4]: around the circle of hues, light and dark by turns."""
    return (
        colormaps["hsv"](np.arange(K) / max(K, 1)) * np.array([[0.85, 0.85, 0.85, 1], [0.55, 0.55, 0.55, 1]])[np.arange(K) % 2]
    )


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
    from torchvision.utils import make_grid  # seconds, which pictures of points need not pay

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
    chosen = sorted({round(i) for i in np.linspace(0, len(frames) - 1, min(most, len(frames)))})
    gif([Image.open(frames[i]).convert("RGB") for i in chosen], out)


def gif(images: Sequence[Image.Image], out: Path, milliseconds: int = 120, rest: int = 2500) -> None:
    """RGB images of equal size one after the other; it rests on the last one for so many milliseconds. All have one palette,
    found on a few of them: what stands still keeps its colour."""
    few = [images[round(i)] for i in np.linspace(0, len(images) - 1, min(4, len(images)))]
    if max(few[0].size) > 2 * ENOUGH:  # a pixel in four has the same colours
        few = [image.resize((image.width // 2, image.height // 2), Image.Resampling.NEAREST) for image in few]
    side = Image.new("RGB", (few[0].width, few[0].height * len(few)))
    for i, image in enumerate(few):
        side.paste(image, (0, i * image.height))
    palette = side.quantize(COLOURS, dither=Image.Dither.NONE)
    shades = np.array(palette.getpalette("RGB")).reshape(-1, 3)
    shades[np.argmax(shades.sum(1))] = 255  # paper is white, and not the mean of white and what is nearly so
    palette.putpalette(shades.flatten().tolist())
    small = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    durations = [milliseconds] * (len(small) - 1) + [rest]
    small[0].save(out, save_all=True, append_images=small[1:], duration=durations, loop=0, optimize=True)


ENOUGH = 200  # pixels of a side, in which all colours of an image are seen
COLOURS = 256  # of a GIF: all that it can have


def curves(rows: Sequence[dict[str, float]], out: Path) -> None:
    """The columns of metrics.csv against the iteration: losses, V(D, G) with its value at p_g = p_data, D's outputs, scores,
    and signs of health."""
    names = dict.fromkeys(name for row in rows for name in row if "/" in name)
    shown = [["train/loss_D", "train/loss_G"], ["train/V"], ["train/D_real", "train/D_fake"]]
    shown += [[name] for name in names if name.startswith("eval/")]  # theory has its own
    shown += [
        ["health/accuracy", "health/accuracy_held_out"],
        ["health/gradient_D", "health/gradient_G"],
        ["health/diversity"],
    ]
    shown = [kept for panel in shown if (kept := [name for name in panel if name in names])]
    figure, each = panels(len(shown), min(3, len(shown)), 4, 2.8, dpi=100)
    for axes, panel in zip(each, shown, strict=True):
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
        against_iteration(axes)
        if panel[0] in COUNTS:
            axes.set_ylim(0, 1.08 * max(1, axes.dataLim.ymax))
            axes.locator_params(axis="y", integer=True, nbins=5)
        axes.set_title(LABELS.get(panel[0], panel[0]), y=1.0)
        if len(axes.lines) > 1:
            axes.legend(framealpha=0.9)
    png(render(figure), out)


COUNTS = ("eval/modes", "eval/classes")  # from 0, and not about what they happen to be
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
