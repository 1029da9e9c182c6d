"""The training curves, and the end of a run that has diverged."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ganlab.files.status import Status
from ganlab.game.module import GAN
from ganlab.observers.observer import Observer, View
from ganlab.precision import working


class Log(Observer):
    """Writes `train/...` rows. Nothing is read from the device between two of them. A loss, weights or an optimizer's state
    that is not finite ends the run: what a step makes of it is nothing any more."""

    everywhere = True  # a loss is that of a rank's own share
    ends = Status.DIVERGED
    again = False  # the newest minibatch is not kept

    def __init__(self, every: int) -> None:
        super().__init__(every)
        self.finite, self.good = True, 0  # the newest iteration at which all was well

    def begin(self, t: int) -> None:
        self.good = t

    def observe(self, view: View) -> dict[str, float]:
        values, largest = statistics(view.game)
        wrong = [f"{name.removeprefix('train/')} is {value}" for name, value in values.items() if not math.isfinite(value)]
        wrong += [f"the largest number in {name} is {value}" for name, value in largest.items() if not math.isfinite(value)]
        self.finite = not wrong
        if wrong:
            self.reason = f"between iterations {self.good:,} and {view.t:,}: {wrong[0]}"
        else:
            self.good = view.t
        return values

    def stop(self) -> bool:
        return not self.finite


def statistics(gan: GAN) -> tuple[dict[str, float], dict[str, float]]:
    """The newest minibatch's losses, the paper's V(D, G) in nats whatever the loss, D's mean output on both sides, the
    learning rates, and what else moves; and the largest number in weights and optimizers' states."""
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
    largest = {f"{name}'s weights": _largest(weights) for name, weights in (("G", gan.weights_G), ("D", gan.weights_D))}
    for name, optimizer in (("G", gan.opt_G), ("D", gan.opt_D)):
        states = [value for state in optimizer.state.values() for value in state.values()]
        largest[f"{name}'s optimizer"] = _largest([value for value in states if torch.is_tensor(value) and value.dim()])
    every = [working(v.detach()) for v in (values | {k: v for k, v in largest.items() if v is not None}).values()]
    read = torch.stack(every).tolist()  # one sync
    rates = {"train/lr_G": gan.opt_G, "train/lr_D": gan.opt_D}  # of their first parameter groups
    row = dict(zip(values, read, strict=False)) | {name: each.param_groups[0]["lr"] for name, each in rates.items()}
    row |= {f"train/{key}": value for key, value in gan.numbers.at.items()}
    return row, dict(zip([k for k, v in largest.items() if v is not None], read[len(values) :], strict=True))


def _largest(tensors: Sequence[Tensor]) -> Tensor | None:
    """The largest absolute value in all of them; NaN where there is one."""
    floats = [tensor.detach() for tensor in tensors if tensor.is_floating_point() and tensor.numel()]
    return torch.stack([working(each) for each in torch._foreach_norm(floats, torch.inf)]).amax() if floats else None


def _total(gan: GAN, player: str) -> Tensor:
    """The newest values of all terms of a player."""
    own = [value for name, value in gan.now.penalties.items() if gan.players.terms[name].of == player]
    return torch.stack(own).sum() if own else gan.now.D_terms.loss.new_zeros(())
