"""What all observers share: when they look, and that their time is not training time."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch

from ganlab.errors import at_least_one
from ganlab.gan import GAN
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
    """Looks at the game every `every` iterations and after the last one, on all ranks or on the first only."""

    rank_zero_only = True

    def __init__(self, every: int, clock: Clock) -> None:
        at_least_one(every=every)
        self.every, self.clock = every, clock

    @abstractmethod
    def observe(self, trainer: pl.Trainer, gan: GAN) -> None: ...

    def on_train_batch_end(self, trainer: pl.Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        t = gan.iteration
        if t % self.every == 0 or t == trainer.max_steps or trainer.should_stop:
            self.look(trainer, gan)

    def look(self, trainer: pl.Trainer, gan: GAN) -> None:
        if trainer.is_global_zero or not self.rank_zero_only:
            if gan.device.type == "cuda":
                torch.cuda.synchronize(gan.device)  # iterations that are still queued are training time
            with self.clock.stopped():
                self.observe(trainer, gan)


def source_of(trainer: pl.Trainer) -> Source:
    """p_data, where the networks are."""
    return trainer.datamodule.source  # type: ignore[attr-defined]


def record(trainer: pl.Trainer, gan: GAN, clock: Clock, values: dict[str, float]) -> None:
    """One row, with the counters of the moment, to every logger; rows of one iteration are merged by the run's table."""
    row = {**gan.counters(), "seconds": round(clock.seconds, 3), **values}
    for logger in trainer.loggers:
        logger.log_metrics(row, step=gan.iteration)
