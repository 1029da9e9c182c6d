"""Several runs in one process: seeds, and numbers of optimizers, of one setting, each with a run directory of its own.

Each run is trained by the same code as ever, in a thread of its own; one thread is awake at a time, so that nothing happens at
once but the iterations themselves, which the main thread takes for all runs that wait for them (`game.replicas`).
"""

from __future__ import annotations

import copy
import logging
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

import yaml
from omegaconf import DictConfig, OmegaConf

from ganlab.errors import Abandoned, Interrupted, Unfinished, UserError, brief
from ganlab.files.atomic import write_whole
from ganlab.files.run import RunDirectory, checkpoints, differences, starting_point
from ganlab.files.status import Status
from ganlab.game.module import GAN
from ganlab.game.replicas import Replicas, refuse_alone
from ganlab.run.build import game_of, settings_of
from ganlab.run.config import build_as, plain
from ganlab.run.line import flags_here, read_overrides
from ganlab.run.names import may_differ
from ganlab.run.rehearsal import copied
from ganlab.settings import Settings
from ganlab.signals import SIGNALS
from ganlab.types import Source

log = logging.getLogger(__name__)


class One(NamedTuple):
    """A run of several."""

    settings: Settings
    run: RunDirectory
    overrides: list[str]


def train_together(
    cfg: DictConfig, overrides: list[str], folder: Path, choices: dict[str, str], begin: Callable[..., Any]
) -> None:
    """What `replicas=...` asks for. `begin(settings, run, overrides, choices, joined)` is a run from its first check to its
    result. Raises UserError before anything is written."""
    ones = _ones(cfg, overrides, folder)
    with ExitStack() as locks, warnings.catch_warnings():  # each run's own, closed in another order than opened
        fresh = [one.run.path for one in ones if not one.run.path.exists()]
        try:
            for one in ones:
                locks.enter_context(one.run.locked())
            _level(ones)
            results = _Together(ones, choices, begin).results(lambda: _begin(folder, overrides, ones))
        except (UserError, Interrupted):
            for path in (path for path in fresh if not (path / "config.yaml").exists()):
                (path / ".lock").unlink(missing_ok=True)
                with suppress(OSError):
                    path.rmdir()
            raise
    _speak(results, folder if _within(ones, folder) else None)


def _level(ones: Sequence[One]) -> None:
    """Those that were killed go on from the newest checkpoint that all of them have, where there is one: how many are played at
    once decides the last digits of a step. What some have of later iterations is lost once all are built (`_begin`)."""
    for one in ones:
        starting_point(one.run, one.settings.resume, plain(one.settings), first=True)
    runs = [one.run for one in ones if not one.run.status.counts]
    kept = [{path.name for path in checkpoints(run.checkpoints)} for run in runs]
    common = set.intersection(*kept) if kept else set()
    for run in runs:
        run.last = max(common, default="")


def _ones(cfg: DictConfig, overrides: list[str], folder: Path) -> list[One]:
    asked = OmegaConf.to_container(cfg.replicas) if OmegaConf.is_config(cfg.replicas) else cfg.replicas
    if cfg.resume is not None and (str(cfg.resume) == "auto" or str(cfg.resume).endswith(".ckpt")):
        raise UserError(f"resume = {cfg.resume} is of one run: with replicas give resume=DIRECTORY, that of the group")
    if isinstance(asked, int):
        asked = [{"dir": str(folder / f"s{seed}"), "set": _named(cfg, seed)} for seed in range(cfg.seed, cfg.seed + asked)]
    if not isinstance(asked, list) or not asked or not all(isinstance(one, dict) and {*one} == {"dir", "set"} for one in asked):
        raise UserError("replicas has to be a number, or a list of {dir: a run directory, set: [seed=0, optim.lr=1e-3]}")
    ones = [_one(cfg, overrides, RunDirectory(one["dir"]), one["set"]) for one in asked]
    refuse_apart([one.settings for one in ones])
    return ones


def refuse_apart(settings: Sequence[Settings]) -> None:
    """Raises UserError for runs that differ in what replicas have in common."""
    first = plain(settings[0])
    for one in settings[1:]:
        for line in differences(first, plain(one)):
            if not may_differ(line.split(":")[0]):
                raise UserError(
                    f"replicas may differ in seed and numbers of optim alone, and these do in {line}: run them apart"
                )


def _named(cfg: DictConfig, seed: int) -> list[str]:
    """The seed, and a name of its own where the user has given one for all."""
    raw = OmegaConf.to_container(cfg, resolve=False)["name"]  # type: ignore[call-overload,index]
    return [f"seed={seed}"] + ([] if "${" in str(raw) else [f"name={raw}-s{seed}"])


def _one(cfg: DictConfig, overrides: list[str], run: RunDirectory, given: list[str]) -> One:
    own, parsed = copy.deepcopy(cfg), read_overrides(given)
    own.replicas = 1
    for each in parsed:
        OmegaConf.update(own, each.key_or_group, each.value())
    keys = {"replicas", "resume", *(each.key_or_group for each in parsed)}
    kept = [line for line in overrides if line.split("=")[0].lstrip("+") not in keys]
    own.resume = str(run.path) if run.config_file.exists() else None
    return One(settings_of(own, [*kept, *given]), run, [*kept, *given])


def _begin(folder: Path, overrides: list[str], ones: Sequence[One]) -> None:
    """Before the first iteration: what lies ahead goes; where the runs lie within the folder, `resume=FOLDER` finds how."""
    for run in (one.run for one in ones if one.run.last):
        for path in (path for path in checkpoints(run.checkpoints) if path.name > run.last):
            path.unlink()
    if _within(ones, folder):
        kept = [line for line in overrides if not line.startswith("resume=")]
        group = RunDirectory(folder)
        write_whole(group.overrides_file, yaml.safe_dump(kept, allow_unicode=True))
        if flags := flags_here():
            write_whole(group.flags_file, yaml.safe_dump(flags))


def _within(ones: Sequence[One], folder: Path) -> bool:
    """Whether it is the group's own: that of a group within a sweep has no runs in it."""
    return all(one.run.path.parent == folder for one in ones)


def _speak(results: Sequence[dict[str, Any] | None], folder: Path | None) -> None:
    """Raises Unfinished for the worst that came of them. `folder`: to go on with."""
    counts = Counter(Status.of(result) for result in results if result is not None)
    bad = {status: n for status, n in counts.items() if status is not Status.COMPLETED}
    if bad:
        again = "" if folder is None or all(status.counts for status in bad) else f": go on with resume={folder}"
        worst = max(bad, key=[*Status].index)
        told = ", ".join(f"{n} {status}" for status, n in bad.items())
        raise Unfinished(f"{told} of {len(results)} replicas{again}", worst.exit_code)


def refuse_settings(settings: Settings) -> None:
    """Raises UserError for a game that cannot be played by many at once."""
    _refuse(game_of(settings), build_as(Source, settings.data, "data"))


def _refuse(gan: GAN, source: Source) -> None:
    """By the name of a part, or for what an iteration of its copy raises."""
    try:
        refuse_alone(gan)
    except ValueError as error:
        raise UserError(f"replicas: {error}") from error
    try:
        Replicas([copied(gan)], source).iteration(0)
    except Exception as error:
        said = brief(f"{type(error).__name__}: {error}", 90)
        raise UserError(f"replicas: an iteration of many at once fails ({said}): leave replicas out") from error


class _Left(Exception):
    """A run is not to begin, as another one cannot."""


class _Member(Thread):
    """One run. It is awake between `on()` and the next time that it waits, or its end."""

    def __init__(self, one: One, choices: dict[str, str], begin: Callable[..., Any], quiet: bool) -> None:
        super().__init__(name=one.settings.name, daemon=True)
        self._given, self._begin = (one.settings, one.run, one.overrides, choices), begin
        self._awake, self._waits = SimpleQueue[bool](), SimpleQueue[None]()
        self.quiet, self.playing, self.done = quiet, False, False
        self.share = 0.0  # seconds of the last time that it was played on
        self.experiment: Any = None  # once it is built
        self.problem: Exception | None = None  # what has ended the iterations that it waits for
        self.result: dict[str, Any] | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._wait()
            self.result = self._begin(*self._given, joined=self._joined)
        except _Left:
            pass
        except BaseException as error:
            self.error = error
        finally:
            self.playing = False
            self.done = True
            self._waits.put(None)

    def _joined(self, experiment: Any) -> None:
        """All is built and nothing written."""
        if experiment.trainer.world_size > 1:
            raise UserError("replicas are for one process: leave out trainer.devices, or replicas")
        if self.quiet:  # beside another one, of the same setting
            experiment.be_quiet()
        else:
            with experiment.trainer.precision_plugin.train_step_context():
                _refuse(experiment.gan, experiment.source)
        experiment.draws = experiment.settings.figures is True  # seconds each, and who looks at all of them?
        again, self.experiment = self.experiment is not None, experiment  # after a divergence, more slowly
        experiment.gan.played = self._play
        if not again:
            self._wait()

    def _play(self) -> None:
        """Until somebody has played the game on; of the time that this took, a run has its share. Raises what that raised."""
        self.playing = True
        clock = self.experiment.observation.clock
        with clock.stopped():
            self._wait()
            clock.add(self.share)
        if self.problem is not None:
            raise self.problem

    def _wait(self) -> None:
        self._waits.put(None)
        if not self._awake.get():
            raise _Left

    def on(self, go: bool = True) -> None:
        """Until it waits again. A signal that has what is drawn there abandoned is noted; the drawing comes to its end."""
        self.playing = False
        self._awake.put(go)
        self.asleep()

    def asleep(self) -> None:
        while True:
            try:
                return self._waits.get()
            except (Abandoned, Interrupted):  # raised by a signal in this thread, and not where the work is
                continue


class _Together:
    def __init__(self, ones: Sequence[One], choices: dict[str, str], begin: Callable[..., Any]) -> None:
        self.members = [_Member(one, choices, begin, quiet=i > 0) for i, one in enumerate(ones)]
        self._stack: Replicas | None = None
        self._stacked: list[_Member] = []

    def results(self, before: Callable[[], None]) -> list[dict[str, Any] | None]:
        """Trains all to their ends; `before` is called when all are built and none has begun. Raises what was raised in one,
        after the others have come to their ends."""
        for member in self.members:
            member.start()
            member.asleep()
        self._build()
        before()
        for member in self._open():
            member.on()
        while playing := [member for member in self._open() if member.playing]:
            self._play(playing)
        if failed := [(member.name, member.error) for member in self.members if member.error is not None]:
            log.error("%d of %d replicas failed: %s", len(failed), len(self.members), ", ".join(name for name, _ in failed))
            raise failed[0][1]
        return [member.result for member in self.members]

    def _open(self) -> list[_Member]:
        return [member for member in self.members if not member.done]

    def _build(self) -> None:
        """Raises what keeps one of them from beginning, or Interrupted; then none has."""
        for member in self.members:
            member.on()
            if member.error is None and not SIGNALS.received:
                continue
            for other in self._open():
                other.on(go=False)
            raise member.error or Interrupted("interrupted before anything was trained: start it again")

    def _play(self, playing: Sequence[_Member]) -> None:
        """Those that are behind come first, until they have caught up: killed runs may have checkpoints of several times."""
        ts = sorted({member.experiment.gan.t for member in playing})
        now = [member for member in playing if member.experiment.gan.t == ts[0]]
        games = [member.experiment.gan for member in now]
        until = min([*(game.next_look(ts[0]) for game in games), *ts[1:2]])
        began, problem = time.perf_counter(), None
        try:
            if self._stacked != now or self._stack is None or {*map(id, self._stack.games)} != {*map(id, games)}:
                self._stack, self._stacked = Replicas(games, now[0].experiment.trainer.datamodule.source), list(now)
            with now[0].experiment.trainer.precision_plugin.train_step_context():  # it is of one thread, and this is another
                self._stack.play(until, lambda: SIGNALS.received > 0)
        except Exception as error:  # which each of them is to end with
            problem = error
        share = (time.perf_counter() - began) / len(now)
        for member in now:
            member.share, member.problem = share, problem
            member.on()
