"""hydra/sweeper=...: which jobs a sweep has."""

from __future__ import annotations

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


def refuse_foreign(launcher: Any) -> None:
    """Raises UserError for one that trains in this process, where a job that fails would be lost or end the others."""
    if not hasattr(launcher, "engine"):
        from ganlab.errors import UserError

        raise UserError("a sweep needs a launcher of ganlab's: hydra/launcher=local, joblib, submitit or ray")


class Grid(BasicSweeper):
    """hydra/sweeper=grid, the default: each value of a key with each of the others. Unlike Hydra's own it writes nothing before
    the launcher has checked all jobs."""

    def sweep(self, arguments: list[str]) -> Any:
        assert self.hydra_context is not None
        assert self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        refuse_foreign(self.launcher)
        (batch,) = self.split_arguments(overrides, None)
        return self.launcher.launch([list(job) for job in dict.fromkeys(map(tuple, batch))], initial_job_idx=0)  # each once


class Tune(Sweeper):
    """hydra/sweeper=tune: Optuna says which jobs come next."""

    def __init__(self, params: dict[str, str] | None, **options: Any) -> None:
        self.params, self.options = dict(params or {}), options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.launcher: Any = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        from hydra_plugins.ganlab_sweep.launchers import needs

        needs("optuna", "hydra/sweeper=tune", "tune")
        refuse_foreign(self.launcher)
        lines = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        self.launcher.preload(lines)
        from ganlab.sweep.tune import search

        search(self.launcher, lines, self.options)
