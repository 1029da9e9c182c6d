"""The training curves, and the end of a run that has diverged."""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch.nn.functional import logsigmoid

from ganlab.game.module import GAN
from ganlab.observers.observer import Clock, Observer, record


class Log(Observer):
    """Writes `train/...` rows. Nothing is read from the device between two of them.

    A loss that is not finite stops the run on all ranks; `diverged_at` is then the iteration at which it was seen.
    """

    rank_zero_only = False

    def __init__(self, every: int, clock: Clock) -> None:
        super().__init__(every, clock)
        self.diverged_at: int | None = None
        self._seconds: float = 0.0

    def on_train_start(self, trainer: pl.Trainer, gan: GAN) -> None:  # type: ignore[override]
        self.clock.start(self._seconds)

    def observe(self, trainer: pl.Trainer, gan: GAN) -> None:
        values = statistics(gan)
        record(trainer, gan, self.clock, values)
        finite = all(math.isfinite(value) for value in values.values())
        if not trainer.strategy.reduce_boolean_decision(finite, all=True):
            self.diverged_at = gan.iteration
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.clock.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._seconds = state_dict["seconds"]


def statistics(gan: GAN) -> dict[str, float]:
    """The newest minibatch's losses, the paper's V(D, G) in nats whatever the loss, D's mean output on both
    sides, and the learning rates."""
    D, G = gan.D_terms, gan.G_terms
    values = {
        "train/loss_D": D.loss,
        "train/loss_G": G.loss,
        "train/penalty": D.penalty,
        "train/V": logsigmoid(D.seen.on_x).mean() + logsigmoid(-D.seen.on_fake).mean(),
        "train/D_real": D.seen.on_x.sigmoid().mean(),
        "train/D_fake": D.seen.on_fake.sigmoid().mean(),
    }
    if len(gan.terms) > 1:  # one by one, those that were due
        values |= {f"train/penalty_{name}": value for terms in (D, G) for name, value in terms.penalties.items()}
    if G.penalties:
        values["train/penalty_G"] = G.penalty
    read = dict(zip(values, torch.stack([v.detach().float() for v in values.values()]).tolist(), strict=True))  # one sync
    return read | dict(zip(("train/lr_G", "train/lr_D"), gan.rates, strict=True))
