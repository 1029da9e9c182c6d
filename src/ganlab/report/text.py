"""Numbers as a report shows them."""

from __future__ import annotations

import math

from ganlab.report.cells import Cell
from ganlab.report.statistics import Interval

MISSING = "–"


def interval(x: Interval) -> str:
    """`0.412 [0.399, 0.425]`: to two digits of the half-width; without an interval, to four of its own."""
    if math.isnan(x.low):
        return number(x.value)
    half = (x.high - x.low) / 2
    if half == 0:
        return f"{number(x.value)} [{number(x.low)}, {number(x.high)}]"
    digits = 1 - math.floor(math.log10(half))
    if digits > 6:
        return f"{x.value:.4g} [{x.low:.4g}, {x.high:.4g}]"
    value, low, high = (f"{round(v, digits) + 0.0:,.{max(digits, 0)}f}" for v in x)
    return f"{value} [{low}, {high}]"


def of_cell(x: Cell) -> str:
    """The mean with its interval; of few seeds with their values in its place, `0.412 (0.399, 0.425)`."""
    if x.n == 1 or not math.isnan(x.mean.low):
        return interval(x.mean)
    spread = max(x.values) - min(x.values)
    if not spread or all(v == round(v) for v in x.values):
        return f"{number(x.mean.value)} ({', '.join(map(number, x.values))})"
    digits = min(max(math.ceil(-math.log10(spread / 5)), 0), 6)  # they are to be told apart, and no more
    told = [f"{round(v, digits) + 0.0:,.{digits}f}" for v in (x.mean.value, *x.values)]
    return f"{told[0]} ({', '.join(told[1:])})"


def compact(x: Interval) -> str:
    """The ends alone, to two digits each, for a cell of a picture; empty without an interval."""
    return "" if math.isnan(x.low) else f"{x.low:.2g}{'–' if x.low >= 0 else ' to '}{x.high:.2g}"


def number(x: float) -> str:
    if not math.isfinite(x):
        return MISSING
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.4g}"


def probability(p: float) -> str:
    if math.isnan(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.2g}"
