"""Numbers as a report shows them."""

from __future__ import annotations

import math

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


def number(x: float) -> str:
    if not math.isfinite(x):
        return MISSING
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.4g}"


def probability(p: float) -> str:
    if math.isnan(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.2g}"
