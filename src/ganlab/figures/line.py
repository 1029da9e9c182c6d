"""One dimension: densities, D and D* over x, the map z -> G(z), the inverse CDF and the probability integral transform."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from PIL import Image

from ganlab.figures.canvas import png, render
from ganlab.figures.curves import theory
from ganlab.figures.stages import Stage, film, stages
from ganlab.figures.style import BEST, DPI, OF_D, P_DATA, P_G, Frame, Frames, Row
from ganlab.types import Loss, Solved

ARROWS = 24  # z -> G(z) in a picture


def line_figures(frames: Frames, rows: Sequence[Row], loss: Loss, folder: Path) -> list[Path]:
    """game.png, game.gif, figure1.png; inverse_cdf.png where G is a map of the line; theory.png."""
    made = film(frames, lambda frame: _Game(frame, loss), folder)
    if frames:
        made.append(folder / "figure1.png")
        png(_stages(stages(frames, rows), loss), made[-1])
        if "z" in frames[-1][1]:
            made.append(folder / "inverse_cdf.png")
            png(_inverse_cdf(*frames[-1]), made[-1])
    return made + theory(rows, folder)


class _Game:
    """The picture of a frame, and then of others of the same kind; the axes follow what they show."""

    def __init__(self, frame: Frame, loss: Loss) -> None:
        self.kind = _kind(frame)
        self.figure = Figure(figsize=(6.6, 4.8), dpi=DPI)
        bottom = 0.09 if "z" in frame else -0.18  # without a map, there is nothing below the densities
        right = 0.9 if _is_V(loss) else 0.86  # an output has longer numbers than a probability
        place = {"left": 0.1, "right": right, "top": 0.84, "bottom": bottom, "hspace": 0.36}
        parts = self.figure.add_gridspec(2, 1, height_ratios=[3, 1], **place)
        self.panel = _Panel(self.figure, parts[0], parts[1], frame, loss, left=True, right=True)
        self.title = self.figure.suptitle(" ", x=0.1, y=0.97, ha="left", fontsize=12)
        above: dict[str, Any] = {
            "loc": "upper right",
            "bbox_to_anchor": (0.92, 0.995),
            "ncols": 2,
            "frameon": False,
            "fontsize": 10,
        }
        self.figure.legend(handles=self.panel.handles, **above)

    def fits(self, frame: Frame) -> bool:
        return _kind(frame) == self.kind

    def picture(self, frame: Frame, caption: str) -> Image.Image:
        self.panel.show(frame)
        self.title.set_text(caption)
        return render(self.figure)


def _kind(frame: Frame) -> tuple[bool, bool]:
    """Whether G is a map of the line, and whether D's optimum is known."""
    return "z" in frame, bool(frame["best"].isfinite().any())


def _stages(chosen: Sequence[Stage], loss: Loss) -> Image.Image:
    figure = Figure(figsize=(12, 4.2), dpi=DPI)
    parts = figure.add_gridspec(
        2, len(chosen), left=0.05, right=0.95, top=0.74, bottom=0.11, hspace=0.48, wspace=0.12, height_ratios=[3, 1]
    )
    for i, stage in enumerate(chosen):
        ends = {"left": i == 0, "right": i == len(chosen) - 1}
        handles = _Panel(figure, parts[0, i], parts[1, i], stage.frame, loss, **ends, title=stage.title).handles
    figure.legend(handles=handles, loc="upper center", ncols=4, frameon=False, fontsize=11)
    return render(figure)


class _Panel:
    """Densities and D over x, and under them the arrows z -> G(z), of a frame and of others of its kind."""

    def __init__(
        self, figure: Figure, above: SubplotSpec, below: SubplotSpec, frame: Frame, loss: Loss, left: bool, right: bool,
        title: str = "",
    ) -> None:  # fmt: skip
        self.is_V, (map_known, best_known) = _is_V(loss), _kind(frame)
        self.axes = axes = figure.add_subplot(above)
        self.handles = axes.plot([], [], color=P_DATA, ls=":", lw=2, label="$p_{data}$")
        self.handles += axes.plot([], [], color=P_G, lw=1.8, label="$p_g$")
        axes.set_xlabel("x", labelpad=0)
        axes.set_title(title, fontsize=10)
        self.twin = twin = axes.twinx()
        self.handles += twin.plot([], [], color=OF_D, ls="--", lw=1.8, label="$D$")
        if best_known:
            self.handles += twin.plot([], [], color=BEST, lw=1, label="$D^*$, its optimum")
        if self.is_V:
            twin.set_ylim(-0.02, 1.02)
        axes.set_ylabel("density" if left else "")
        twin.set_ylabel(("$D(x)$" if self.is_V else "output of $D$") if right else "", color=OF_D)
        axes.tick_params(labelleft=left)
        twin.tick_params(labelright=right, labelcolor=OF_D)
        self.arrows = _Arrows(figure.add_subplot(below), left) if map_known else None
        self.show(frame)

    def show(self, frame: Frame) -> None:
        x, p, q, output, best = (frame[name].numpy() for name in ("x", "p", "q", "D", "best"))
        shown = (lambda a: 1 / (1 + np.exp(-np.clip(a, -50, 50)))) if self.is_V else (lambda a: a)
        for line, y in zip(self.handles, (p, q, shown(output), shown(best)), strict=False):
            line.set_data(x, y)
        self.axes.set(xlim=(x[0], x[-1]), ylim=(0, 1.7 * np.quantile(p, 0.98)))
        if not self.is_V:
            self.twin.relim()
            self.twin.autoscale_view(scalex=False)
        if self.arrows:
            self.arrows.show(frame, (x[0], x[-1]))


class _Arrows:
    """z below, equally likely ones, and x above; z is scaled to the width of the picture."""

    def __init__(self, axes: Axes, label: bool) -> None:
        self.axes, up = axes, np.ones(ARROWS)
        still: dict[str, Any] = {
            "angles": "xy",
            "scale_units": "xy",
            "scale": 1,
            "width": 0.003,
            "headwidth": 4.5,
            "color": P_G,
        }
        self.quiver = axes.quiver(0 * up, 0 * up, 0 * up, up, **still)
        axes.set(ylim=(0, 1), yticks=[])
        axes.set_xlabel("z", labelpad=0)
        axes.spines[["left", "right"]].set_visible(False)
        axes.set_ylabel("$z \\mapsto G(z)$" if label else "")

    def show(self, frame: Frame, ends: tuple[float, float]) -> None:
        z, Gz, F_z = (frame[name].numpy() for name in ("z", "Gz", "F_z"))
        low, high = np.interp([0.002, 0.998], F_z, z)
        chosen = np.interp((np.arange(ARROWS) + 0.5) / ARROWS, F_z, z)
        start = ends[0] + (chosen - low) / (high - low) * (ends[1] - ends[0])
        reach = np.interp(chosen, z, Gz) - start
        self.quiver.set_offsets(np.stack([start, np.zeros(ARROWS)], 1))
        self.quiver.set_UVC(reach, np.ones(ARROWS))
        ticks = np.linspace(low, high, 5)
        self.axes.set_xlim(ends)
        self.axes.set_xticks(ends[0] + (ticks - low) / (high - low) * (ends[1] - ends[0]), [f"{tick:.1f}" for tick in ticks])


def _is_V(loss: Loss) -> bool:
    return isinstance(loss, Solved) and loss.is_V


def _inverse_cdf(t: int, frame: Frame) -> Image.Image:
    """Left G, its monotone rearrangement and the inverse CDF; right the histogram of F(G(z)), flat if p_g = p_data."""
    z, Gz, F_z, inverse, pit = (frame[name].numpy() for name in ("z", "Gz", "F_z", "inverse", "pit"))
    figure = Figure(figsize=(10, 4), dpi=DPI, layout="constrained")
    left, right = figure.subplots(1, 2)
    falling = np.interp(1 - F_z, F_z, inverse)
    nearer_falling = np.abs(Gz - falling) @ np.gradient(F_z) < np.abs(Gz - inverse) @ np.gradient(F_z)
    target, name = (falling, "$F^{-1}(1 - F_z(z))$") if nearer_falling else (inverse, "$F^{-1}(F_z(z))$")
    mass = np.clip(np.gradient(F_z), 0, None)
    order = np.argsort(Gz)
    rearranged = np.interp(1 - F_z if nearer_falling else F_z, np.cumsum(mass[order]) / mass.sum(), Gz[order])
    left.plot(z, target, color=P_DATA, ls=":", lw=2.5, label=f"{name}, the inverse CDF")
    left.plot(z, rearranged, color=BEST, lw=1.2, label="G, rearranged to be monotone")
    left.plot(z, Gz, color=P_G, lw=1.8, label="G")
    inside = (F_z > 2e-3) & (F_z < 1 - 2e-3)
    low, high = inverse[inside].min(), inverse[inside].max()
    left.set(xlabel="z", ylabel="x", ylim=(low - 0.25 * (high - low), high + 0.25 * (high - low)))
    left.set_title(f"G after {t:,} iterations", fontsize=11)
    left.legend(frameon=False, fontsize=10)
    edges = np.linspace(0, 1, len(pit) + 1)
    right.stairs(pit * len(pit), edges, fill=True, color=P_G, alpha=0.5, label="F(G(z))")
    right.axhline(1, color=P_DATA, ls=":", lw=2, label="uniform: F(X), X ~ $p_{data}$")
    right.set(xlabel="u", ylabel="density", xlim=(0, 1), ylim=(0, max(2.0, 1.15 * pit.max() * len(pit))))
    right.set_title("probability integral transform of $p_g$", fontsize=11)
    right.legend(frameon=False, fontsize=10)
    return render(figure)


def universality(x: np.ndarray, u: np.ndarray, density: Callable[[np.ndarray], np.ndarray]) -> Image.Image:
    """Both halves of the theorem on samples x = F^{-1}(U) [n]: left their histogram and the density, right that of u = F(x)."""
    figure = Figure(figsize=(10, 3.6), dpi=DPI, layout="constrained")
    left, right = figure.subplots(1, 2)
    low, high = np.quantile(x, [0.002, 0.998])
    edges = np.linspace(low - 0.15 * (high - low), high + 0.15 * (high - low), 81)
    counts, _ = np.histogram(x, edges)
    left.stairs(counts / len(x) / np.diff(edges), edges, fill=True, color=OF_D, alpha=0.5, label="$F^{-1}(U)$, U ~ U(0, 1)")
    fine = np.linspace(edges[0], edges[-1], 801)
    left.plot(fine, density(fine), color=P_DATA, ls=":", lw=2, label="$p_{data}$")
    left.set(xlabel="x", ylabel="density", ylim=(0, 1.35 * (counts / len(x) / np.diff(edges)).max()))
    bins = 50
    counts, edges = np.histogram(u, bins, (0, 1))
    spread = 2 * np.sqrt(bins / len(u))  # two standard deviations of a bar of uniform u
    right.stairs(counts / len(u) * bins, edges, fill=True, color=OF_D, alpha=0.5, label="F(X), X ~ $p_{data}$")
    right.axhspan(1 - spread, 1 + spread, color="0.6", alpha=0.4, lw=0, label="U(0, 1), two standard deviations")
    right.set(xlabel="u", ylabel="density", xlim=(0, 1), ylim=(0, 1.5))
    for axes, title in ((left, "from the uniform to the data"), (right, "from the data to the uniform")):
        axes.set_title(title, fontsize=11)
        axes.legend(frameon=False, fontsize=10, loc="upper right")
    return render(figure)
