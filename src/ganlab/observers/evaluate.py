"""Scores of G_ema while it trains."""

from __future__ import annotations

import json
from typing import Any

from ganlab.metrics.scoring import Scorer
from ganlab.observers.observer import Observer, View
from ganlab.observers.scores import Scores


class Evaluate(Observer):
    """Every n iterations, the scores of G_ema, as `eval/...`. Keeps for each the newest, the best and the mean value."""

    def __init__(self, every: int, scorer: Scorer) -> None:
        super().__init__(every)
        self.scorer = scorer
        self.details: dict[str, Any] = {}  # of the newest scores, as result.json has them
        better = scorer.higher_is_better
        lower = [name for name in better if better[name] is False]
        self.scores = Scores([name for name in better if better[name]], lower, scorer.cards.get)

    def observe(self, view: View) -> dict[str, float]:
        scores = self.scorer(view.game.generate, view.game.prior, view.device)
        self.scores.keep(scores, view.t)
        self.details = json.loads(json.dumps(self.scorer.details(), default=float))  # plain, as checkpoints want it
        return {f"eval/{name}": value for name, value in scores.items()}

    def state_dict(self) -> dict[str, Any]:
        return {**self.scores.state_dict(), "details": self.details}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.scores.load_state_dict(state)
        self.details = state.get("details", {})
