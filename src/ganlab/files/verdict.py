"""Whether a game is still being played: a verdict from the curves of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

COLLAPSED = 0.1  # samples less than this times as far apart as data
STALLED = -0.02  # nats of V(D, G) out of at most 0: D is right, and sure, about nearly everything
READINGS = 2  # that have to agree before a state is believed


class Verdict(NamedTuple):
    """`state` is healthy, diverged, collapsed, astray, stalled, or unknown where too little was seen; `since` is the first
    iteration of it, `why` the measurement in words."""

    state: str
    since: int | None
    why: str


def verdict(rows: Sequence[Mapping[str, float]], diverged_at: int | None) -> Verdict:
    """Of a run by its `health/...` and `eval/...` rows, oldest first. A state counts only if it lasts until the last reading.

    Diverged: a loss is not finite. Collapsed: samples are alike. Astray: of data whose modes are known none is
    reached, however far samples are apart. Stalled: D tells nearly all samples from data, so that on the
    paper's V nothing is left for it to learn from G, and G learns only what a loss makes of a D that is sure.
    """
    if diverged_at is not None:
        return Verdict("diverged", diverged_at, "the loss is not finite")
    if since := _until_the_end(rows, "health/diversity", lambda value: value < COLLAPSED):
        value = _last(rows, "health/diversity")
        return Verdict("collapsed", since, f"samples are {value:.2g} times as far apart as data")
    if since := _until_the_end(rows, "eval/modes", lambda value: value == 0):
        return Verdict("astray", since, "no mode of the data is among the samples (eval/modes = 0)")
    if since := _until_the_end(rows, "health/V", lambda value: value > STALLED):
        return Verdict("stalled", since, f"V(D, G) = {_last(rows, 'health/V'):.2g} of at most 0: D is sure of all it sees")
    if sum("health/diversity" in row for row in rows) < READINGS:
        return Verdict("unknown", None, f"there are fewer than {READINGS} readings of health")
    return Verdict("healthy", None, "")


def verdict_in_words(found: Verdict) -> str:
    return f"{found.state} from iteration {found.since:,} on: {found.why}" if found.since is not None else found.state


def _until_the_end(rows: Sequence[Mapping[str, float]], name: str, bad: Callable[[float], bool]) -> int | None:
    """The iteration from which on all readings are bad, if at least READINGS of them are."""
    readings = [(int(row["iteration"]), row[name]) for row in rows if math.isfinite(row.get(name, math.nan))]
    count = 0
    for _, value in reversed(readings):
        if not bad(value):
            break
        count += 1
    return readings[-count][0] if count >= READINGS else None


def _last(rows: Sequence[Mapping[str, float]], name: str) -> float:
    return [row[name] for row in rows if math.isfinite(row.get(name, math.nan))][-1]
