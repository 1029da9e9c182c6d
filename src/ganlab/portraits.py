"""Pictures of the game: Figure 1 of Goodfellow et al. (2014) as it happens, G beside the inverse CDF, D's field over the
plane, and the measured curves. Colours are told apart by colour-blind readers (Okabe and Ito)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.image import AxesImage
from PIL import Image
from torch import Tensor

from ganlab.pictures import gif, render
from ganlab.theory.game import best_output
from ganlab.types import Cells, Loss, Solved

Frame = Mapping[str, Tensor]
Frames = Sequence[tuple[int, Frame]]
Row = Mapping[str, float]
Draw = Callable[[Frame, Loss, str], Image.Image]

P_DATA, P_G, OF_D, BEST = "black", "#009E73", "#0072B2", "#D55E00"
ARROWS = 24  # z -> G(z) in a picture
DPI = 110
FIELD = 4.0  # from its neutral value to where the colours of D's field end


def line_game(frames: Frames, rows: Sequence[Row], loss: Loss, folder: Path) -> list[Path]:
    """game.png, game.gif, figure1.png; inverse_cdf.png where G is a map of the line; theory.png."""
    made = _game(frames, _line_picture, loss, folder)
    if frames:
        made.append(folder / "figure1.png")
        _line_stages(stages(frames, rows), loss).save(made[-1])
        if "z" in frames[-1][1]:
            made.append(folder / "inverse_cdf.png")
            _inverse_cdf(*frames[-1]).save(made[-1])
    return made + _theory(rows, folder)


def plane_game(frames: Frames, rows: Sequence[Row], loss: Loss, folder: Path) -> list[Path]:
    """game.png, game.gif, figure1.png, theory.png."""
    made = _game(frames, _plane_picture, loss, folder)
    if frames:
        made.append(folder / "figure1.png")
        _plane_stages(stages(frames, rows), loss).save(made[-1])
    return made + _theory(rows, folder)


def _game(frames: Frames, draw: Draw, loss: Loss, folder: Path) -> list[Path]:
    if not frames:
        return []
    pictures = [draw(frame, loss, f"iteration {t:,}") for t, frame in frames]
    pictures[-1].save(folder / "game.png")
    gif(pictures, folder / "game.gif")
    return [folder / "game.png", folder / "game.gif"]


class Stage:
    """One panel of Figure 1."""

    def __init__(self, title: str, t: int, frame: Frame, row: Row) -> None:
        self.frame = frame
        numbers = [f"{label} {row[key]:.3f}" for label, key in NUMBERS if key in row]
        self.title = f"{title}\niteration {t:,}\n{', '.join(numbers)}".strip()


NUMBERS = (("JSD", "theory/jsd"), ("C - V", "theory/D_gap"))
NAMES = ("(a) the beginning", "(b) D has found D*", "(c) G has stepped", "(d) the end")
FAR = 0.1  # of the first JSD: while p_g is further away than that, panel (b) is looked for


def stages(frames: Frames, rows: Sequence[Row]) -> list[Stage]:
    """The paper's panels: (a) the beginning; (b) while p_g is still far from p_data, D is nearest to its optimum, measured by
    the share of 2 JSD that it does not see; (c) G has stepped, and is half as far; (d) the end. Where a run does not have
    them in this order, evenly spread frames without names."""
    row = {int(r["iteration"]): r for r in rows}
    jsd = [row.get(t, {}).get("theory/jsd", np.nan) for t, _ in frames]
    gap = [row.get(t, {}).get("theory/D_gap", np.nan) for t, _ in frames]
    last = len(frames) - 1
    far = [i for i in range(1, last) if jsd[i] > FAR * jsd[0] and np.isfinite(gap[i])]
    b = min(far, key=lambda i: gap[i] / jsd[i], default=last)
    c = next((i for i in range(b + 1, last) if jsd[i] <= 0.5 * jsd[b]), last)
    if b < c < last:
        chosen, names = [0, b, c, last], NAMES
    else:
        chosen, names = sorted({round(i) for i in np.linspace(0, last, 4)}), ("(a)", "(b)", "(c)", "(d)")
    picked = [(name, *frames[i]) for name, i in zip(names, chosen, strict=False)]
    return [Stage(name, t, frame, row.get(t, {})) for name, t, frame in picked]


# --- one dimension


def _line_picture(frame: Frame, loss: Loss, caption: str) -> Image.Image:
    figure = Figure(figsize=(6.6, 4.8), dpi=DPI)
    bottom = 0.09 if "z" in frame else -0.18  # without a map, there is nothing below the densities
    parts = figure.add_gridspec(2, 1, left=0.1, right=0.9, top=0.84, bottom=bottom, hspace=0.36, height_ratios=[3, 1])
    handles = _draw_line(figure, parts[0], parts[1], frame, loss, left=True, right=True)
    figure.suptitle(caption, x=0.1, y=0.97, ha="left", fontsize=12)
    figure.legend(handles=handles, loc="upper right", bbox_to_anchor=(0.92, 0.995), ncols=2, frameon=False, fontsize=10)
    return render(figure)


def _line_stages(chosen: Sequence[Stage], loss: Loss) -> Image.Image:
    figure = Figure(figsize=(12, 4.2), dpi=DPI)
    parts = figure.add_gridspec(
        2, len(chosen), left=0.05, right=0.95, top=0.74, bottom=0.11, hspace=0.48, wspace=0.12, height_ratios=[3, 1]
    )
    for i, stage in enumerate(chosen):
        ends = {"left": i == 0, "right": i == len(chosen) - 1}
        handles = _draw_line(figure, parts[0, i], parts[1, i], stage.frame, loss, **ends, title=stage.title)
    figure.legend(handles=handles, loc="upper center", ncols=4, frameon=False, fontsize=11)
    return render(figure)


def _draw_line(
    figure: Figure, above: SubplotSpec, below: SubplotSpec, frame: Frame, loss: Loss, left: bool, right: bool, title: str = ""
) -> list:
    """Densities and D over x, and under them the arrows z -> G(z); the handles of the legend."""
    x, p, q, output, best = (frame[name].numpy() for name in ("x", "p", "q", "D", "best"))
    axes = figure.add_subplot(above)
    handles = axes.plot(x, p, color=P_DATA, ls=":", lw=2, label="$p_{data}$")
    handles += axes.plot(x, q, color=P_G, lw=1.8, label="$p_g$")
    axes.set(xlim=(x[0], x[-1]), ylim=(0, 1.7 * np.quantile(p, 0.98)), xlabel="x")
    axes.xaxis.labelpad = 0
    axes.set_title(title, fontsize=10)
    twin = axes.twinx()
    is_V = isinstance(loss, Solved) and loss.is_V
    shown = (lambda a: 1 / (1 + np.exp(-np.clip(a, -50, 50)))) if is_V else (lambda a: a)
    handles += twin.plot(x, shown(output), color=OF_D, ls="--", lw=1.8, label="$D$")
    if np.isfinite(best).any():
        handles += twin.plot(x, shown(best), color=BEST, lw=1, label="$D^*$, its optimum")
    if is_V:
        twin.set_ylim(-0.02, 1.02)
    axes.set_ylabel("density" if left else "")
    twin.set_ylabel(("$D(x)$" if is_V else "output of $D$") if right else "", color=OF_D)
    axes.tick_params(labelleft=left)
    twin.tick_params(labelright=right, labelcolor=OF_D)
    if "z" in frame:
        _draw_arrows(figure.add_subplot(below), frame, (x[0], x[-1]), left)
    return handles


def _draw_arrows(axes: Axes, frame: Frame, ends: tuple[float, float], label: bool) -> None:
    """z below, equally likely ones, and x above; z is scaled to the width of the picture."""
    z, Gz, F_z = (frame[name].numpy() for name in ("z", "Gz", "F_z"))
    low, high = np.interp([0.002, 0.998], F_z, z)
    chosen = np.interp((np.arange(ARROWS) + 0.5) / ARROWS, F_z, z)
    start = ends[0] + (chosen - low) / (high - low) * (ends[1] - ends[0])
    reach = np.interp(chosen, z, Gz) - start
    up = np.ones(ARROWS)
    axes.quiver(start, 0 * up, reach, up, angles="xy", scale_units="xy", scale=1, width=0.003, headwidth=4.5, color=P_G)
    ticks = np.linspace(low, high, 5)
    axes.set(xlim=ends, ylim=(0, 1), yticks=[], xlabel="z")
    axes.xaxis.labelpad = 0
    axes.set_xticks(ends[0] + (ticks - low) / (high - low) * (ends[1] - ends[0]), [f"{tick:.1f}" for tick in ticks])
    axes.spines[["left", "right"]].set_visible(False)
    axes.set_ylabel("$z \\mapsto G(z)$" if label else "")


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


# --- two dimensions


def _plane_picture(frame: Frame, loss: Loss, caption: str) -> Image.Image:
    figure = Figure(figsize=(5.6, 4.9), dpi=DPI)
    axes = figure.add_axes((0.1, 0.1, 0.72, 0.8))
    colours = _draw_plane(axes, frame, loss, size=6)
    figure.colorbar(colours, cax=figure.add_axes((0.85, 0.1, 0.03, 0.8)), label=_name_of_output(loss), extend="both")
    axes.legend(loc="upper right", framealpha=0.9, markerscale=2, fontsize=9)
    axes.set_title(caption, fontsize=12, loc="left")
    return render(figure)


def _plane_stages(chosen: Sequence[Stage], loss: Loss) -> Image.Image:
    figure = Figure(figsize=(12, 4.1), dpi=DPI, layout="constrained")
    panels = figure.subplots(1, len(chosen), sharey=True, squeeze=False)[0]
    for axes, stage in zip(panels, chosen, strict=True):
        colours = _draw_plane(axes, stage.frame, loss, size=2)
        axes.set_title(stage.title, fontsize=10)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, markerscale=4, fontsize=11)
    figure.colorbar(colours, ax=panels.tolist(), label=_name_of_output(loss), extend="both", shrink=0.8)
    return render(figure)


def _draw_plane(axes: Axes, frame: Frame, loss: Loss, size: float) -> AxesImage:
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
    axes.set(xlabel="$x_1$", ylabel="$x_2$", xlim=extent[:2], ylim=extent[2:], aspect="equal")
    return colours


def _neutral(loss: Loss, field: np.ndarray) -> float:
    """D's best output where p_data = p_g; the mean of its field where that is not known."""
    same = torch.zeros(1, dtype=torch.float64)
    best = best_output(loss, Cells(torch.zeros(1, 2), same, same))
    return float(field.mean()) if best is None else best.item()


def _name_of_output(loss: Loss) -> str:
    return "logit of D(x)" if isinstance(loss, Solved) and loss.is_V else "output of D"


# --- curves


def _theory(rows: Sequence[Row], folder: Path) -> list[Path]:
    """theory.png: what was measured, against the iteration."""
    panels = [
        ("value of the game [nats]", ["V", "C"], False),
        ("from $p_g$ to $p_{data}$ [nats]", ["jsd", "ema_jsd", "floor"], True),
        ("from $p_g$ to $p_{data}$ [units of x]", ["w1", "ema_w1", "inverse_cdf_error", "sliced_w1", "ema_sliced_w1"], True),
        ("D from its optimum", ["D_gap", "D_distance", "D_error"], True),
    ]
    figure = Figure(figsize=(10, 6), dpi=DPI, layout="constrained")
    drawn = 0
    for axes, (title, names, logarithmic) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        for name, colour in zip(names, (OF_D, BEST, P_G, "#CC79A7", "#56B4E9"), strict=False):
            points = [(r["iteration"], r[f"theory/{name}"]) for r in rows if np.isfinite(r.get(f"theory/{name}", np.nan))]
            if points:
                axes.plot(*zip(*points, strict=True), color=colour, lw=1.4, label=LABELS.get(name, name))
                drawn += 1
        if title.startswith("value") and axes.lines:
            axes.axhline(-np.log(4), color="black", lw=1, ls=":", label="-log 4, the solution")
        if logarithmic and axes.lines:
            axes.set_yscale("log")
        axes.set(xlabel="iteration", title=title)
        axes.set_visible(bool(axes.lines))
        if axes.lines:
            axes.legend(frameon=False, fontsize=9)
    if not drawn:
        return []
    render(figure).save(folder / "theory.png")
    return [folder / "theory.png"]


LABELS = {
    "V": "V(D, G)",
    "C": "C(G) = max V(D, G) over D",
    "jsd": "JSD",
    "ema_jsd": "JSD of the average of G",
    "floor": "JSD of as many real points",
    "w1": "W1",
    "ema_w1": "W1 of the average of G",
    "inverse_cdf_error": "E |G(z) - inverse CDF|",
    "sliced_w1": "sliced W1",
    "ema_sliced_w1": "sliced W1 of the average of G",
    "D_gap": "C(G) - V, or what the loss has for it",
    "D_distance": "mean |D - D*| of the outputs",
    "D_error": "mean |D(x) - D*(x)|",
}
