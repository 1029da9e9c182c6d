"""Scores of G_ema while it trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from torchmetrics import Metric

from ganlab.callbacks.observer import Clock, Observer, Scores, record, source_of
from ganlab.gan import GAN
from ganlab.random import generator_of


class Evaluate(Observer):
    """Every n iterations, the metrics of n samples of G_ema against n real ones, as `eval/...`; z and the real sample are the
    same every time. Keeps for each metric the newest and the best value, with their iterations."""

    def __init__(self, every: int, clock: Clock, metrics: Mapping[str, Metric], n: int, seed: int) -> None:
        super().__init__(every, clock)
        self.metrics, self.n, self.seed = dict(metrics), n, seed
        better = {name: bool(metric.higher_is_better) for name, metric in self.metrics.items()}
        self.scores = Scores([name for name in better if better[name]], [name for name in better if not better[name]])

    def observe(self, trainer: pl.Trainer, gan: GAN) -> None:
        real, y = source_of(trainer).sample(self.n, generator_of(self.seed, "reference", device=gan.device))
        z = gan.prior.sample(self.n, generator_of(self.seed, "evaluation", device=gan.device))
        fake = gan.generate(z, y)
        scores = {}
        for name, metric in self.metrics.items():
            metric = metric.to(gan.device)
            metric.reset()
            metric.update(real, real=True)
            metric.update(fake, real=False)
            scores[name] = float(metric.compute())
        self.scores.keep(scores, gan.iteration)
        record(trainer, gan, self.clock, {f"eval/{name}": value for name, value in scores.items()})

    def state_dict(self) -> dict[str, Any]:
        return self.scores.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.scores.load_state_dict(state_dict)
