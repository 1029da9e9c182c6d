"""Tensors of several games as rows of the same ones, and the optimizers that step them."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ganlab.game.module import GAN
from ganlab.game.quick import forget, quicken
from ganlab.networks.weights import trained_by


def stacked(each: Sequence[Mapping[str, Tensor]]) -> dict[str, Any]:
    """The tensors of all games by their names, [R, ...], of which each game's own become views."""
    stacks: dict[str, Any] = {}
    for name, one in each[0].items():
        stack = torch.stack([tensors[name].detach() for tensors in each])
        for tensors, row in zip(each, stack, strict=True):
            tensors[name].data = row
        stacks[name] = nn.Parameter(stack, one.requires_grad) if isinstance(one, nn.Parameter) else stack
    return stacks


def kind_of(game: GAN) -> str:
    """The numbers of its optimizers, in writing."""
    groups = [group for optimizer in (game.opt_G, game.opt_D) for group in optimizer.param_groups]
    known = [{key: value for key, value in group.items() if key not in ("params", "lr")} for group in groups]
    return repr((game._rates, game.slower, known))


class Alike(NamedTuple):
    """Games whose optimizers have the same numbers, neighbours in the stack, and one optimizer for all of them."""

    rows: slice
    games: list[GAN]
    optimizer: Optimizer


class Optimizers:
    """The optimizers of a player, "G" or "D", in all games as one. `of` has the stacked weights by the ids of those of the
    first game; `weights` are those that are trained."""

    def __init__(self, games: Sequence[GAN], player: str, of: Mapping[int, nn.Parameter], weights: list[nn.Parameter]) -> None:
        self.player, self.weights, self.parts = player, weights, list[Alike]()
        begin = 0
        for _, alike in groupby(games, key=kind_of):
            part = list(alike)
            rows = slice(begin, begin + len(part))
            begin = rows.stop
            self.parts.append(self._part(games[0], part, rows, of, whole=len(part) == len(games)))

    def _part(self, first: GAN, games: list[GAN], rows: slice, of: Mapping[int, nn.Parameter], whole: bool) -> Alike:
        one = self._own(games[0])
        optimizer = copy.copy(one)
        optimizer.state = defaultdict(dict)
        optimizer.param_groups = []
        for group, its in zip(self._own(first).param_groups, one.param_groups, strict=True):
            stacks = [of[id(p)] for p in group["params"]]
            kept = stacks if whole else [nn.Parameter(w.detach()[rows], w.requires_grad) for w in stacks]
            optimizer.param_groups.append({**its, "params": kept})
        part = Alike(rows, games, optimizer)
        for w, owners in self._owners(part):
            states = [self._own(game).state.get(p, {}) for game, p in owners]
            if all(states):
                optimizer.state[w] = {key: _joined(key, [state[key] for state in states]) for key in states[0]}
        quicken(optimizer)
        return part

    def _own(self, game: GAN) -> Optimizer:
        return game.opt_G if self.player == "G" else game.opt_D

    def _owners(self, part: Alike) -> Iterator[tuple[Tensor, list[tuple[GAN, Tensor]]]]:
        """(rows of a weight, whose each is)."""
        for i, group in enumerate(part.optimizer.param_groups):
            for j, w in enumerate(group["params"]):
                yield w, [(game, self._own(game).param_groups[i]["params"][j]) for game in part.games]

    def follow(self) -> None:
        """Take the numbers that each part's first game has now."""
        for part in self.parts:
            for group, its in zip(part.optimizer.param_groups, self._own(part.games[0]).param_groups, strict=True):
                group |= {key: value for key, value in its.items() if key != "params"}

    def step(self, step: Callable[[Optimizer], Any] = lambda optimizer: optimizer.step()) -> None:
        for part in self.parts:
            if len(self.parts) > 1:  # its weights are views, which have no gradients of their own
                for mine, w in zip(trained_by(part.optimizer), self.weights, strict=True):
                    mine.grad = None if w.grad is None else w.grad[part.rows]
            step(part.optimizer)

    def zero_grad(self) -> None:
        forget(self.weights)

    def publish(self) -> None:
        """To each game the state of its own optimizer."""
        for part in self.parts:
            for w, owners in self._owners(part):
                state = part.optimizer.state.get(w, {})
                for i, (game, p) in enumerate(owners if state else ()):  # and to weights without one none, as alone
                    self._own(game).state[p] = {key: _row(key, value, i) for key, value in state.items()}


COUNTS = ("step", "mu_product")  # of what optimizers keep of a weight: the same for all games, everything else is as the weight


def _joined(name: str, values: Sequence[Any]) -> Any:
    """What optimizers keep of the same weight, as rows."""
    first = values[0]
    if not isinstance(first, Tensor):
        return first
    return first.clone() if name in COUNTS else torch.stack(list(values))


def _row(name: str, value: Any, i: int) -> Any:
    return value[i] if isinstance(value, Tensor) and name not in COUNTS else value
