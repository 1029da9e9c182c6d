"""hydra/launcher=...: where the jobs of a sweep run. Imported with every command: what is heavy is imported later."""

from __future__ import annotations

import os
import shlex
import sys
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, ListConfig, OmegaConf


def needs(package: str, choice: str, extra: str) -> None:
    """Raises UserError unless the package, which an extra of ganlab brings, is installed."""
    from ganlab.errors import UserError

    if find_spec(package) is None:
        raise UserError(f"{choice} needs the package {package}: pip install 'ganlab[{extra}]'")


class Ganlab(Launcher):
    """Hydra's side of a sweep: checks all jobs, then hands them to an engine."""

    config: DictConfig
    hydra_context: HydraContext

    @abstractmethod
    def engine(self, script: str) -> Any:
        """A ganlab.sweep.driver.Engine."""

    def look(self, settings: Any) -> None:
        """Raises UserError for settings that its engine cannot train."""

    def folders(self) -> list[Path] | None:
        """Where configs come from, the searchpath included; None where some of them are in no folder."""
        sources = [one for one in self.config.hydra.runtime.config_sources if one.provider not in ("hydra", "schema")]
        return [Path(one.path) for one in sources] if all(one.schema == "file" for one in sources) else None

    def preload(self, overrides: Iterable[str]) -> None:
        """Import what the jobs need, before any of it is imported as a whole."""
        from ganlab.run.tree import conf_dir, config_files
        from ganlab.sweep.pool import preload

        own = [str(key) for key in self.config if key != "hydra"]
        texts = [*overrides, OmegaConf.to_yaml(OmegaConf.masked_copy(self.config, own))]
        folders = self.folders()
        for folder in folders or []:
            if folder.resolve() != conf_dir().resolve():
                texts += [text.decode(errors="replace") for _, text in config_files(folder)]
        texts += ["_target_: unknown"] if folders is None else []
        shape = OmegaConf.select(self.config, "shape")
        preload("\n".join(texts), images=isinstance(shape, ListConfig) and len(shape) == 3)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config
        from ganlab.files.command import typed

        os.environ["GANLAB_COMMAND"] = shlex.join(typed(sys.argv))  # what made its jobs

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from ganlab.run.names import given_lines, jobs_of, split
        from ganlab.sweep.driver import drive
        from ganlab.sweep.engines import Idle
        from ganlab.sweep.jobs import mapping
        from ganlab.sweep.known import Known

        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        params = [f"{key}={value}" for key, value in (self.config.hydra.sweeper.get("params") or {}).items()]
        _, swept = split([*params, *given_lines(self.config.hydra.overrides.task)])
        folder, loader = Path(self.config.hydra.sweep.dir), self.hydra_context.config_loader
        known = Known(self.config, self.folders())
        every = [mapping(list(overrides)) for overrides in job_overrides]
        shown = [{key: values[key] for key in swept if key in values} for values in every]
        if (over := known.all(jobs_of(every, swept), job_overrides, shown)) is not None:  # without seconds of importing torch
            drive(over, folder, Idle())
            return []
        self.preload(line for overrides in job_overrides for line in overrides)
        engine = self.engine(str(Path(sys.argv[0]).resolve()))
        from ganlab.sweep.plan import plan

        where = (engine.elsewhere, engine.threads)
        jobs = plan(loader, self.config, job_overrides, swept, *where, look=self.look, known=known, begin=engine.prepare)
        known.write(jobs)
        try:
            drive(jobs, folder, engine)
        finally:
            known.write(jobs)
        return []


class Local(Ganlab):
    """hydra/launcher=local, the default."""

    def engine(self, script: str) -> Any:
        from ganlab.sweep.engines import Local as Engine

        return Engine(script)


class Joblib(Ganlab):
    """hydra/launcher=joblib."""

    def __init__(self, n_jobs: int | None, gpus: list[int] | None, per_gpu: int) -> None:
        self.given = {"n_jobs": n_jobs, "gpus": None if gpus is None else list(gpus), "per_gpu": per_gpu}

    def engine(self, script: str) -> Any:
        from ganlab.sweep.engines import Joblib as Engine

        needs("joblib", "hydra/launcher=joblib", "sweep")
        return Engine(script, **self.given)  # type: ignore[arg-type]


class Replicas(Ganlab):
    """hydra/launcher=replicas."""

    def __init__(self, at_once: int, n_jobs: int) -> None:
        self.at_once, self.n_jobs = at_once, n_jobs

    def engine(self, script: str) -> Any:
        from ganlab.sweep.engines import Together as Engine

        return Engine(script, self.at_once, self.n_jobs)

    def look(self, settings: Any) -> None:
        from ganlab.run.replicas import refuse_settings

        refuse_settings(settings)


class Submitit(Ganlab):
    """hydra/launcher=submitit."""

    def __init__(self, setup: list[str] | None, more: dict[str, Any] | None, **given: Any) -> None:
        self.given = {**given, "setup": list(setup or []), "more": dict(more or {})}

    def engine(self, script: str) -> Any:
        from ganlab.sweep.cluster import Submitit as Engine

        needs("submitit", "hydra/launcher=submitit", "slurm")
        return Engine(script, **self.given)


class Ray(Ganlab):
    """hydra/launcher=ray."""

    def __init__(self, address: str | None, cpus: float, gpus: float, at_once: int | None) -> None:
        self.given = {"address": address, "cpus": cpus, "gpus": gpus, "at_once": at_once}

    def engine(self, script: str) -> Any:
        from ganlab.sweep.rays import Ray as Engine

        needs("ray", "hydra/launcher=ray", "ray")
        return Engine(script, **self.given)  # type: ignore[arg-type]
