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

    A second signal ends the process at once. Several processes would stop at different iterations and wait for each other
    forever, so that there Lightning's handling stays. `received` is the signal's name.
    """

    received: str | None = None

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, gan: GAN) -> None:  # type: ignore[override]
        if trainer.world_size == 1:
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}

    def on_train_batch_end(self, trainer: pl.Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        if self.received:
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, gan: GAN) -> None:  # type: ignore[override]
        self._restore()

    def on_exception(self, trainer: pl.Trainer, gan: GAN, exception: BaseException) -> None:  # type: ignore[override]
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
