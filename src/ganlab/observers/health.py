"""Signs of a sick game: what D knows by heart, how alike samples are, how large the gradients."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ganlab.errors import at_least_one
from ganlab.files.status import Status
from ganlab.files.verdict import COLLAPSED
from ganlab.observers.observer import Observer, View
from ganlab.precision import working
from ganlab.random import generator_of
from ganlab.types import Source


class Health(Observer):
    """Every few iterations, as `health/...`, from n training examples, n samples of G, and n examples that D has never seen,
    where the data have a split of those.

    accuracy, accuracy_held_out     of D at telling data from samples; 0.5 is chance; only where D's output is a logit, as is V
    logit_gap                       its mean output on training examples less that on held-out ones; 0: it knows none by heart
    V                               the paper's V(D, G) [nats] on n examples and n samples
    diversity                       the mean distance between two samples over that between two examples; 0: all alike
    gradient_D, gradient_G          norms of the gradients in the newest step of each net

    With `patience`, a game in which samples were alike so many times in a row is ended.
    """

    again = False  # nor are the newest gradients kept

    def __init__(self, every: int, n: int, seed: int, held_out: Source | None, patience: int | None = None) -> None:
        super().__init__(every)
        at_least_one(n=n)
        self.n, self.seed, self.held_out, self.patience = n, seed, held_out, patience
        self.ends = None if patience is None else Status.COLLAPSED
        self.alike = 0  # readings in a row
        self.last = False

    @torch.no_grad()
    def observe(self, view: View) -> dict[str, float]:
        gan, device = view.game, view.device
        m = getattr(gan.D, "m", 1)
        n = max(m, self.n - self.n % m)  # of packs, whole ones, and one at least
        real, y = view.source.sample(n, generator_of(self.seed, "health", device=device))
        z = gan.prior.sample(n, generator_of(self.seed, "health", 1, device=device))
        fake = working(gan.G(z, y))
        on_real, on_fake = (working(gan.players.on(x, y)[0]) for x in (real, fake))  # [n / m]
        values = {"diversity": _spread(fake) / _spread(real)}
        if gan.now.looked_at:  # and not first looked at when it is over
            values |= {f"gradient_{net}": norm for net, norm in gan.now.gradient_norms.items()}
        logit = bool(getattr(gan.loss, "is_V", False))
        if logit:
            V = logsigmoid(on_real).mean() + logsigmoid(-on_fake).mean()
            values |= {"accuracy": _accuracy(on_real, on_fake), "V": V}
        if self.held_out is not None:
            self.held_out = self.held_out.to(device)
            unseen, y = self.held_out.sample(n, generator_of(self.seed, "health", 2, device=device))
            on_unseen = working(gan.players.on(unseen, y)[0])
            values |= {"logit_gap": on_real.mean() - on_unseen.mean()}
            values |= {"accuracy_held_out": _accuracy(on_unseen, on_fake)} if logit else {}
        read = torch.stack([working(value) for value in values.values()]).tolist()
        if math.isfinite(read[0]) and self.due(view.t):
            self.alike = self.alike + 1 if read[0] < COLLAPSED else 0
        self.last = view.last
        self.reason = f"at iteration {view.t:,}: samples are alike in {self.alike} looks"
        return {f"health/{name}": value for name, value in zip(values, read, strict=True)}

    def stop(self) -> bool:
        return self.patience is not None and self.alike >= self.patience and not self.last  # that is completed

    def state_dict(self) -> dict[str, Any]:
        return {"alike": self.alike}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.alike = state["alike"]


def _accuracy(real: Tensor, fake: Tensor) -> Tensor:
    return ((real > 0).float().mean() + (fake < 0).float().mean()) / 2


def _spread(x: Tensor) -> Tensor:
    """The mean distance between two of the first 500 points [n, *S]."""
    return torch.pdist(x.flatten(1)[:500]).mean()
