"""Scores of G_ema while it trains."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from ganlab.game.module import GAN
from ganlab.metrics.scoring import Scorer
from ganlab.observers.observer import Clock, Observer, Scores, record


class Evaluate(Observer):
    """Every n iterations, the scores of G_ema, as `eval/...`. Keeps for each the newest, the best and the mean value."""

    def __init__(self, every: int, clock: Clock, scorer: Scorer) -> None:
        super().__init__(every, clock)
        self.scorer = scorer
        better = scorer.higher_is_better
        self.scores = Scores([name for name in better if better[name]], [name for name in better if not better[name]])

    def observe(self, trainer: pl.Trainer, gan: GAN) -> None:
        scores = self.scorer(gan.generate, gan.prior, gan.device)
        self.scores.keep(scores, gan.iteration)
        record(trainer, gan, self.clock, {f"eval/{name}": value for name, value in scores.items()})

    def state_dict(self) -> dict[str, Any]:
        return self.scores.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.scores.load_state_dict(state_dict)
