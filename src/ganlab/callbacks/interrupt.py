"""Ctrl-C, a closed terminal and a cluster that wants its node back end a run at the next iteration, with a checkpoint."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

import pytorch_lightning as pl

from ganlab.gan import GAN

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


class Interrupt(pl.Callback):
    """Stops training after the iteration in which a signal came; comes before the observers, which then look a last time.

    Several processes agree every `every` iterations whether one of them got a signal. A second signal has its usual effect.
    `stopped` says whether the run was ended so.
    """

    stopped = False

    def __init__(self, every: int) -> None:
        self.every, self._received = every, False
        self._before: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, gan: GAN) -> None:  # type: ignore[override]
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}

    def on_train_batch_end(self, trainer: pl.Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        stop = self._received
        if trainer.world_size > 1:  # all at the same iteration, or they would wait for each other forever
            stop = gan.iteration % self.every == 0 and trainer.strategy.reduce_boolean_decision(stop, all=False)
        if stop:
            self.stopped = trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, gan: GAN) -> None:  # type: ignore[override]
        self._restore()

    def on_exception(self, trainer: pl.Trainer, gan: GAN, exception: BaseException) -> None:  # type: ignore[override]
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._received = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
