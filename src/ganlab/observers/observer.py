"""What all observers share: when they look, and that their time is not training time."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch

from ganlab.errors import at_least_one
from ganlab.game.module import GAN
from ganlab.types import Source


class Clock:
    """Wall-clock seconds of training; evaluation, pictures and checkpoints stop it."""

    def __init__(self) -> None:
        self._before = 0.0
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        return self._before + (0.0 if self._since is None else time.perf_counter() - self._since)

    def start(self, seconds: float | None = None) -> None:
        self._before, self._since = self.seconds if seconds is None else seconds, time.perf_counter()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self._before, self._since = self.seconds, None
        try:
            yield
        finally:
            self.start()


class Observer(pl.Callback):
    """Looks at the game every `every` iterations and after the last one, on all ranks or on the first only. `seconds` is what
    that has cost."""

    rank_zero_only = True
    seconds = 0.0

    def __init__(self, every: int, clock: Clock) -> None:
        at_least_one(every=every)
        self.every, self.clock = every, clock

    @abstractmethod
    def observe(self, trainer: pl.Trainer, gan: GAN) -> None: ...

    def due(self, t: int) -> bool:
        return t % self.every == 0

    def on_train_batch_end(self, trainer: pl.Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        t = gan.iteration
        if self.due(t) or t == trainer.max_steps or trainer.should_stop:
            self.look(trainer, gan)

    def look(self, trainer: pl.Trainer, gan: GAN) -> None:
        if trainer.is_global_zero or not self.rank_zero_only:
            if gan.device.type == "cuda":
                torch.cuda.synchronize(gan.device)  # iterations that are still queued are training time
            started = time.perf_counter()
            with self.clock.stopped():
                self.observe(trainer, gan)
            self.seconds += time.perf_counter() - started


class Scores:
    """The newest, the best and the mean value of each score. Of a score that is in neither list there is no best.

    The mean is over iterations, the area under the curve by their number: of runs with an equal budget, the better one
    is the one that was good for longer. `final` and `best` have their iteration, `area` those that it lies between, the last
    value and how many were missing because they were not finite.
    """

    def __init__(self, higher: Iterable[str] = (), lower: Iterable[str] = ()) -> None:
        self.sign = {**dict.fromkeys(higher, 1), **dict.fromkeys(lower, -1)}
        self.final: dict[str, dict[str, float]] = {}
        self.best: dict[str, dict[str, float]] = {}
        self.area: dict[str, dict[str, float]] = {}

    def keep(self, values: Mapping[str, float], iteration: int) -> None:
        for name, value in values.items():
            self.final[name] = {"value": value, "iteration": iteration}
            best, sign = self.best.get(name), self.sign.get(name, 0)
            if sign:
                self.area[name] = _extended(self.area.get(name), value, iteration)
            if sign and math.isfinite(value) and (best is None or sign * value > sign * best["value"]):
                self.best[name] = self.final[name]

    def state_dict(self) -> dict[str, Any]:
        return {"final": self.final, "best": self.best, "area": self.area}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.final, self.best, self.area = (state_dict[kind] for kind in ("final", "best", "area"))


def _extended(area: dict[str, float] | None, value: float, t: int) -> dict[str, float]:
    """The mean so far, by the trapezoid rule, and one more point of the curve; one that is not finite is only counted."""
    if area is None:
        area = {"value": math.nan, "from": t, "to": t, "last": math.nan, "missing": 0}
    if not math.isfinite(value):
        return {**area, "missing": area["missing"] + 1}
    if not math.isfinite(area["value"]) or t == area["from"]:
        return {**area, "value": value, "from": t, "to": t, "last": value}
    total = area["value"] * (area["to"] - area["from"]) + (t - area["to"]) * (value + area["last"]) / 2
    return {**area, "value": total / (t - area["from"]), "to": t, "last": value}


def source_of(trainer: pl.Trainer) -> Source:
    """p_data, where the networks are."""
    return trainer.datamodule.source  # type: ignore[attr-defined]


def record(trainer: pl.Trainer, gan: GAN, clock: Clock, values: dict[str, float]) -> None:
    """One row, with the counters of the moment, to every logger; rows of one iteration are merged by the run's table."""
    row = {**gan.counters(), "seconds": round(clock.seconds, 3), **values}
    for logger in trainer.loggers:
        logger.log_metrics(row, step=gan.iteration)
