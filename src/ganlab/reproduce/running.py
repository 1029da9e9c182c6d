"""From a claim to its values: training runs as one sweep, which goes on where it was; or a computation, seed by seed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from ganlab.errors import Unfinished, UserError, brief
from ganlab.files.atomic import write_whole
from ganlab.files.command import SCRIPT
from ganlab.files.result import without_nan
from ganlab.files.run import RunDirectory
from ganlab.random import seed_of
from ganlab.reproduce.claim import RUN, Claim
from ganlab.reproduce.verdicts import Values
from ganlab.run.replicas import refuse_apart, refuse_settings
from ganlab.run.tree import conf_dir
from ganlab.settings import Settings
from ganlab.sweep.driver import drive
from ganlab.sweep.engines import Joblib, Local, Together
from ganlab.sweep.jobs import Job
from ganlab.sweep.plan import composed, plan

AT_ONCE = 64  # seeds of an arm, as of hydra/launcher=replicas
Found = dict[str, float | None]


def run_claim(name: str, claim: Claim, runs: str, at_once: int = 1, together: bool = False) -> Values:
    """`at_once` runs at a time; `together`: the seeds of an arm as replicas, where its setting can be played so. Raises
    UserError, and Unfinished where a run is not over; one that diverged or collapsed is."""
    if claim.waits:
        raise UserError(f"{name} waits for {claim.waits}")
    with _said_by(f"ganlab reproduce {name}"):
        if claim.compute is not None:
            return _computed(name, claim, Path(runs) / "reproduce" / name)
        return _trained(name, claim, runs, at_once, together)


@contextmanager
def _said_by(command: str) -> Iterator[None]:
    """The command that runs say made them."""
    before = os.environ.get("GANLAB_COMMAND")
    os.environ["GANLAB_COMMAND"] = command
    try:
        yield
    finally:
        del os.environ["GANLAB_COMMAND"]
        if before is not None:
            os.environ["GANLAB_COMMAND"] = before


def measured(claim: Claim, run: RunDirectory) -> Found:
    """What the claim keeps of a run that is over; of one that ended early, what there is. Raises UserError."""
    measure, early = _called(claim.measure, "measure"), run.status.early
    try:
        return _kept(claim, measure(run), early)
    except (LookupError, ValueError, ArithmeticError) as error:  # no such column, iteration or checkpoint, or too few rows
        if early:
            return dict.fromkeys(claim.kept())
        told = brief(f"{type(error).__name__} {error}", 80)
        raise UserError(f"measure cannot be taken of {run.path} ({told}): mend it or the setting") from error


def _computed(name: str, claim: Claim, folder: Path) -> Values:
    values: dict[int, Found] = {}
    compute = _called(claim.compute or {}, "compute")
    for seed in range(claim.seeds):
        file = folder / f"{claim.rule}-seed-{seed}.json"
        if not file.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(file, json.dumps(_kept(claim, compute(seed=seed_of(seed, name)))))
        values[seed] = json.loads(file.read_text())
    return {RUN: values}


def _trained(name: str, claim: Claim, runs: str, at_once: int, together: bool) -> Values:
    jobs = [*claim.jobs()]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        study = [f"study=reproduce-{name}", f"runs={runs}"]
        config = compose("config", overrides=study, return_hydra_config=True)
        _as_a_sweep(config)
        loader = GlobalHydra.instance().config_loader()
        batch = [[*overrides, *study] for _, _, overrides in jobs]
        names = [f"{arm}-seed-{seed}" for arm, seed, _ in jobs]
        engine: Any = Local(str(SCRIPT)) if at_once == 1 else Joblib(str(SCRIPT), at_once, None, 1)
        if together:
            engine = _ByArm(str(SCRIPT), at_once, alike(jobs, [composed(loader, config, one, Path(runs)) for one in batch]))
        planned = plan(loader, config, batch, (), engine.elsewhere, engine.threads, names)
        try:
            drive(planned, Path(config.hydra.sweep.dir), engine)
        except Unfinished:
            if not all(job.state.counts for job in planned):
                raise
    values: dict[str, dict[int, Found]] = {arm: {} for arm in claim.arms}
    for (arm, seed, _), job in zip(jobs, planned, strict=True):
        values[arm][seed] = measured(claim, RunDirectory(job.path))
    return values


def alike(jobs: Sequence[tuple[str, int, list[str]]], settings: Sequence[Settings]) -> set[str]:
    """The arms whose seeds can be played at once."""
    found = set[str]()
    for arm in {arm for arm, *_ in jobs}:
        own = [one for (its, *_), one in zip(jobs, settings, strict=True) if its == arm]
        with suppress(UserError):
            refuse_apart(own)
            refuse_settings(own[0])
            found.add(arm)
    return found


class _ByArm(Together):
    """The seeds of an arm at once where they can be, each by itself where not; `n_jobs` processes at a time."""

    def __init__(self, script: str, n_jobs: int, arms: set[str]) -> None:
        super().__init__(script, AT_ONCE, n_jobs)
        self.alike = arms

    def groups(self, jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
        arms = {job.name: job.name.rpartition("-seed-")[0] for job in jobs}
        yield from super().groups([job for job in jobs if arms[job.name] in self.alike])
        yield from ([job] for job in jobs if arms[job.name] not in self.alike)


def _as_a_sweep(config: DictConfig) -> None:
    """What Hydra fills in where it starts a program itself."""
    OmegaConf.set_readonly(config.hydra, False)
    OmegaConf.set_struct(config, False)
    config.hydra.job.config_name = "config"
    config.hydra.runtime.output_dir = "."
    OmegaConf.set_struct(config, True)


def _called(node: Mapping[str, Any], key: str) -> Callable[..., Mapping[str, float]]:
    try:
        return hydra.utils.instantiate({**node, "_partial_": True}, _convert_="all")
    except Exception as error:
        raise UserError(f"{key}: {' '.join(str(error.__cause__ or error).split())[:120]}") from error


def _kept(claim: Claim, values: Mapping[str, float], early: bool = False) -> Found:
    wanted = claim.kept()
    kept: Found = without_nan({name: float(value) for name, value in values.items() if name in wanted})
    if early:  # it has had no last scores
        return dict.fromkeys(wanted) | kept
    if missing := wanted - {*values}:
        raise UserError(f"numbers: nothing is called {sorted(missing)[0]}; there are {', '.join(sorted(values))[:120]}")
    return kept
