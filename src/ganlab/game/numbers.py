"""Numbers of parts that move over a run: gamma of a penalty, the std of noise, Adam's beta2. A schedule gives the value itself,
which is a pure function of the iteration: no checkpoint holds it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Schedule = Callable[[int], float]


class Slot(Protocol):
    """Where a number lives."""

    def open(self) -> None:
        """Get ready to be written to."""

    def write(self, value: float) -> None: ...


class InPart(NamedTuple):
    """An attribute of a part that enters the math of the device: a tensor that is filled in place, so that a captured graph
    reads the newest value."""

    part: Any
    name: str

    def open(self) -> None:
        value = torch.tensor(float(getattr(self.part, self.name)))
        if isinstance(self.part, nn.Module):
            delattr(self.part, self.name)
            self.part.register_buffer(self.name, value, persistent=False)
        else:
            object.__setattr__(self.part, self.name, value)  # losses are frozen

    def write(self, value: float) -> None:
        getattr(self.part, self.name).fill_(value)

    def to(self, device: torch.device) -> None:
        if not isinstance(self.part, nn.Module):  # which has moved with the game
            object.__setattr__(self.part, self.name, getattr(self.part, self.name).to(device))


class OnHost(NamedTuple):
    """An attribute that only the host reads."""

    part: Any
    name: str

    def open(self) -> None:
        return

    def write(self, value: float) -> None:
        setattr(self.part, self.name, value)


class InOptimizer(NamedTuple):
    """A number of all parameter groups; beta1 and beta2 are those of `betas`."""

    optimizer: Optimizer
    name: str

    def open(self) -> None:
        return

    def write(self, value: float) -> None:
        for group in self.optimizer.param_groups:
            if self.name in BETAS:
                betas = list(group["betas"])
                betas[BETAS.index(self.name)] = value
                group["betas"] = tuple(betas)
            else:
                group[self.name] = value


BETAS = ("beta1", "beta2")


def slots_of(part: Any, kind: Callable[[Any, str], Slot] = InPart) -> Iterator[tuple[str, Slot]]:
    """(dotted name, slot) for each number of a part: what its constructor takes, keeps under the same name, and is a float; of
    parts that it was given, too. A class names in `fixed` what has to stay, as what decides a shape, and in `fades` what may
    come to 0, where nothing is left of it, though it cannot be made so."""
    for name in inspect.signature(type(part)).parameters:
        value = getattr(part, name, None)
        if isinstance(value, float) and name not in getattr(part, "fixed", ()):
            yield name, kind(part, name)
        elif isinstance(value, Mapping | nn.ModuleDict):
            for key, inner in value.items():
                yield from ((f"{name}.{key}.{rest}", slot) for rest, slot in slots_of(inner, kind))
        elif hasattr(value, "__dict__") and not inspect.isroutine(value) and not isinstance(value, Tensor):
            yield from ((f"{name}.{rest}", slot) for rest, slot in slots_of(value, kind))


def slots_of_optimizer(optimizer: Optimizer) -> Iterator[tuple[str, Slot]]:
    """All numbers but the learning rate, which has a schedule of its own."""
    group = optimizer.param_groups[0]
    names = [name for name, value in group.items() if isinstance(value, int | float) and not isinstance(value, bool)]
    names += BETAS if "betas" in group else ()
    yield from ((name, InOptimizer(optimizer, name)) for name in names if name not in ("lr", "initial_lr"))


class Numbers:
    """Those of a game that have a schedule, by their keys: `penalty.r1.gamma`."""

    def __init__(self, moved: Mapping[str, tuple[Slot, Schedule]] | None = None) -> None:
        self._moved = dict(moved or {})
        self.at: dict[str, float] = {}  # the values of the newest iteration
        for slot, _ in self._moved.values():
            slot.open()
        self.write(0)

    @property
    def slots(self) -> dict[str, Slot]:
        return {key: slot for key, (slot, _) in self._moved.items()}

    def write(self, t: int) -> None:
        """The values of iteration t, into their slots."""
        for key, (slot, schedule) in self._moved.items():
            self.at[key] = value = schedule(t)
            slot.write(value)

    def to(self, device: torch.device) -> None:
        for slot, _ in self._moved.values():
            if isinstance(slot, InPart):
                slot.to(device)
