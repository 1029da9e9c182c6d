"""Where observers meet Lightning: when each looks, at what, on which rank, and where its values go."""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from ganlab.errors import Abandoned
from ganlab.files.status import Status
from ganlab.game.module import GAN
from ganlab.loggers.base import RunLogger
from ganlab.observers.clock import Clock
from ganlab.observers.observer import Observer, View
from ganlab.signals import ABANDON, NOTE, SIGNALS

log = logging.getLogger(__name__)


class Observation(pl.Callback):
    """Shows the game to observers, in their order, while `clock`, that of training, stands.

    `seconds` is what each has cost so far. Where one of them has ended the run, `ended` says how, `ended_at` after which
    iteration and `why`. After a signal only those look that nobody could make up for, and a checkpoint is written; the others
    are `put_off`: the checkpoint names them, and whoever goes on from it begins with their looks, so that a run leaves the same
    records whether or not it was interrupted.
    """

    def __init__(self, observers: Sequence[Observer], iterations: int, loggers: Sequence[RunLogger]) -> None:
        self.observers, self.iterations, self.loggers = observers, iterations, loggers
        self.clock = Clock()
        self.seconds = {observer.name: 0.0 for observer in observers}
        if len(self.seconds) < len(observers):
            raise ValueError(f"two observers have one name: {', '.join(observer.name for observer in observers)}")
        self.ended: Status | None = None
        self.ended_at: int | None = None
        self.why = ""
        self.put_off: list[str] = []
        self.threads: int | None = None  # of the process that wrote the checkpoint that this one goes on from
        self._full: set[str] = set()

    def next_look(self, t: int) -> int:
        """The first iteration after t that somebody wants to look at, on any rank: all have to come to it."""
        return min([self.iterations, *(observer.next_due(t) for observer in self.observers)])

    def on_train_start(self, trainer: pl.Trainer, gan: GAN) -> None:  # type: ignore[override]
        gan.next_look = self.next_look
        self.clock.start()
        self._begin(trainer, gan)

    def on_fit_end(self, trainer: pl.Trainer, gan: GAN) -> None:  # type: ignore[override]
        if self.put_off and not self.clock.started:  # there was nothing left to train
            self._begin(trainer, gan)

    def _begin(self, trainer: pl.Trainer, gan: GAN) -> None:
        if self.threads not in (None, threads := torch.get_num_threads()) and gan.device.type == "cpu":
            log.warning("this run had %d threads until here and goes on with %d: not bit for bit, as sums change their order",
                        self.threads, threads)  # fmt: skip
        for observer in self.observers:
            if trainer.is_global_zero or observer.everywhere:
                observer.begin(gan.t)
        late, self.put_off = {*self.put_off}, []
        self._show(trainer, gan, lambda observer: observer.name in late or observer.at_start(gan.t))

    def on_train_batch_end(self, trainer: pl.Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        t = gan.t
        if trainer.should_stop or self.next_look(t - 1) == t:
            # an observer that ends the run makes this the last look of those after it
            self._show(trainer, gan, lambda observer: observer.due(t) or t == self.iterations or self.ended is not None,
                       trainer.should_stop)  # fmt: skip

    def _show(self, trainer: pl.Trainer, gan: GAN, wants: Callable[[Observer], bool], leaving: bool = False) -> None:
        """`leaving`: after a signal."""
        if gan.device.type == "cuda":
            torch.cuda.synchronize(gan.device)  # iterations that are still queued are training time
        view = self._view(trainer, gan)
        with self.clock.stopped(), evaluation(gan.G, gan.D, gan.G_ema):
            for observer in self.observers:
                if observer.parting and leaving:
                    self._look(trainer, observer, view)
                elif not wants(observer):
                    continue
                elif leaving and observer.again:
                    self.put_off.append(observer.name)
                elif not self._look(trainer, observer, view):
                    self.put_off.append(observer.name)
                    leaving = trainer.should_stop = True

    def _view(self, trainer: pl.Trainer, gan: GAN) -> View:
        t = gan.t

        def save(path: Path) -> OSError | None:
            for logger in self.loggers:
                logger.save()  # whoever goes on from the checkpoint has the rows until there, even after SIGKILL
            trainer.save_checkpoint(path)
            return getattr(getattr(trainer.strategy, "checkpoint_io", None), "problem", None)

        def show(key: str, path: Path) -> None:
            with SIGNALS.doing(NOTE):
                for logger in self.loggers:
                    logger.log_picture(key, path, t)

        source = trainer.datamodule.source  # type: ignore[attr-defined]
        return View(t, t == self.iterations, gan, source, gan.device, save, show)

    def _look(self, trainer: pl.Trainer, observer: Observer, view: View) -> bool:
        """Whether it could: a signal has it broken off where it can be done again, and no other process waits for this one."""
        if trainer.is_global_zero or observer.everywhere:
            started, kept = time.perf_counter(), pickle.dumps(observer.state_dict())  # a tenth of the time of deepcopy
            values: Mapping[str, float] = {}
            try:
                with SIGNALS.doing(ABANDON if observer.again and trainer.world_size == 1 else SIGNALS.mode):
                    values = observer.observe(view)
            except Abandoned:
                observer.load_state_dict(pickle.loads(kept))
                return False
            except OSError as error:
                self._warn(observer.name, error)
            if values and trainer.is_global_zero:
                self._record(view.game, values)
            self.seconds[observer.name] += time.perf_counter() - started
        if observer.ends and trainer.strategy.reduce_boolean_decision(observer.stop(), all=False):  # one of the ranks knows
            trainer.should_stop = True
            if not self.ended:
                self.ended, self.ended_at, self.why = observer.ends, view.t, observer.reason
        return True

    def _warn(self, name: str, error: OSError) -> None:
        if name not in self._full:
            log.warning("%s could not write (%s): training goes on; make room", name, error.strerror or error)
        self._full.add(name)

    def _record(self, gan: GAN, values: Mapping[str, float]) -> None:
        """One row, with the counters of the moment, to every logger; rows of one iteration are merged by the run's table."""
        row = {**gan.counters(), "seconds": round(self.clock.seconds, 3), **values}
        for logger in self.loggers:
            logger.log_metrics(row, step=gan.t)

    def state_dict(self) -> dict[str, Any]:
        states = {observer.name: state for observer in self.observers if (state := observer.state_dict())}
        return {"seconds": self.clock.seconds, "spent": dict(self.seconds), "states": states, "put_off": list(self.put_off),
                "threads": torch.get_num_threads()}  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.clock = Clock(state_dict["seconds"])
        self.put_off, self.threads = list(state_dict.get("put_off", ())), state_dict.get("threads")
        for observer in self.observers:
            self.seconds[observer.name] = state_dict["spent"].get(observer.name, 0.0)
            if observer.name in state_dict["states"]:
                observer.load_state_dict(state_dict["states"][observer.name])


@contextmanager
def evaluation(*nets: nn.Module) -> Iterator[None]:
    """All nets in evaluation mode; afterwards, whatever happens, each part of them in its own mode of before."""
    before = [(module, module.training) for net in nets for module in net.modules()]
    for net in nets:
        net.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def of_one_entry(callbacks: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint keeps of callbacks; in older ones each observer was a callback, and the clock was Log's."""
    if "Log" not in callbacks:
        return callbacks
    spent = {name: state["seconds"] for name, state in callbacks.items() if name != "Log" and "seconds" in state}
    states = {name: state for name, state in callbacks.items() if name != "Log"}
    return {Observation.__name__: {"seconds": callbacks["Log"]["seconds"], "spent": spent, "states": states}}
