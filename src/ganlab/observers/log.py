"""The training curves, and the end of a run that has diverged."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ganlab.files.status import Status
from ganlab.game.module import GAN
from ganlab.observers.observer import Observer, View


class Log(Observer):
    """Writes `train/...` rows. Nothing is read from the device between two of them. A loss that is not finite ends the run."""

    everywhere = True  # a loss is that of a rank's own share
    ends = Status.DIVERGED

    def __init__(self, every: int) -> None:
        super().__init__(every)
        self.finite = True

    def observe(self, view: View) -> dict[str, float]:
        values = statistics(view.game)
        self.finite = all(math.isfinite(value) for value in values.values())
        return values

    def stop(self) -> bool:
        return not self.finite


def statistics(gan: GAN) -> dict[str, float]:
    """The newest minibatch's losses, the paper's V(D, G) in nats whatever the loss, D's mean output on both
    sides, the learning rates, and what else moves."""
    D, G = gan.now.D_terms, gan.now.G_terms
    values = {
        "train/loss_D": D.loss,
        "train/loss_G": G.loss,
        "train/penalty": _total(gan, "D"),
        "train/V": logsigmoid(D.seen.on_x).mean() + logsigmoid(-D.seen.on_fake).mean(),
        "train/D_real": D.seen.on_x.sigmoid().mean(),
        "train/D_fake": D.seen.on_fake.sigmoid().mean(),
    }
    values |= {f"train/{name}": value for terms in (D, G) for name, value in terms.said.items()}  # of an objective
    if len(gan.terms) > 1:  # one by one
        values |= {f"train/penalty_{name}": value for name, value in gan.now.penalties.items()}
    if any(term.of == "G" for term in gan.players.terms.values()):
        values["train/penalty_G"] = _total(gan, "G")
    values |= {f"train/{name}": value for name, value in gan.augment.readings().items()}
    read = dict(zip(values, torch.stack([v.detach().float() for v in values.values()]).tolist(), strict=True))  # one sync
    rates = {"train/lr_G": gan.opt_G, "train/lr_D": gan.opt_D}  # of their first parameter groups
    read |= {name: optimizer.param_groups[0]["lr"] for name, optimizer in rates.items()}
    return read | {f"train/{key}": value for key, value in gan.numbers.at.items()}


def _total(gan: GAN, player: str) -> Tensor:
    """The newest values of all terms of a player."""
    own = [value for name, value in gan.now.penalties.items() if gan.players.terms[name].of == player]
    return torch.stack(own).sum() if own else gan.now.D_terms.loss.new_zeros(())
