"""`schedule.numbers`: which number of the game each of its schedules moves, and whether it is one that may be moved so."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch.optim import Optimizer

from ganlab.errors import UserError
from ganlab.game.numbers import BETAS, InPart, Numbers, OnHost, Schedule, Slot, slots_of, slots_of_optimizer
from ganlab.game.schedules import looked_at
from ganlab.run.config import build
from ganlab.run.parts import average_of
from ganlab.settings import Node, Settings

KEY = "schedule.numbers"


def numbers_of(
    settings: Settings, parts: Mapping[str, Any], optimizers: Mapping[str, Optimizer], asked: Mapping[str, Any]
) -> Numbers:
    """The moving numbers of the parts of a game, by their groups (`penalty`: terms by their names); the objective was made with
    what it `asked` for. Raises UserError for a name that is not there, with those that are, and for a value that the part would
    refuse."""
    moved: dict[str, tuple[Slot, Schedule]] = {}
    known = dict(_slots(parts, optimizers)) if settings.schedule.numbers else {}
    for key, node in _leaves(settings.schedule.numbers, KEY):
        if key not in known:
            raise UserError(f"{KEY}.{key}: there is no such number; what can move is {', '.join(_near(key, known))}")
        schedule = build(node, f"{KEY}.{key}")
        slot = known[key]
        fades = isinstance(slot, InPart) and slot.name in getattr(slot.part, "fades", ())
        for t in _extremes(settings, key, schedule, fades):
            _checked(settings, key, schedule(t), t, asked)
        moved[key] = slot, schedule
    return Numbers(moved)


def _near(key: str, known: Iterable[str]) -> list[str]:
    """Those of the same group, of one optimizer if it is one; of all groups if it has none."""
    group = ".".join(key.split(".")[: 2 if key.startswith("optim") else 1])
    names = [*known]
    return [name for name in names if name.startswith(f"{group}.")] or [
        name for name in names if not name.startswith("optim.G")
    ]


def _slots(parts: Mapping[str, Any], optimizers: Mapping[str, Optimizer]) -> Iterator[tuple[str, Slot]]:
    for group, part in parts.items():
        for name, one in part.items() if isinstance(part, Mapping) else [("", part)]:
            kind = {"kind": OnHost} if group == "average" else {}
            own = [(rest, slot) for rest, slot in slots_of(one, **kind) if group != "adjust" or not rest.startswith("loss.")]
            yield from ((".".join(filter(None, [group, name, rest])), slot) for rest, slot in own)
    for player, optimizer in optimizers.items():
        yield from ((f"optim.{player}.{rest}", slot) for rest, slot in slots_of_optimizer(optimizer))


def _leaves(tree: Any, key: str) -> Iterator[tuple[str, Node]]:
    """(dotted key, node) for each schedule."""
    for name, node in (tree or {}).items():
        if not isinstance(node, Mapping):
            raise UserError(f"{key}.{name} = {node!r} is no schedule: give a mapping with a _target_, as in conf/schedule")
        if "_target_" in node:
            yield str(name), dict(node)
        else:
            yield from ((f"{name}.{rest}", leaf) for rest, leaf in _leaves(node, f"{key}.{name}"))


def _extremes(settings: Settings, key: str, schedule: Schedule, fades: bool) -> list[int]:
    """Iterations, the first among them, of the least and the largest value: what a part allows is an interval, and 0 if it
    `fades`."""
    values = dict[int, float]()
    for t in looked_at(settings.iterations):
        value: Any = schedule(t)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            told = f"{KEY}.{key}, which at iteration {t} is {value!r}"
            raise UserError(f"{told}, is no number: choose a class of ganlab.game.schedules")
        if value or t == 0 or not fades:
            values[t] = value
    return [*dict.fromkeys([0, min(values, key=values.__getitem__), max(values, key=values.__getitem__)])]


def _checked(settings: Settings, key: str, value: Any, t: int, asked: Mapping[str, Any]) -> None:
    """What the part's own constructor says of the value at iteration t."""
    told = f"{KEY}.{key}, which at iteration {t} is {value:g}"
    group, *way, name = key.split(".")
    node: Any = getattr(settings, group)
    for word in way:
        node = getattr(node, word, None) or node[word]
    given: dict[str, Any] = {}
    if group == "optim":
        given["params"] = [torch.zeros(1, requires_grad=True)]
        if name in BETAS:
            betas = list(node["betas"])
            betas[BETAS.index(name)] = value
            name, value = "betas", betas
    elif group == "adjust":
        given["loss"] = build(settings.loss, "loss")
    elif group == "objective":
        given |= asked
    try:
        if group == "average":
            average_of({**settings.model_dump(), "average": {**node, name: value}})
        else:
            build({**node, name: value}, key, **given)
    except UserError as error:
        raise UserError(f"{told}: {error}") from error
