"""Ctrl-C, a closed terminal and a cluster that wants its node back end a run at the next iteration, with a checkpoint."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType
from typing import Any

import pytorch_lightning as pl

from ganlab.game.module import GAN

AGAIN = 1.0  # seconds
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


class Interrupt(pl.Callback):
    """Stops training after the iteration in which a signal came; comes before the observers, which then look a last time.

    Several processes agree every `every` iterations whether one of them got a signal. A second one ends the process at once,
    unless it comes within a second of the first: a terminal and a cluster may both tell every process. What was ignored before,
    as SIGHUP under nohup, stays so. `stopped` says whether the run was ended so.
    """

    stopped = False

    def __init__(self, every: int) -> None:
        self.every, self._received = every, 0.0
        self._before: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, gan: GAN) -> None:  # type: ignore[override]
        for number in SIGNALS:
            if (before := signal.getsignal(number)) is not signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._note)

    def on_train_batch_end(self, trainer: pl.Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        stop = self._received > 0
        if trainer.world_size > 1:  # all at the same iteration, or they would wait for each other forever
            stop = gan.t % self.every == 0 and trainer.strategy.reduce_boolean_decision(stop, all=False)
        if stop:
            self.stopped = trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, gan: GAN) -> None:  # type: ignore[override]
        self._restore()

    def on_exception(self, trainer: pl.Trainer, gan: GAN, exception: BaseException) -> None:  # type: ignore[override]
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self._received:
            self._received = now
        elif now - self._received > AGAIN:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
