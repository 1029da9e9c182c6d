"""Scores of G_ema while it trains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from torchmetrics import Metric

from ganlab.callbacks.observer import Clock, Observer, record, source_of
from ganlab.gan import GAN
from ganlab.random import generator_of


class Evaluate(Observer):
    """Every n iterations, the metrics of n samples of G_ema against n real ones, as `eval/...`; z and the real sample are the
    same every time. Keeps for each metric the newest and the best value, with their iterations."""

    def __init__(self, every: int, clock: Clock, metrics: Mapping[str, Metric], n: int, seed: int) -> None:
        super().__init__(every, clock)
        self.metrics, self.n, self.seed = dict(metrics), n, seed
        self.final: dict[str, dict[str, float]] = {}
        self.best: dict[str, dict[str, float]] = {}

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
        self._keep(scores, gan.iteration)
        record(trainer, gan, self.clock, {f"eval/{name}": value for name, value in scores.items()})

    def _keep(self, scores: dict[str, float], iteration: int) -> None:
        for name, value in scores.items():
            self.final[name] = {"value": value, "iteration": iteration}
            sign = 1 if self.metrics[name].higher_is_better else -1
            best = self.best.get(name)
            if math.isfinite(value) and (best is None or sign * value > sign * best["value"]):
                self.best[name] = self.final[name]

    def state_dict(self) -> dict[str, Any]:
        return {"final": self.final, "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.final, self.best = state_dict["final"], state_dict["best"]
