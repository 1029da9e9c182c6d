"""What an observer is, and what it sees."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ganlab.errors import at_least_one
from ganlab.files.status import Status
from ganlab.game.module import GAN
from ganlab.types import Source


class View(NamedTuple):
    """The game at one moment, all nets in evaluation mode."""

    t: int  # iterations done
    last: bool  # the budget is used up
    game: GAN
    source: Source  # p_data, where the networks are
    device: torch.device
    save: Callable[[Path], OSError | None]  # a checkpoint, and before it the rows until here; for all ranks to call. Gives
    # what kept it from being written
    show: Callable[[str, Path], None]  # a picture, under a key, to all loggers


class Observer:
    """Looks at the game every `every` iterations and after the last one. It changes nothing, and draws from no generator that
    training uses."""

    everywhere = False  # on all ranks; otherwise on the first
    again = True  # whether what it sees can be seen again by whoever goes on from a checkpoint; a signal has it put off
    parting = False  # whether it looks where a signal has ended the run, too
    reason = ""  # why it has ended the run
    ends: Status | None = None  # how a run ends that it has ended; None for one that ends none

    def __init__(self, every: int) -> None:
        at_least_one(every=every)
        self.every = every

    @abstractmethod
    def observe(self, view: View) -> Mapping[str, float]:
        """Values for the row of this iteration, by their columns: {"eval/modes": 8.0}."""

    @property
    def name(self) -> str:
        """Under which checkpoints keep its state: no two observers of a run may share it."""
        return type(self).__name__

    def next_due(self, t: int) -> int:
        """The first iteration after t at which it looks of itself; a pure function, the same on all ranks."""
        return t - t % self.every + self.every

    def due(self, t: int) -> bool:
        return self.next_due(t - 1) == t

    def begin(self, t: int) -> None:
        """Where it looks, before the first iteration of this process, when t are done."""

    def at_start(self, t: int) -> bool:
        """Whether it looks there, too."""
        return False

    def stop(self) -> bool:
        """Whether the run is to be ended; asked after each look, where it has `ends`, on all ranks."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint has to keep of it."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...
