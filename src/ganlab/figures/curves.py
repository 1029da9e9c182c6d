"""What was measured of the theory, against the iteration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ganlab.figures.canvas import against_iteration, panels, png, render
from ganlab.figures.style import BEST, DPI, OF_D, P_G, Row


def theory(rows: Sequence[Row], folder: Path) -> list[Path]:
    """theory.png: what was measured, against the iteration."""
    shown = [
        ("value of the game [nats]", ["V", "C"], False),
        ("from p_g to p_data [nats]", ["jsd", "ema_jsd", "floor"], True),
        ("from p_g to p_data [units of x]", ["w1", "ema_w1", "inverse_cdf_error", "sliced_w1", "ema_sliced_w1"], True),
        ("D from its optimum", ["D_gap", "D_distance", "D_error"], True),
    ]
    figure, each = panels(len(shown), 2, 5, 3, DPI)
    drawn = 0
    for axes, (title, names, logarithmic) in zip(each, shown, strict=True):
        for name, colour in zip(names, (OF_D, BEST, P_G, "#CC79A7", "#56B4E9"), strict=False):
            points = [(r["iteration"], r[f"theory/{name}"]) for r in rows if np.isfinite(r.get(f"theory/{name}", np.nan))]
            if points:
                axes.plot(*zip(*points, strict=True), color=colour, lw=1.4, label=LABELS.get(name, name))
                drawn += 1
        if title.startswith("value") and axes.lines:
            axes.axhline(-np.log(4), color="black", lw=1, ls=":", label="-log 4, the solution")
        if logarithmic and axes.lines:
            axes.set_yscale("log")
        against_iteration(axes)
        axes.set_title(title, y=1.0)
        axes.set_visible(bool(axes.lines))
        if axes.lines:
            axes.legend(frameon=False, fontsize=9)
    if not drawn:
        return []
    png(render(figure), folder / "theory.png")
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
