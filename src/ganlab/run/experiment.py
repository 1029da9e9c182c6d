"""One experiment: from a composed config to a finished run directory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from ganlab.data.module import Minibatches
from ganlab.errors import Diverged, Interrupted, Unsaved, UserError, brief
from ganlab.files.checkpoint import iteration_of
from ganlab.files.result import now, provenance
from ganlab.files.run import RunDirectory, checkpoints, starting_point
from ganlab.files.status import Status
from ganlab.loggers.table import RunTable
from ganlab.observers.adapter import Observation
from ganlab.observers.checkpoint import Checkpoint
from ganlab.observers.draw import Draw
from ganlab.observers.evaluate import Evaluate
from ganlab.observers.health import Health
from ganlab.observers.log import Log
from ganlab.observers.observer import Observer
from ganlab.observers.snapshots import Snapshots
from ganlab.precision import computed_in
from ganlab.random import seed_of
from ganlab.run.build import game_of, logger_of, scorer_of, settings_of, taken_by_logger, trainer_of
from ganlab.run.classifier import with_classifier
from ganlab.run.config import MISTAKEN, build, build_as, check, classes_told, plain
from ganlab.run.ending import Ending
from ganlab.run.identity import data_to_go_on_with
from ganlab.run.interrupt import Interrupt
from ganlab.run.line import flags_here
from ganlab.run.names import given_lines
from ganlab.run.output import beside_the_point
from ganlab.run.pairs import doubts_of
from ganlab.run.processes import process_lost, without_it
from ganlab.run.progress import ProgressBar
from ganlab.run.rehearsal import tried
from ganlab.run.room import refuse_without_room
from ganlab.run.slower import Slower
from ganlab.run.splits import held_out_of
from ganlab.run.theory import measure_of
from ganlab.settings import GROUPS, NAMED, Settings
from ganlab.signals import NOTE, SIGNALS
from ganlab.types import Source

log = logging.getLogger(__name__)
ALL_THREADS = torch.get_num_threads()  # before a run changes it


def train(cfg: DictConfig) -> None:
    """One run of train.py. Raises UserError before anything is trained or written; Interrupted, Diverged and Unsaved after a
    run that ended so."""
    hydra = HydraConfig.get()
    overrides = given_lines(hydra.overrides.task)
    settings = settings_of(cfg, overrides)
    torch.set_num_threads(settings.threads or ALL_THREADS)
    run = RunDirectory(hydra.runtime.output_dir)
    precision = settings.trainer.get("precision")
    if settings.replicas != 1:
        from ganlab.run.replicas import train_together

        with SIGNALS.listened(), computed_in(precision):
            return train_together(cfg, overrides, run.path, dict(hydra.runtime.choices), _train)
    lock = run.locked() if rank_zero_only.rank == 0 else nullcontext()  # type: ignore[attr-defined]
    with SIGNALS.listened(), lock, computed_in(precision):
        result = _train(settings, run, overrides, dict(hydra.runtime.choices))
    if result is None:
        return
    status, t = Status.of(result), f"{result['iterations']:,}"
    if status is Status.INTERRUPTED:
        raise Interrupted(f"interrupted at iteration {t}; go on with resume={run.path}")
    if status is Status.DIVERGED:
        kept = checkpoints(run.checkpoints)
        good = f"the last good checkpoint is {kept[-1].name}" if kept else "there is no checkpoint of before"
        raise Diverged(f"diverged {result['why']}; {good} in {run.path}")
    if status is Status.COLLAPSED:
        raise Diverged(f"ended {result['why']}; see {run.path}")
    if status is Status.UNSAVED:
        raise Unsaved(
            f"{run.path} could not be written ({result['error']}): what was trained after its last checkpoint is lost"
        )


def rehearse(settings: Settings, path: Path, choices: dict[str, str], elsewhere: bool) -> None:
    """Build all of a run's objects and check them against each other, without writing anything; raises UserError. `elsewhere`:
    for a machine that may have the GPUs which this one lacks."""
    node = {**settings.trainer, "accelerator": "cpu", "devices": 1, "strategy": "auto", "num_nodes": 1}
    trainer = node if elsewhere else settings.trainer
    for name, logger in settings.logger.items():
        key = f"logger.{name}"
        check(logger, key, given=taken_by_logger(logger, key))
    settings = with_classifier(settings, make=False)
    with computed_in(trainer.get("precision")):
        Experiment(settings.model_copy(update={"logger": {}, "trainer": trainer}), RunDirectory(path), choices, 0)


def _train(
    settings: Settings, run: RunDirectory, overrides: list[str], choices: dict[str, str],
    joined: Callable[[Experiment], None] = lambda experiment: None,
) -> dict[str, Any] | None:  # fmt: skip
    """The result; None if there was nothing to do. `joined` is shown what is built, before anything is written."""
    settings = with_classifier(settings)
    config = plain(settings)
    first = rank_zero_only.rank == 0  # type: ignore[attr-defined]
    checkpoint = starting_point(run, settings.resume, config, first)
    start = 0 if checkpoint is None else iteration_of(checkpoint)
    before = run.status
    if start > settings.iterations or (start == settings.iterations and before is Status.COMPLETED):
        log.warning("%s is at iteration %d of %d already: nothing to do", checkpoint, start, settings.iterations)
        return None
    if before is Status.COLLAPSED and settings.health.stop and run.config["health"] == config["health"]:
        log.warning("%s has collapsed and was ended: health.stop=false trains on", run.path)
        return None
    slower = Slower.of(checkpoint)
    experiment = Experiment(settings, run, choices, start, checkpoint, slower)
    about = data_to_go_on_with(settings, experiment.source, checkpoint)
    if experiment.trainer.is_global_zero:
        refuse_without_room(run.path, experiment.gan)
    joined(experiment)
    if not experiment.trainer.is_global_zero:
        experiment.run_to_the_end(config, checkpoint)
        return None  # rank 0 speaks for all
    if checkpoint is not None:
        run.adopt(checkpoint)
    origin = run.config.get("resume") if run.config_file.exists() else None
    branched = isinstance(origin, str) and origin.endswith(".ckpt")
    run.create({**config, "resume": origin} if branched else config, overrides, flags_here(), about)
    result = experiment.run_to_the_end(config, checkpoint)
    while Status.of(result) is Status.DIVERGED and slower.times < settings.on_divergence.times:
        checkpoint = run.newest_checkpoint()
        slower = slower.once_more(Slower.of(checkpoint), settings.on_divergence.factor)
        start = 0 if checkpoint is None else iteration_of(checkpoint)
        log.warning("diverged %s: goes on from iteration %d with rates times %.3g, for the %d. time of at most %d",
                    result["why"], start, slower.factor, slower.times, settings.on_divergence.times)  # fmt: skip
        experiment = Experiment(settings, run, choices, start, checkpoint, slower)
        joined(experiment)
        result = experiment.run_to_the_end(config, checkpoint)
    return result


class Experiment(Ending):
    """The objects of one run, all built and checked against each other before the first iteration."""

    def __init__(
        self, settings: Settings, run: RunDirectory, choices: dict[str, str], start: int,
        checkpoint: Path | None = None, slower: Slower | None = None,
    ) -> None:  # fmt: skip
        self.settings, self.run, self.provenance = settings, run, provenance()
        self.slower, self.draws = slower or Slower(), settings.figures is not False
        self.source: Source = build_as(Source, settings.data, "data")
        pl.seed_everything(seed_of(settings.seed, "initial weights") % 2**32, verbose=False)
        self.gan = game_of(settings)
        self.gan.slower, self.gan.slowed = self.slower.factor, self.slower.times
        if tuple(settings.shape) != self.source.shape:
            raise UserError(f"shape = {settings.shape} but the data has {list(self.source.shape)}: change one of them")
        for doubt in [*([settings.note] if settings.note else []), *self.gan.way.told, *doubts_of(self.gan)]:
            log.warning("%s", doubt)
        if hasattr(self.source, "mean") and hasattr(self.gan.G, "start_near"):
            self.gan.G.start_near(self.source.mean())  # type: ignore[operator]
            for average in self.gan.averages:
                average.load_state_dict(self.gan.G.state_dict())
        self.interrupt = Interrupt(settings.log_every)
        with beside_the_point():
            self.trainer = trainer_of(settings, [self.interrupt])
        self.gan.trainer = self.trainer  # its counters are asked for even where fit never begins
        self._rehearse(settings, checkpoint)
        self.table = RunTable(run.table_file, start)
        metrics = settings.metrics
        weights = "EMA" if self.gan.average.on else "raw"
        commit = self.provenance["commit"]
        made = {"seed": settings.seed, "commit": commit}
        told = classes_told(settings.model.G)
        scorer = scorer_of(metrics, settings.data, self.source, weights, settings.seed, told is not None, **made)
        self.evaluate = Evaluate(metrics.every, scorer) if scorer else None
        watch = settings.health
        held_out = held_out_of(settings.data, watch.split)
        patience = watch.patience if watch.stop else None
        health = Health(watch.every, watch.n, settings.seed, held_out, patience)
        observers: list[Observer] = [Log(settings.log_every), health]
        observers += [self.evaluate] if self.evaluate else []
        self.measure = measure_of(settings, run, self.gan, self.source, **made)
        observers += [self.measure] if self.measure else []
        if metrics.picture is not None:
            picture = build(metrics.picture.draw, "metrics.picture.draw", source=self.source)
            observers.append(Draw(metrics.picture.every, picture, run.samples, settings.seed, told or 1))
        if every := self.gan.average.every:
            observers.append(Snapshots(every, run.averages))
        self.checkpoint = Checkpoint(settings.checkpoint.every, run.checkpoints, settings.checkpoint.keep)
        observers.append(self.checkpoint)
        chosen = [choices[group] for group in GROUPS if choices.get(group) and group not in NAMED]
        tags = [tag for tag in chosen + [name for group in NAMED for name in getattr(settings, group)] if tag != "none"]
        runs = Path(settings.runs)
        given = {"run_dir": run.path, "name": settings.name, "group": _group(settings), "tags": tags, "runs": runs}
        named = settings.logger.items()
        self.loggers = [self.table, *(logger_of(node, f"logger.{name}", **given) for name, node in named)]
        self.observation = Observation(observers, settings.iterations, self.loggers)
        self.trainer.callbacks += [self.observation, ProgressBar(settings.name, self.table)]  # type: ignore[attr-defined]
        self.trainer.loggers = [*self.loggers]

    def be_quiet(self) -> None:
        """No bar of its own: beside other runs in this process."""
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined]
        callbacks[:] = [callback for callback in callbacks if not isinstance(callback, ProgressBar)]

    def _rehearse(self, settings: Settings, checkpoint: Path | None) -> None:
        """Raises UserError where the game and the Trainer do not go together, or an iteration fails."""
        world = self.trainer.world_size
        try:
            self.source.minibatches(0, 1, settings.batch_size, settings.seed, slice(0, 1))  # a batch larger than the data
        except MISTAKEN as error:  # of a class of one's own
            raise UserError(
                f"data gives no minibatch ({brief(str(error), 80)}): its sample() is x [n, *S] and y [n]"
            ) from error
        if world > 1 and settings.on_divergence.times:
            raise UserError("on_divergence=rollback needs one process: leave it out, or trainer.devices")
        if settings.batch_size % (world * settings.model.pack):
            raise UserError(
                f"batch_size = {settings.batch_size} cannot be shared by {world} processes"
                f"{f' in packs of {settings.model.pack}' if settings.model.pack > 1 else ''}: make it a multiple"
            )
        try:
            self.gan.way.fits(self.gan, self.trainer.strategy.root_device, world, str(settings.trainer.get("precision")))
        except ValueError as error:
            raise UserError(f"compile: {error}") from error
        tried(self.gan, self.source, settings, self.trainer, checkpoint)

    def run_to_the_end(self, config: dict[str, Any], checkpoint: Path | None) -> dict[str, Any]:
        """Train, then leave figures, loggers and `result.json` behind, in this order, whatever happens."""
        started = now()
        status, problem = Status.FAILED, None
        try:
            for logger in self.loggers:
                logger.log_hyperparams(config)
                if checkpoint is not None:
                    logger.go_on(iteration_of(checkpoint), self.table.rows)
            data = Minibatches(self.source, self.settings.k, self.settings.batch_size, self.settings.seed)
            with beside_the_point():
                self.trainer.fit(self.gan, data, ckpt_path=checkpoint, weights_only=True)
            if self.observation.ended:
                status = self.observation.ended
            elif self.observation.put_off:
                status = Status.INTERRUPTED
            elif self.gan.t >= self.settings.iterations:
                status = Status.COMPLETED
            elif self.interrupt.stopped or SIGNALS.received:
                status = Status.INTERRUPTED
            else:
                problem = "Lightning ended the training early"
        except Interrupted:  # before the first iteration
            status = Status.INTERRUPTED
        except BaseException as error:
            problem = f"{type(error).__name__}: {error}"
            if self.trainer.world_size > 1 and process_lost(error):
                problem = str(without_it(self.run.path))
                raise without_it(self.run.path) from error
            raise
        finally:
            SIGNALS.mode = NOTE
            if self.checkpoint.problem and status in (Status.COMPLETED, Status.INTERRUPTED):
                status, problem = Status.UNSAVED, str(self.checkpoint.problem.strerror)
            result: dict[str, Any] = {"status": status, "iterations": self.gan.t}
            if self.trainer.is_global_zero:
                result = self._result(status, problem, started, checkpoint)
                self._close(result)
        return result


def _group(settings: Settings) -> str:
    """Runs that belong together in W&B: the jobs of a sweep, or the seeds of one setting."""
    return settings.study or settings.name.removesuffix(f"-s{settings.seed}")
