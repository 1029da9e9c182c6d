"""Metrics that give several scores of what they have counted or searched once, and each of these scores alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor
from torchmetrics import Metric


class Several(Metric):
    """`compute` gives the `scores`, by their names. Each has a class of its own in `values`, a subclass made with its name, as
    `class Recall(PRDC, value="recall")`: it says what the score means and which end is better, its name is that of the score's
    card, and as a metric it computes this score alone. So runs from before there was one metric for several scores are scored
    as they were, and compared with those of today.
    """

    values: ClassVar[dict[str, type[Metric]]] = {}
    value: ClassVar[str] = ""

    def __init_subclass__(cls, value: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.value = value
        if value:
            cls.values[value] = cls  # among those of the metric that it is one score of
        else:
            cls.values = {}

    def scores(self) -> dict[str, Tensor]:
        raise NotImplementedError

    def compute(self) -> Any:
        scores = self.scores()
        return scores[self.value] if self.value else scores


def kinds(name: str, metric: Metric | type[Metric]) -> Mapping[str, type[Metric]]:
    """The class of each score that a metric under this name gives, by the name of the score; also of a metric's class."""
    kind = metric if isinstance(metric, type) else type(metric)
    return kind.values if issubclass(kind, Several) and not kind.value else {name: kind}


def named(name: str, found: Any) -> dict[str, float]:
    """What such a metric has computed, by the names of the scores."""
    return {score: float(value) for score, value in (found if isinstance(found, dict) else {name: found}).items()}
