"""The forest plot of a report's first screen as a figure, for a notebook: the same order, axis, signs and numbers."""

from __future__ import annotations

import io
import math

from matplotlib.figure import Figure

from ganlab.report import text
from ganlab.report.overview import Overview

MAIN, GOOD, BAD, FAINT = "#0072B2", "#00644A", "#A33C00", "#999999"  # those of report.css, in its light half
SIGNS = {"better": (" ▲", GOOD), "worse": (" ▼", BAD)}


class ForestPlot(Figure):
    """One that a notebook shows, whether it has imported pyplot or not."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=100)
        return file.getvalue()


def forest(view: Overview, title: str = "") -> ForestPlot:
    """Best first: of each setting the mean and its interval over seeds, or the seeds where they are too few for one; ▲ where it
    was shown to be better than what it is tested against, ▼ worse."""
    marks, axis = view.marks, view.axis
    figure = ForestPlot(figsize=(8.0, 1.0 + 0.3 * len(marks)), layout="constrained")
    axes = figure.add_subplot()
    for height, mark in enumerate(marks):
        mean = mark.cell.mean
        if math.isnan(mean.low):
            axes.plot(mark.cell.values, [height] * mark.cell.n, "o", color=FAINT, ms=4)
            axes.plot(mean.value, height, "|", color=MAIN, ms=12, mew=2)
        else:
            axes.plot(
                [max(mean.low, axis.low), mean.high], [height, height], color=MAIN, lw=3, alpha=0.45, solid_capstyle="butt"
            )
            axes.plot(mean.value, height, "D" if mark.versus == "reference" else "o", color=MAIN, ms=6)
        sign, colour = SIGNS.get(mark.versus, ("", "black"))
        axes.annotate(f"{text.of_cell(mark.cell)}{sign}", (1.02, height), xycoords=("axes fraction", "data"), va="center",
                      fontsize=9, color=colour, annotation_clip=False)  # fmt: skip
    names = [f"{mark.setting} (reference)" if mark.versus == "reference" else mark.setting for mark in marks]
    axes.set_xscale("log" if axis.log else "linear")
    axes.set_yticks(range(len(marks)), names, fontsize=9)
    axes.set_xticks(axis.ticks, [text.number(tick) for tick in axis.ticks])
    axes.minorticks_off()
    axes.set(xlim=(axis.low, axis.high), ylim=(len(marks) - 0.5, -0.5))
    axes.set_title(f"{title}: {view.title}" if title else view.title, fontsize=10, loc="left")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure
