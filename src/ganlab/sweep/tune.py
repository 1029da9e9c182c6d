"""A search with Optuna, which goes on where it was when the same command comes again, whatever ended it."""

from __future__ import annotations

import math
import statistics
import sys
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import optuna
from filelock import FileLock, Timeout
from hydra.core.utils import configure_log, setup_globals
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from optuna.distributions import CategoricalDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import BaseModel, BeforeValidator, Field
from rich.console import Console

from ganlab.errors import Unfinished, UserError
from ganlab.files import older
from ganlab.files.run import differences
from ganlab.files.status import Status
from ganlab.random import seed_of
from ganlab.run.command_line import sentence
from ganlab.run.config import validated
from ganlab.run.names import UNNAMED
from ganlab.settings import Count, Settings
from ganlab.sweep.driver import Engine, at_work, say, still_open
from ganlab.sweep.jobs import Job
from ganlab.sweep.outcomes import KINDS, OPEN, aim, direction_of, not_renamed, outcome
from ganlab.sweep.plan import composed, plan
from ganlab.sweep.space import Space, described, override, parsed
from ganlab.sweep.summary import Summary

NAME = "ganlab"  # of the one study in a journal
FAILURES = 5  # one after the other that end a search: something is broken, and not a setting
PATIENCE = 60  # seconds for a run whose sweep was killed to write its checkpoint and end

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Options(BaseModel, extra="forbid", frozen=True):
    """hydra.sweeper: see conf/hydra/sweeper/tune.yaml."""

    metric: str | None
    value: Annotated[Literal["last", "best", "mean"], BeforeValidator(not_renamed)]
    direction: Literal["minimize", "maximize"] | None
    n_trials: Count
    seeds: Count
    at_once: Count
    sampler_seed: Annotated[int, Field(ge=0)]
    startup_trials: Annotated[int, Field(ge=0)]
    prune: bool


def search(launcher: Any, lines: Sequence[str], options: Mapping[str, Any]) -> None:
    """Ask for trials, train and tell until there are `n_trials`; `launcher` is a hydra_plugins.ganlab_sweep.launchers.Ganlab.
    Raises UserError before anything is written, or with the first trial that is a mistake; Unfinished where no trial has a
    value or the search is not over."""
    setup_globals()
    config = launcher.config
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    opts: Options = validated(Options, dict(options), "hydra.sweeper")
    loader = launcher.hydra_context.config_loader
    fixed, space = parsed(lines, loader)
    if not space:
        raise UserError("there is nothing to search: give a key several values, as in 'optim.lr=tag(log,interval(1e-4,1e-2))'")
    if "seed" in space:
        raise UserError("seed cannot be searched: hydra.sweeper.seeds=3 trains each trial on three seeds, and takes their mean")
    engine = launcher.engine(str(Path(sys.argv[0]).resolve()))
    Search(opts, fixed, space, Path(config.hydra.sweep.dir), engine, loader, config).run()


class Search:
    """One study in its folder: `study.journal` is Optuna's, the runs of its trials lie beside it."""

    def __init__(
        self, opts: Options, fixed: dict[str, str], space: Space, folder: Path, engine: Engine, loader: Any, config: Any
    ) -> None:
        self.opts, self.fixed, self.space, self.folder, self.engine = opts, fixed, space, folder, engine
        self.loader, self.config = loader, config
        self.journal = folder / "study.journal"
        self.draft = optuna.create_study()  # until there is a journal
        self.study = self.draft
        self.plans: dict[tuple[str, ...], list[Job]] = {}
        self.jobs: dict[str, Job] = {}  # of this call, by name

    def run(self) -> None:
        console = Console(stderr=True)
        self._ask(0)
        first = composed(self.loader, self.config, self._lines(self.trials[0])[0], self.folder / "trial-000")
        opts = self.opts
        self.metric, self.direction = aim(first, opts.metric, opts.value, opts.direction)
        score = self.metric if opts.value == "last" else f"{self.metric} ({opts.value})"
        summary = Summary(self.folder, self.space, score, self.direction, opts.seeds)
        if not self.journal.exists():
            self._rehearse()
        with at_work(self.folder, self.engine, console) as start:
            self._open()
            told = sum(trial.state.is_finished() for trial in self.trials)
            say(console, f"{self.folder}: {told} of {opts.n_trials} trials are over already")
            total = (opts.n_trials - told) * opts.seeds
            failures, stopped = 0, False
            while failures < FAILURES and not stopped and (batch := self._asked()):
                planned = {trial.number: self._planned(trial) for trial in batch}
                every = {job.name: job for jobs in planned.values() for job in jobs}
                self.jobs |= every
                open_ = still_open([*every.values()])
                for job in open_:
                    job.code = None
                if not self.engine.elsewhere:
                    _wait(open_)
                for _ in start(open_, total):
                    for trial in [one for one in batch if all(job.over for job in planned[one.number])]:
                        failures = self._tell(trial, planned[trial.number], failures)  # at once: what is told is not lost
                        batch.remove(trial)
                for trial in batch:
                    failures = self._tell(trial, planned[trial.number], failures)
                stopped = any(job.state in OPEN for job in every.values())
                summary.write(self.trials, self.jobs)
            summary.write(self.trials, self.jobs, picture=True)
        summary.report(self.trials, self.jobs, self._own)
        self._end(failures)

    @property
    def trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    # from a trial to its jobs

    def _asked(self) -> list[FrozenTrial]:
        """The next trials: those that were running when a search was ended, and new ones up to the next multiple of `at_once`,
        so that it goes on as it would have."""
        opts = self.opts
        while (number := len(self.trials)) < opts.n_trials:
            running = any(trial.state == TrialState.RUNNING for trial in self.trials)
            if running and number % opts.at_once == 0:
                break
            self._ask(number)
        return [trial for trial in self.trials if trial.state == TrialState.RUNNING]

    def _ask(self, number: int) -> None:
        """One more trial, a function of those before it, the seed and its number. It is drawn in memory and added as a whole:
        there never is half of one."""
        opts = self.opts
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # where Optuna is older than 5
            sampler = optuna.samplers.TPESampler(
                n_startup_trials=opts.startup_trials, multivariate=True, constant_liar=True,
                seed=seed_of(opts.sampler_seed, "trials", number) % 2**32,
            )  # fmt: skip
        draft = optuna.create_study(direction=self.study.direction, sampler=sampler)
        draft.add_trials(self.trials)
        params = draft.ask({**self.space}).params
        self.study.add_trial(create_trial(state=TrialState.RUNNING, params=params, distributions={**self.space}))

    def _lines(self, trial: FrozenTrial) -> list[list[str]]:
        """The overrides of its jobs, one a seed."""
        lines = [*self._own(trial), *(["health.stop=true"] if self.opts.prune and "health.stop" not in self.fixed else [])]
        if self.opts.seeds == 1:
            return [lines]
        lines = [line for line in lines if not line.startswith("seed=")]
        return [[*lines, f"seed={seed}"] for seed in self._seeds()]

    def _own(self, trial: FrozenTrial) -> list[str]:
        """What was given on the command line, with the trial's values."""
        values = {key: override(value, self.space[key]) for key, value in trial.params.items()}
        return [f"{key}={value}" if value else key for key, value in (self.fixed | values).items()]

    def _seeds(self) -> range:
        first = int(self.fixed.get("seed", self.config.seed))
        return range(first, first + self.opts.seeds)

    def _planned(self, trial: FrozenTrial) -> list[Job]:
        """Its jobs, each checked; those of the first trial with the same values, which are not trained again. Raises UserError,
        and holds the trial for failed: the next call asks for another one."""
        lines = self._lines(trial)
        key = tuple(lines[0])
        if key not in self.plans:
            first = next(one.number for one in self.trials if one.params == trial.params)
            name = f"trial-{first:03d}"
            names = [name] if len(lines) == 1 else [f"{name}_seed-{seed}" for seed in self._seeds()]
            swept = [*self.space, "seed"]
            engine = self.engine
            try:
                self.plans[key] = plan(
                    self.loader, self.config, lines, swept, engine.elsewhere, engine.threads, names, self._look
                )
            except (UserError, HydraException, OmegaConfBaseException) as error:
                problem = str(error) if isinstance(error, UserError) else f"{name}: {sentence(error)}"
                if self.study is not self.draft:
                    self._note(trial, note=problem)
                    self.study.tell(trial.number, state=TrialState.FAIL)
                raise UserError(problem) from error
        return self.plans[key]

    def _look(self, settings: Settings) -> None:
        if direction_of(settings, self.metric) is None and self.opts.direction is None:
            raise UserError(f"{self.metric} is not scored here: give hydra.sweeper.metric a score that all trials have")

    def _rehearse(self) -> None:
        """The first trials, and each value that can be chosen, before anything is written."""
        first = self.trials[0]
        for key, one in self.space.items():
            for value in one.choices if isinstance(one, CategoricalDistribution) else ():
                other = create_trial(value=0.0, params=first.params | {key: value}, distributions={**self.space})
                composed(self.loader, self.config, self._lines(other)[0], self.folder / "trial-000")
        for trial in self._asked():
            self._planned(trial)

    # the study's file

    def _open(self) -> None:
        """Optuna's journal: a line for each thing that happens, appended and flushed to the disk. Raises UserError where it
        is of another search."""
        lock = self.journal.with_name(f"{self.journal.name}.lock")
        lock.unlink(missing_ok=True)  # of a process that was killed: we are alone
        _mend(self.journal)
        try:
            self.storage = JournalStorage(JournalFileBackend(str(self.journal)))
            self.study = optuna.create_study(
                storage=self.storage, study_name=NAME, direction=StudyDirection[self.direction.upper()], load_if_exists=True
            )
        except (ValueError, KeyError) as error:
            raise UserError(f"{self.journal} is damaged ({error}): name a new study=NAME") from error
        opts = self.opts
        new = {"metric": self.metric, "value": opts.value, "direction": self.direction, "seeds": opts.seeds}
        new |= described(self.space)
        new |= {key: value for key, value in self.fixed.items() if key.split(".")[0] not in UNNAMED}
        old = older.sought(self.study.user_attrs.get("search"))
        if old is None:
            self.study.set_user_attr("search", new)
        elif changed := differences(old, new, tuple(dict.fromkeys([*old, *new]))):
            raise UserError(f"{self.folder} has another search ({'; '.join(changed[:3])}): name a new study=NAME")

    def _note(self, trial: FrozenTrial, **notes: Any) -> None:
        number = self.storage.get_trial_id_from_study_id_trial_number(self.storage.get_study_id_from_name(NAME), trial.number)
        for key, value in notes.items():
            self.storage.set_trial_user_attr(number, key, value)

    def _tell(self, trial: FrozenTrial, jobs: Sequence[Job], failures: int) -> int:
        """How a trial ended, if it has; gives the failures in a row. Raises UserError for a mistake that only a run has found.

        TPE learns nothing from a failed trial. A pruned one is worse to it than all that have a value; among the pruned ones it
        takes those for better that came further, which is why each is told with a step, whose value is nan.
        """
        if mistake := next((job for job in jobs if job.code == 2 and not job.over), None):
            raise UserError(f"{mistake.name}: {mistake.note}")
        came_to = outcome(jobs, self.metric, KINDS[self.opts.value])
        if came_to is None:
            return failures
        state, values, note, lasted = came_to
        self._note(trial, values=values, note=note, directory=str(jobs[0].path))
        if state == TrialState.PRUNED:
            study = self.storage.get_study_id_from_name(NAME)
            number = self.storage.get_trial_id_from_study_id_trial_number(study, trial.number)
            self.storage.set_trial_intermediate_value(number, lasted, math.nan)
        self.study.tell(trial.number, statistics.fmean(values) if state == TrialState.COMPLETE else None, state)
        return failures + 1 if state == TrialState.FAIL else 0

    def _end(self, failures: int) -> None:
        trials, counts = self.trials, Counter(trial.state for trial in self.trials)
        if failures >= FAILURES:
            note = next(t.user_attrs.get("note", "") for t in reversed(trials) if t.state == TrialState.FAIL)
            raise Unfinished(f"{failures} trials failed one after the other, the last one so: {note}", 1)
        over = len(trials) - counts[TrialState.RUNNING]
        if over < self.opts.n_trials:
            full = [f"; {job.name}: {job.note}" for job in self.jobs.values() if job.state is Status.UNSAVED][:1]
            told = f"ended after {over} of {self.opts.n_trials} trials: start the same command again for the rest"
            raise Unfinished("".join([told, *full]), (Status.UNSAVED if full else Status.INTERRUPTED).exit_code)
        if not counts[TrialState.COMPLETE]:
            text = f"none of {over} trials has a value: see {self.folder / 'tune.csv'}"
            raise Unfinished(text, 1 if counts[TrialState.FAIL] else 3)


def _mend(journal: Path) -> None:
    """Without the half line that a full disk or a power cut may have left at its end, and that would spoil the next one."""
    if journal.exists() and not (data := journal.read_bytes()).endswith(b"\n") and data:
        with journal.open("r+b") as file:
            file.truncate(data.rfind(b"\n") + 1)


def _wait(jobs: Sequence[Job]) -> None:
    """For runs of a search that was killed, which write a checkpoint and end by themselves."""
    end = time.monotonic() + PATIENCE
    for job in jobs:
        lock = FileLock(job.path / ".lock")
        if job.path.exists():
            with suppress(Timeout), lock.acquire(timeout=max(0.0, end - time.monotonic())):
                pass
