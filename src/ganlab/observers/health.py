"""Signs of a sick game: what D knows by heart, how alike samples are, how large the gradients."""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ganlab.errors import at_least_one
from ganlab.files.verdict import COLLAPSED
from ganlab.game.module import GAN
from ganlab.observers.observer import Clock, Observer, record, source_of
from ganlab.random import generator_of
from ganlab.types import Source


class Health(Observer):
    """Every few iterations, as `health/...`, from n training examples, n samples of G, and n examples that D has never seen,
    where the data have a split of those; both nets in evaluation mode.

    accuracy, accuracy_held_out     of D at telling data from samples; 0.5 is chance; only where D's output is a logit, as is V
    logit_gap                       its mean output on training examples less that on held-out ones; 0: it knows none by heart
    V                               the paper's V(D, G) [nats] on n examples and n samples
    diversity                       the mean distance between two samples over that between two examples; 0: all alike
    gradient_D, gradient_G          norms of the gradients in the newest step of each net

    With `patience`, a game in which samples were alike so many times in a row is ended: `collapsed` is then true.
    """

    collapsed = False

    def __init__(
        self, every: int, clock: Clock, n: int, seed: int, held_out: Source | None, patience: int | None = None
    ) -> None:
        super().__init__(every, clock)
        at_least_one(n=n)
        self.n, self.seed, self.held_out, self.patience = n, seed, held_out, patience
        self.alike = 0  # readings in a row

    def on_train_batch_start(self, trainer: pl.Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        t = gan.iteration + 1
        gan.watched = self.due(t) or t == trainer.max_steps

    def on_train_batch_end(self, trainer: pl.Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        super().on_train_batch_end(trainer, gan)
        if self.patience is None or not self.due(gan.iteration) or gan.iteration >= trainer.max_steps:
            return
        if trainer.strategy.reduce_boolean_decision(self.alike >= self.patience, all=False):  # rank 0 knows
            self.collapsed = trainer.should_stop = True

    @torch.no_grad()
    def observe(self, trainer: pl.Trainer, gan: GAN) -> None:
        n, device = self.n - self.n % gan.pack, gan.device
        real, y = source_of(trainer).sample(n, generator_of(self.seed, "health", device=device))
        z = gan.prior.sample(n, generator_of(self.seed, "health", 1, device=device))
        G_trains, D_trains = gan.G.training, gan.D.training
        gan.G.eval(), gan.D.eval()
        fake = gan.G(z, y).float()
        on_real, on_fake = (gan.logits(x, y).float() for x in (real, fake))  # [n / m]
        values = {"diversity": _spread(fake) / _spread(real)}
        if gan.watched:  # and not stopped in an iteration that nobody expected to be the last
            values |= {f"gradient_{net}": norm for net, norm in gan.gradient_norms.items()}
        logit = bool(getattr(gan.loss, "is_V", False))
        if logit:
            V = logsigmoid(on_real).mean() + logsigmoid(-on_fake).mean()
            values |= {"accuracy": _accuracy(on_real, on_fake), "V": V}
        if self.held_out is not None:
            self.held_out = self.held_out.to(device)
            unseen, y = self.held_out.sample(n, generator_of(self.seed, "health", 2, device=device))
            on_unseen = gan.logits(unseen, y).float()
            values |= {"logit_gap": on_real.mean() - on_unseen.mean()}
            values |= {"accuracy_held_out": _accuracy(on_unseen, on_fake)} if logit else {}
        gan.G.train(G_trains), gan.D.train(D_trains)
        read = torch.stack([value.float() for value in values.values()]).tolist()
        record(trainer, gan, self.clock, {f"health/{name}": value for name, value in zip(values, read, strict=True)})
        if math.isfinite(read[0]) and self.due(gan.iteration):  # and not where a signal has stopped it
            self.alike = self.alike + 1 if read[0] < COLLAPSED else 0

    def state_dict(self) -> dict[str, Any]:
        return {"alike": self.alike}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.alike = state_dict["alike"]


def _accuracy(real: Tensor, fake: Tensor) -> Tensor:
    return ((real > 0).float().mean() + (fake < 0).float().mean()) / 2


def _spread(x: Tensor) -> Tensor:
    """The mean distance between two of the first 500 points [n, *S]."""
    return torch.pdist(x.flatten(1)[:500]).mean()
