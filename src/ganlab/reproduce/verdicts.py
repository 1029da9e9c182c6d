"""Whether a claim holds, by its own rule: the 95 % interval over seeds against what the rule accepts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from ganlab.report.statistics import Interval, mean_interval
from ganlab.reproduce.claim import FEWEST, Claim, Number

Values = Mapping[str, Mapping[int, Mapping[str, float | None]]]  # of arm, seed and name; None where there was none


class Outcome(StrEnum):
    REPRODUCED = "reproduced"
    NOT = "not reproduced"
    UNTOLD = "cannot be told"
    DIFFERENT = "different protocol"
    NOT_RUN = "not run yet"
    WAITING = "waiting"


class Finding(NamedTuple):
    """What was found of one number; no interval where too few seeds have the value."""

    number: Number
    interval: Interval | None
    n: int  # seeds that have it
    verdict: Outcome


def findings_of(claim: Claim, values: Values) -> list[Finding]:
    return [_finding(claim, number, _of_seeds(number, values)) for number in claim.numbers]


def _of_seeds(number: Number, values: Values) -> list[float]:
    """The value of each seed that has one, of a difference those that have both."""
    arms = [{seed: found.get(name) for seed, found in values.get(arm, {}).items()} for arm, name in number.terms]
    shared = [seed for seed in arms[0] if all(_finite(arm.get(seed)) for arm in arms)]
    signs = (1.0, -1.0)
    return [sum(sign * float(arm[seed] or 0.0) for sign, arm in zip(signs, arms, strict=False)) for seed in sorted(shared)]


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _finding(claim: Claim, number: Number, x: Sequence[float]) -> Finding:
    if claim.deterministic:
        interval = Interval(x[0], x[0], x[0]) if x else None
    else:
        interval = mean_interval(x) if len(x) >= FEWEST else None
    return Finding(number, interval, len(x), Outcome.UNTOLD if interval is None else judged(number, interval))


def judged(number: Number, interval: Interval) -> Outcome:
    """Reproduced where all of the interval is accepted, not where nothing of it is."""
    low, high = number.accepted
    if number.within is not None:
        inside = low <= interval.low and interval.high <= high
        outside = interval.high < low or interval.low > high
    else:
        inside = low < interval.low and interval.high < high
        outside = interval.high <= low or interval.low >= high
    return Outcome.REPRODUCED if inside else Outcome.NOT if outside else Outcome.UNTOLD


def overall(findings: Sequence[Finding]) -> Outcome:
    """All numbers, or one that is not."""
    verdicts = {finding.verdict for finding in findings}
    if Outcome.NOT in verdicts:
        return Outcome.NOT
    return Outcome.REPRODUCED if verdicts == {Outcome.REPRODUCED} else Outcome.UNTOLD
