"""What is kept of a score while it trains."""

from __future__ import annotations

import json
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ganlab.files import older
from ganlab.metrics.cards import Card, differing

log = logging.getLogger(__name__)


class Scores:
    """The newest, the best and the mean value of each score. Of a score that is in neither list there is no best.

    The mean is over iterations, the area under the curve by their number: of runs with an equal budget, the better one
    is the one that was good for longer. `final` and `best` have their iteration, `mean` those that it lies between, the last
    value and how many were missing because they were not finite.

    `card` says of a score how it is obtained. What a checkpoint has of one that was obtained otherwise, of fewer samples say,
    is left behind, as its best and mean would be of two different numbers; a warning says so.
    """

    def __init__(
        self, higher: Iterable[str] = (), lower: Iterable[str] = (), card: Callable[[str], Card | None] = lambda name: None
    ) -> None:
        self.card = card
        self.sign = {**dict.fromkeys(higher, 1), **dict.fromkeys(lower, -1)}
        self.final: dict[str, dict[str, float]] = {}
        self.best: dict[str, dict[str, float]] = {}
        self.mean: dict[str, dict[str, float]] = {}

    def keep(self, values: Mapping[str, float], iteration: int) -> None:
        for name, value in values.items():
            self.final[name] = {"value": value, "iteration": iteration}
            best, sign = self.best.get(name), self.sign.get(name, 0)
            if sign:
                self.mean[name] = _extended(self.mean.get(name), value, iteration)
            if sign and math.isfinite(value) and (best is None or sign * value > sign * best["value"]):
                self.best[name] = self.final[name]

    def state_dict(self) -> dict[str, Any]:
        return {
            "final": self.final,
            "best": self.best,
            "mean": self.mean,
            "how": {name: self._how(name) for name in self.final},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        kept = older.scores(state_dict)
        self.final, self.best, self.mean = (kept[kind] for kind in ("final", "best", "mean"))
        changed = defaultdict[str, list[str]](list)
        for name, before in kept.get("how", {}).items():
            if before and (now := self._how(name)) and (found := differing(before, now)):
                changed["; ".join(found)].append(name)
                self.final, self.best, self.mean = (
                    {score: value for score, value in each.items() if score != name}
                    for each in (self.final, self.best, self.mean)
                )
        for how, names in changed.items():
            log.warning("%s: obtained otherwise until here (%s), so that best and mean begin anew", ", ".join(names), how)

    def _how(self, name: str) -> Card | None:
        """The card as a checkpoint has it: of plain values."""
        return json.loads(json.dumps(self.card(name), default=str))


def _extended(mean: dict[str, float] | None, value: float, t: int) -> dict[str, float]:
    """The mean so far, by the trapezoid rule, and one more point of the curve; one that is not finite is only counted."""
    if mean is None:
        mean = {"value": math.nan, "from": t, "to": t, "last": math.nan, "missing": 0}
    if not math.isfinite(value):
        return {**mean, "missing": mean["missing"] + 1}
    if not math.isfinite(mean["value"]) or t == mean["from"]:
        return {**mean, "value": value, "from": t, "to": t, "last": value}
    total = mean["value"] * (mean["to"] - mean["from"]) + (t - mean["to"]) * (value + mean["last"]) / 2
    return {**mean, "value": total / (t - mean["from"]), "to": t, "last": value}
