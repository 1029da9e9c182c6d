"""One experiment: from a composed config to a finished run directory."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from ganlab.data.module import Minibatches
from ganlab.errors import Diverged, Interrupted, UserError
from ganlab.figures import pictures
from ganlab.files.checkpoint import iteration_of
from ganlab.files.result import now, provenance, report, without_nan
from ganlab.files.run import RunDirectory, starting_point
from ganlab.files.status import Status
from ganlab.files.table import read
from ganlab.files.verdict import verdict
from ganlab.loggers.table import RunTable
from ganlab.observers.adapter import Observation, evaluation
from ganlab.observers.checkpoint import Checkpoint
from ganlab.observers.draw import Draw
from ganlab.observers.evaluate import Evaluate
from ganlab.observers.field import dirac_field
from ganlab.observers.health import Health
from ganlab.observers.log import Log
from ganlab.observers.measure import Measure, function_of, labels_of
from ganlab.observers.observer import Observer
from ganlab.observers.snapshots import Snapshots
from ganlab.random import seed_of
from ganlab.run.build import game_of, held_out_of, logger_of, scorer_of, settings_of, taken_by_logger, trainer_of
from ganlab.run.config import build, build_as, check, classes_told, plain
from ganlab.run.identity import data_to_go_on_with
from ganlab.run.interrupt import Interrupt
from ganlab.run.names import given_lines
from ganlab.run.pairs import doubts_of
from ganlab.run.progress import ProgressBar
from ganlab.settings import GROUPS, NAMED, Settings
from ganlab.theory.optimum import Unsolved
from ganlab.types import Source, Subject

log = logging.getLogger(__name__)
ALL_THREADS = torch.get_num_threads()  # before a run changes it


def train(cfg: DictConfig) -> None:
    """One run of train.py. Raises UserError before anything is trained or written; Interrupted and Diverged after a run that
    ended so."""
    hydra = HydraConfig.get()
    overrides = given_lines(hydra.overrides.task)
    settings = settings_of(cfg, overrides)
    torch.set_num_threads(settings.threads or ALL_THREADS)
    run = RunDirectory(hydra.runtime.output_dir)
    with run.locked() if rank_zero_only.rank == 0 else nullcontext():  # type: ignore[attr-defined]
        result = _train(settings, run, overrides, dict(hydra.runtime.choices))
    if result is None:
        return
    status = Status.of(result)
    if status is Status.INTERRUPTED:
        raise Interrupted(f"interrupted at iteration {result['iterations']}; go on with resume={run.path}")
    if status is Status.DIVERGED:
        raise Diverged(f"diverged at iteration {result['iterations']}: the loss is not finite; see {run.path}")
    if status is Status.COLLAPSED:
        raise Diverged(f"ended at iteration {result['iterations']}: samples are alike; see {run.path}")


def rehearse(settings: Settings, path: Path, choices: dict[str, str], elsewhere: bool) -> None:
    """Build all of a run's objects and check them against each other, without writing anything; raises UserError. `elsewhere`:
    for a machine that may have the GPUs which this one lacks."""
    node = {**settings.trainer, "accelerator": "cpu", "devices": 1, "strategy": "auto", "num_nodes": 1}
    trainer = node if elsewhere else settings.trainer
    for name, logger in settings.logger.items():
        key = f"logger.{name}"
        check(logger, key, given=taken_by_logger(logger, key))
    Experiment(settings.model_copy(update={"logger": {}, "trainer": trainer}), RunDirectory(path), choices, 0)


def _train(settings: Settings, run: RunDirectory, overrides: list[str], choices: dict[str, str]) -> dict[str, Any] | None:
    """The result; None if there was nothing to do."""
    config = plain(settings)
    first = rank_zero_only.rank == 0  # type: ignore[attr-defined]
    checkpoint = starting_point(run, settings.resume, config, first)
    start = 0 if checkpoint is None else iteration_of(checkpoint)
    before = Status.of(run.result)
    if start > settings.iterations or (start == settings.iterations and before is Status.COMPLETED):
        log.warning("%s is at iteration %d of %d already: nothing to do", checkpoint, start, settings.iterations)
        return None
    if before is Status.COLLAPSED and settings.health.stop and run.config["health"] == config["health"]:
        log.warning("%s has collapsed and was ended: health.stop=false trains on", run.path)
        return None
    experiment = Experiment(settings, run, choices, start)
    about = data_to_go_on_with(settings, experiment.source, checkpoint)
    if not experiment.trainer.is_global_zero:
        experiment.run_to_the_end(config, checkpoint)
        return None  # rank 0 speaks for all
    run.create(config, overrides, about)
    return experiment.run_to_the_end(config, checkpoint)


class Experiment:
    """The objects of one run, all built and checked against each other before the first iteration."""

    def __init__(self, settings: Settings, run: RunDirectory, choices: dict[str, str], start: int) -> None:
        self.settings, self.run, self.provenance = settings, run, provenance()
        self.source: Source = build_as(Source, settings.data, "data")
        pl.seed_everything(seed_of(settings.seed, "initial weights") % 2**32, verbose=False)
        self.gan = game_of(settings)
        if tuple(settings.shape) != self.source.shape:
            raise UserError(f"shape = {settings.shape} but the data has {list(self.source.shape)}: change one of them")
        for doubt in doubts_of(self.gan, settings.batch_size, settings.model.pack):
            log.warning("%s", doubt)
        if hasattr(self.source, "mean") and hasattr(self.gan.G, "start_near"):
            self.gan.G.start_near(self.source.mean())  # type: ignore[operator]
            for average in self.gan.averages:
                average.load_state_dict(self.gan.G.state_dict())
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
        self.measure = self._measure()
        observers += [self.measure] if self.measure else []
        if metrics.picture is not None:
            picture = build(metrics.picture.draw, "metrics.picture.draw", source=self.source)
            observers.append(Draw(metrics.picture.every, picture, run.samples, settings.seed, told or 1))
        if every := self.gan.average.every:
            observers.append(Snapshots(every, run.averages))
        observers.append(Checkpoint(settings.checkpoint.every, run.checkpoints, settings.checkpoint.keep))
        chosen = [choices[group] for group in GROUPS if choices.get(group) and group not in NAMED]
        tags = [tag for tag in chosen + [name for group in NAMED for name in getattr(settings, group)] if tag != "none"]
        runs = Path(settings.runs)
        given = {"run_dir": run.path, "name": settings.name, "group": _group(settings), "tags": tags, "runs": runs}
        named = settings.logger.items()
        self.loggers = [self.table, *(logger_of(node, f"logger.{name}", **given) for name, node in named)]
        self.interrupt = Interrupt(settings.log_every)
        self.observation = Observation(observers, settings.iterations, self.loggers)
        callbacks = [self.interrupt, self.observation, ProgressBar(settings.name, self.table)]
        self.trainer = trainer_of(settings, callbacks, self.loggers)
        self.gan.trainer = self.trainer  # its counters are asked for even where fit never begins
        if settings.batch_size % (self.trainer.world_size * settings.model.pack):
            raise UserError(
                f"batch_size = {settings.batch_size} cannot be shared by {self.trainer.world_size} processes"
                f"{f' in packs of {settings.model.pack}' if settings.model.pack > 1 else ''}: make it a multiple"
            )
        self.source.minibatches(0, 1, settings.batch_size, settings.seed, slice(0, 1))  # a batch larger than the data

    def _measure(self) -> Measure | None:
        theory, gan = self.settings.theory, self.gan
        if theory.instrument is None:
            return None
        if self.settings.model.pack > 1:
            log.warning(
                "theory is not measured: it is that of a D that sees one x, and model.pack = %d", self.settings.model.pack
            )
            return None
        if classes_told(self.settings.model.D):
            log.warning("theory is not measured: it is that of a D that sees x alone, and model.D is told y")
            return None
        cpu = torch.device("cpu")
        G, D = (function_of(net, cpu, labels_of(self.source, cpu)) for net in (gan.G, gan.D))
        loss = gan.loss if gan.augment.neutral else Unsolved(gan.loss, "augment changes the laws that D sees")
        field = dirac_field(gan.loss, gan.players.terms, gan.augment, gan.objective, gan.updates)
        with evaluation(gan.G, gan.D):  # an instrument may ask for their values now
            subject = Subject(self.source, gan.prior, loss, G, D, field, classes_told(self.settings.model.G) is not None)
            instrument = build(theory.instrument, "theory.instrument", subject=subject)
        return Measure(theory.every, instrument, self.run.theory, theory.frames, self.settings.iterations)

    def _card_of_theory(self) -> dict[str, Any]:
        """Of all theory/... alike; those that begin with ema_ are of the average of G."""
        node = self.settings.theory.instrument or {}
        own = {name: value for name, value in node.items() if name != "_target_"}
        made = {"seed": self.settings.seed, "commit": self.provenance["commit"]}
        return {
            "metric": node.get("_target_"),
            "version": 1,
            "settings": own,
            "reference": "p_data itself",
            "weights": "raw",
            **made,
        }

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
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec")  # Lightning's, against torch 2.15
                self.trainer.fit(self.gan, data, ckpt_path=checkpoint, weights_only=True)
            if self.observation.ended:
                status = self.observation.ended
            elif self.gan.t >= self.settings.iterations:
                status = Status.COMPLETED
            elif self.interrupt.stopped:
                status = Status.INTERRUPTED
            else:
                problem = "Lightning ended the training early"
        except BaseException as error:
            problem = f"{type(error).__name__}: {error}"
            raise
        finally:
            if self.trainer.is_global_zero:
                result = self._result(status, problem, started, checkpoint)
                self._close(result)
        return result if self.trainer.is_global_zero else {"status": status, "iterations": self.gan.t}

    def _close(self, result: dict[str, Any]) -> None:
        """The result is written even where a figure or a logger fails: that is a warning, and not the end of the run."""
        self.table.save()
        figures: list[Path] = []
        lines = [f"run        {self.run.path}", f"look       {self.run.figures}"]
        with _warned("the figures"):
            figures = self._figures()
        for logger in self.loggers:
            with _warned(f"{type(logger).__name__}"):
                lines += logger.close(result, figures)
        self.run.write_result(result)
        if Status.of(result) is not Status.FAILED:
            report(result, lines)

    def _figures(self) -> list[Path]:
        figures = []
        rows = read(self.run.table_file)
        if any("train/V" in row for row in rows):
            figures.append(self.run.figures / "curves.png")
            pictures.curves(rows, figures[-1])
        if self.measure is not None:
            figures += self.measure.instrument.figures(self.measure.frames(), rows, self.run.figures)
        if frames := sorted(self.run.samples.glob("step-*.png")):
            figures += [self.run.figures / "samples.png", self.run.figures / "training.gif"]
            figures[-2].write_bytes(frames[-1].read_bytes())
            pictures.animation(frames, figures[-1])
        return figures

    def _result(self, status: Status, problem: str | None, started: str, checkpoint: Path | None) -> dict[str, Any]:
        kept = [observer.scores.state_dict() for observer in (self.evaluate, self.measure) if observer]
        seen, cards = self.observation, dict(self.evaluate.scorer.cards) if self.evaluate else {}
        if self.measure:
            cards["theory"] = self._card_of_theory()
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
            "details": without_nan(self.evaluate.scorer.details()) if self.evaluate and self.evaluate.scores.final else {},
            "cards": cards,
            "verdict": verdict(self.table.rows, seen.ended_at if seen.ended is Status.DIVERGED else None)._asdict(),
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
    except Exception as error:
        log.warning("%s could not be finished: %s: %s", what, type(error).__name__, error, exc_info=error)


def _group(settings: Settings) -> str:
    """Runs that belong together in W&B: the jobs of a sweep, or the seeds of one setting."""
    return settings.study or settings.name.removesuffix(f"-s{settings.seed}")
