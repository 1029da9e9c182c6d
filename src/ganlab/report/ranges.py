"""Between which ends a score can lie at all, and intervals that do not reach beyond them.

The mean of a law on [a, b] lies in [a, b]. So an interval that holds the mean with 95 % holds it with the same 95 % when it is
cut at a and b: nothing that is cut off could have been the mean. (A percentile bootstrap would stay inside by itself, but
covers 84 % of a normal law with 5 seeds; the cut interval covers what `mean_interval` covers.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ganlab.report.names import EVALUATED, bare, unit
from ganlab.report.statistics import Interval

Range = tuple[float, float]

EVERYTHING = (-math.inf, math.inf)
BY_UNIT: dict[str, Range] = {"share": (0, 1), "probability": (0, 1), "count": (0, math.inf)}
JSD, AT_LEAST_0 = (0.0, math.log(2)), (0.0, math.inf)
BY_NAME: dict[str, Range] = {
    **dict.fromkeys(("mode_jsd", "jsd"), JSD),
    "binned_jsd": (-math.inf, math.log(2)),  # less what chance would make of equal laws, so that it may lie below 0
    "C": (-math.log(4), 0.0),  # -log 4 + 2 JSD
    "V": (-math.inf, 0.0),
    **dict.fromkeys(("fid", "class_fid", "density", "diversity"), AT_LEAST_0),
    **dict.fromkeys(("kl", "reverse_kl", "class_kl"), AT_LEAST_0),
    **dict.fromkeys(("wasserstein", "sliced_wasserstein", "w1", "sliced_w1", "inverse_cdf_error", "radius"), AT_LEAST_0),
    **dict.fromkeys(("ks", "D_error"), (0.0, 1.0)),
    "inception_score": (1.0, math.inf),  # the unbiased estimates of MMD and KID may lie below 0
}

MODES: dict[str, Callable[[Any], int]] = {  # of a mixture, by a key of its data
    "modes": int,
    "side": lambda side: int(side) ** 2,
    "means": len,
}


def range_of(score: str, config: Mapping[str, Any] | None = None) -> Range:
    """Between which ends it lies, of whatever G; infinite where there is none, or none is known."""
    name = bare(score).removeprefix(EVALUATED)
    if name == "modes" and (most := modes_of(config or {})) is not None:
        return 0.0, float(most)
    own = name.rpartition("/")[2].removeprefix("ema_")
    return BY_NAME.get(own) or BY_UNIT.get(unit(score), EVERYTHING)


def modes_of(config: Mapping[str, Any]) -> int | None:
    """How many modes the data of a config have; None where they do not say."""
    data = config.get("data")
    if not isinstance(data, Mapping):
        return None
    for key, count in MODES.items():
        try:
            if data.get(key) is not None:
                return count(data[key])
        except (TypeError, ValueError):
            return None
    return None


def within(interval: Interval, bounds: Range, seen: Iterable[float] = ()) -> Interval:
    """The interval cut at the ends of the range; what was `seen` is in the range, whatever it was thought to be."""
    seen = [*seen, interval.value]
    low, high = min(bounds[0], *seen), max(bounds[1], *seen)
    return Interval(interval.value, _larger(interval.low, low), _smaller(interval.high, high))


def difference_within(interval: Interval, bounds: Range) -> Interval:
    """Of a difference of two means: no farther from 0 than the range is wide."""
    width = bounds[1] - bounds[0]
    return within(interval, (-width, width))


def _larger(end: float, bound: float) -> float:
    return end if math.isnan(end) else max(end, bound)


def _smaller(end: float, bound: float) -> float:
    return end if math.isnan(end) else min(end, bound)
