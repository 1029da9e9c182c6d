"""What a search has found: its values in their order, and against each parameter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ganlab.figures.canvas import render
from ganlab.figures.style import BEST, DPI, OF_D, P_DATA, P_G

COLUMNS = 3
WITHOUT = {"pruned": ("x", BEST, "diverged or collapsed"), "failed": ("+", P_DATA, "failed")}  # a value


class Mark(NamedTuple):
    """One trial: `state` is completed, pruned or failed, `spread` the standard deviation over its seeds."""

    number: int
    state: str
    value: float | None
    spread: float | None
    params: Mapping[str, Any]


class Scale(NamedTuple):
    """Where a parameter is searched: among choices, or between two ends."""

    choices: Sequence[Any] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False


def drawn(marks: Sequence[Mark], score: str, lower: bool, scales: Mapping[str, Scale], file: Path) -> None:
    """A trial without value is at the upper edge."""
    rows = 1 + math.ceil(len(scales) / COLUMNS)
    figure = Figure(figsize=(3.9 * COLUMNS, 3.2 * rows), dpi=DPI, layout="constrained")
    grid = figure.add_gridspec(rows, COLUMNS)
    history = figure.add_subplot(grid[0, :])
    panels = [figure.add_subplot(grid[1 + i // COLUMNS, i % COLUMNS]) for i in range(len(scales))]
    values = [mark.value for mark in marks if mark.value is not None]
    best = min(values, default=None) if lower else max(values, default=None)
    for axes in (history, *panels):
        if values and min(values) > 0 and max(values) > 30 * min(values):
            axes.set_yscale("log")
    if values:
        first = next(mark.number for mark in marks if mark.value is not None)
        reached = (np.minimum if lower else np.maximum).accumulate(
            [
                mark.value if mark.value is not None else math.inf * (1 if lower else -1)
                for mark in marks
                if mark.number >= first
            ]
        )
        history.step(range(first, first + len(reached)), reached, where="post", color=P_G, lw=1.4, label="the best so far")
    _points(history, marks, [mark.number for mark in marks], best)
    history.set(xlabel="trial", ylabel=score)
    history.set_title(f"{score}, the {'lower' if lower else 'higher'} the better", loc="left")
    history.xaxis.set_major_locator(MaxNLocator(integer=True))
    history.legend(frameon=False, fontsize=9, ncols=5, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2)
    for axes, (name, scale) in zip(panels, scales.items(), strict=True):
        found = [mark.params[name] for mark in marks]
        if scale.choices:
            shift = np.linspace(-0.15, 0.15, max(len(marks), 2))  # the earliest left: equal categories would hide each other
            _points(axes, marks, [scale.choices.index(value) + by for value, by in zip(found, shift, strict=False)], best)
            axes.set_xticks(range(len(scale.choices)), [str(choice) for choice in scale.choices])
            axes.set_xlim(-0.5, len(scale.choices) - 0.5)
        else:
            _points(axes, marks, found, best)
            if scale.log:
                axes.set_xscale("log")
                room = (scale.high / scale.low) ** 0.04
                axes.set_xlim(scale.low / room, scale.high * room)
            elif scale.low < scale.high:
                room = 0.04 * (scale.high - scale.low)
                axes.set_xlim(scale.low - room, scale.high + room)
        axes.set(xlabel=name, ylabel=score)
    for axes in (history, *panels):
        axes.margins(y=0.12)
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
    file.parent.mkdir(exist_ok=True)
    render(figure).save(file)


def _points(axes: Axes, marks: Sequence[Mark], x: Sequence[float], best: float | None) -> None:
    edge = axes.get_xaxis_transform()  # x in data, y from 0 to 1
    for state, (marker, colour, label) in WITHOUT.items():
        places = [at for at, mark in zip(x, marks, strict=True) if mark.state == state]
        if places:
            axes.plot(places, [0.96] * len(places), marker, color=colour, ms=6, mew=1.6, transform=edge, label=label, zorder=3)
    seen = [(at, mark, mark.value) for at, mark in zip(x, marks, strict=True) if mark.value is not None]
    if seen and best is not None:
        places, y = [at for at, _, _ in seen], [value for _, _, value in seen]
        bars = [mark.spread or 0.0 for _, mark, _ in seen]
        if any(bars):
            axes.errorbar(places, y, bars, fmt="none", ecolor=OF_D, elinewidth=1, alpha=0.5)
        axes.plot(places, y, "o", color=OF_D, ms=5, alpha=0.7, label="a trial")
        at = places[y.index(best)]
        axes.plot([at], [best], "*", color=P_G, ms=13, mec="white", zorder=4, label="the best")
