"""The four panels of Figure 1, found in the frames of a run, and the film of all frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from ganlab.figures.canvas import png
from ganlab.figures.caption import captioned_by
from ganlab.figures.pictures import gif
from ganlab.figures.style import Frame, Frames, Row


class Scene(Protocol):
    """A figure that is made once, for a frame and all others that fit."""

    def fits(self, frame: Frame) -> bool: ...

    def picture(self, frame: Frame, caption: str) -> Image.Image: ...


def film(frames: Frames, compose: Callable[[Frame], Scene], folder: Path) -> list[Path]:
    """game.png, the last frame, and game.gif, all of them."""
    pictures, scene = list[Image.Image](), None
    for t, frame in frames:
        if scene is None or not scene.fits(frame):
            scene = compose(frame)
        pictures.append(scene.picture(frame, captioned_by(t, averaged=False)))
    if not pictures:
        return []
    png(pictures[-1], folder / "game.png")
    gif(pictures, folder / "game.gif")
    return [folder / "game.png", folder / "game.gif"]


class Stage:
    """One panel of Figure 1."""

    def __init__(self, title: str, t: int, frame: Frame, row: Row) -> None:
        self.frame = frame
        numbers = [f"{label} {row[key]:.3f}" for label, key in NUMBERS if key in row]
        self.title = f"{title}\niteration {t:,}\n{', '.join(numbers)}".strip()


NUMBERS = (("JSD", "theory/jsd"), ("C - V", "theory/D_gap"))
NAMES = ("(a) the beginning", "(b) D near its optimum", "(c) G has stepped", "(d) the end")
FAR = 0.05  # of the first JSD: while p_g is further away than that, panel (b) is looked for


def stages(frames: Frames, rows: Sequence[Row]) -> list[Stage]:
    """The paper's panels: (a) the beginning; (b) while p_g is still far from p_data, D is nearest to its optimum, measured by
    the share of 2 JSD that it does not see, which must be less than half; (c) G has stepped, and is half as far; (d) the
    end. Where a run does not have them in this order, evenly spread frames without names."""
    row = {int(r["iteration"]): r for r in rows}
    jsd = [row.get(t, {}).get("theory/jsd", np.nan) for t, _ in frames]
    gap = [row.get(t, {}).get("theory/D_gap", np.nan) for t, _ in frames]
    last = len(frames) - 1
    far = [i for i in range(1, last) if jsd[i] > FAR * jsd[0] and gap[i] <= jsd[i]]
    b = min(far, key=lambda i: gap[i] / jsd[i], default=last)
    c = next((i for i in range(b + 1, last) if jsd[i] <= 0.5 * jsd[b]), last)
    if b < c < last:
        chosen, names = [0, b, c, last], NAMES
    else:
        chosen, names = sorted({round(i) for i in np.linspace(0, last, 4)}), ("(a)", "(b)", "(c)", "(d)")
    picked = [(name, *frames[i]) for name, i in zip(names, chosen, strict=False)]
    return [Stage(name, t, frame, row.get(t, {})) for name, t, frame in picked]
