"""What a run leaves behind at its end: its result, figures, and a last word to its loggers."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from ganlab.errors import Abandoned
from ganlab.files.command import program
from ganlab.files.result import now, report, without_nan
from ganlab.files.run import RunDirectory
from ganlab.files.status import Status
from ganlab.files.verdict import verdict
from ganlab.game.module import GAN
from ganlab.loggers.base import RunLogger
from ganlab.loggers.table import RunTable
from ganlab.metrics.cards import short_of_published
from ganlab.observers.adapter import Observation
from ganlab.observers.evaluate import Evaluate
from ganlab.observers.measure import Measure
from ganlab.run.portfolio import redrawn
from ganlab.run.slower import Slower
from ganlab.settings import Settings
from ganlab.signals import ABANDON, SIGNALS

log = logging.getLogger(__name__)


class Ending:
    """Of an experiment, whose parts these are."""

    settings: Settings
    run: RunDirectory
    provenance: dict[str, Any]
    slower: Slower
    gan: GAN
    table: RunTable
    evaluate: Evaluate | None
    measure: Measure | None
    loggers: list[RunLogger]
    observation: Observation
    trainer: pl.Trainer
    draws = True  # figures of the whole run

    def _close(self, result: dict[str, Any]) -> None:
        """The result is written even where a figure or a logger fails: that is a warning, and not the end of the run. Of a run
        that a signal has ended it is written first, and no figures are drawn; one that goes on more slowly leaves none yet."""
        status = Status.of(result)
        if status is Status.DIVERGED and self.slower.times < self.settings.on_divergence.times:
            for logger in self.loggers:
                with _warned(f"{type(logger).__name__}"):
                    logger.close(result, [])
            return
        self.table.save()
        if status is Status.INTERRUPTED:
            self._write(result)
        figures: list[Path] = []
        path = shlex.quote(str(self.run.path))
        where = f"look       {self.run.figures}" if self.draws else f"look       ganlab figures {path} draws its figures"
        lines = [f"run        {self.run.path}", where]
        if far := short_of_published(result.get("cards", {})):
            lines.append(f"protocol   {far}")
        with _warned("the figures"), suppress(Abandoned), SIGNALS.doing(ABANDON):
            figures = redrawn(self.run, self.measure) if self.draws else []
        for logger in self.loggers:
            with _warned(f"{type(logger).__name__}"):
                lines += logger.close(result, figures)
        if status is not Status.INTERRUPTED:
            self._write(result)
        if status is not Status.FAILED:
            report(result, [*lines, *self._next(status)])

    def _next(self, status: Status) -> list[str]:
        """The command that comes next, by how the run has ended."""
        path = shlex.quote(str(self.run.path))
        if status is Status.COMPLETED:
            return [f"next       ganlab sample {path} --n 64"] if self.run.checkpoints.is_dir() else []
        if status is Status.DIVERGED and self.run.newest_checkpoint() is None:
            return ["next       it has no checkpoint of before: begin anew, with a smaller optim.lr or checkpoint.every=10"]
        more = {Status.INTERRUPTED: "", Status.DIVERGED: " on_divergence=rollback"}.get(status)
        return [] if more is None else [f"next       {program()} resume={path}{more}"]

    def _write(self, result: dict[str, Any]) -> None:
        try:
            self.run.write_result(result)
        except OSError as error:
            log.warning("%s could not be written: %s", self.run.result_file, error.strerror)
            if Status.of(result) is not Status.FAILED:  # which is raised already
                result |= {"status": Status.UNSAVED.value, "error": str(error.strerror)}

    def _result(self, status: Status, problem: str | None, started: str, checkpoint: Path | None) -> dict[str, Any]:
        kept = [observer.scores.state_dict() for observer in (self.evaluate, self.measure) if observer]
        seen, cards = self.observation, dict(self.evaluate.scorer.cards) if self.evaluate else {}
        if self.measure:
            cards["theory"] = self.measure.card or {}
        return {
            "status": status.value,
            "error": problem,
            "name": self.settings.name,
            "seed": self.settings.seed,
            "iterations": self.gan.t,
            **{name: count for name, count in self.gan.counters().items() if name != "iteration"},
            "seconds": round(seen.clock.seconds, 3),
            "seconds_of_theory": round(seen.seconds[self.measure.name], 3) if self.measure else 0.0,
            **{
                kind: without_nan({k: v for scores in kept for k, v in scores[kind].items()})
                for kind in ("final", "best", "mean")
            },
            "details": without_nan(self.evaluate.details) if self.evaluate else {},
            "cards": cards,
            "verdict": verdict(self.table.rows, seen.ended_at if seen.ended is Status.DIVERGED else None)._asdict(),
            "why": seen.why,
            "rollbacks": self.slower.times,
            "rate_factor": self.gan.slower,
            "threads": torch.get_num_threads(),
            "resumed_from": None if checkpoint is None else str(checkpoint),
            "started": started,
            "finished": now(),
            "device": str(self.trainer.strategy.root_device),  # the module itself is back on the CPU by now
            "processes": self.trainer.world_size,
            **self.provenance,
        }


@contextmanager
def _warned(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # a full disk, and no fault of anybody's
        log.warning("%s could not be written: %s", what, error.strerror or error)
    except Exception as error:
        log.warning("%s could not be finished: %s: %s", what, type(error).__name__, error, exc_info=error)
