"""One value of a table: what the seeds of a setting scored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ganlab.report.ranges import EVERYTHING, Range, within
from ganlab.report.statistics import Interval, interquartile_mean, mean_interval

FEW = 3  # seeds, of which the values are shown, and no interval: it would say more of its method than of them


class Cell(NamedTuple):
    """One kind of value (last, best, mean) of one score over the seeds of a setting."""

    n: int
    mean: Interval  # within the range of the score; the ends are nan where there are FEW seeds
    middle: float  # the interquartile mean
    values: tuple[float, ...] = ()  # in the order of the seeds


def cell(x: Sequence[float], bounds: Range = EVERYTHING) -> Cell:
    mean = (mean_interval(x) if len(x) > FEW else None) or Interval(sum(x) / len(x), math.nan, math.nan)
    return Cell(len(x), within(mean, bounds, x), interquartile_mean(x), tuple(x))
