"""A signal ends a run after the iteration at hand, with a checkpoint; several processes agree on which that is."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from ganlab.game.module import GAN
from ganlab.signals import NOTE, SIGNALS


class Interrupt(pl.Callback):
    """Stops training after the iteration in which a signal came; comes before the observers, which then see that it is over.

    Several processes agree every `every` iterations whether one of them got a signal. `stopped` says whether the run was ended
    so.
    """

    stopped = False

    def __init__(self, every: int) -> None:
        self.every = every

    def on_train_start(self, trainer: pl.Trainer, gan: GAN) -> None:  # type: ignore[override]
        SIGNALS.mode = NOTE

    def on_train_batch_end(self, trainer: pl.Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        stop = SIGNALS.received > 0
        if trainer.world_size > 1:  # all at the same iteration, or they would wait for each other forever
            stop = gan.t % self.every == 0 and trainer.strategy.reduce_boolean_decision(stop, all=False)
        if stop:
            self.stopped = trainer.should_stop = True
