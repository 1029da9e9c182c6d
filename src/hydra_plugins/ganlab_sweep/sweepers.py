"""hydra/sweeper=...: which jobs a sweep has."""

from __future__ import annotations

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class Grid(BasicSweeper):
    """hydra/sweeper=grid, the default: each value of a key with each of the others. Unlike Hydra's own it writes nothing before
    the launcher has checked all jobs."""

    def sweep(self, arguments: list[str]) -> Any:
        assert self.hydra_context is not None
        assert self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        (batch,) = self.split_arguments(overrides, None)
        return self.launcher.launch(batch, initial_job_idx=0)


class Tune(Sweeper):
    """hydra/sweeper=tune: Optuna says which jobs come next."""

    def __init__(self, params: dict[str, str] | None, **options: Any) -> None:
        self.params, self.options = dict(params or {}), options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        from ganlab.errors import UserError
        from hydra_plugins.ganlab_sweep.launchers import needs

        needs("optuna", "hydra/sweeper=tune", "tune")
        if not hasattr(self.launcher, "engine"):
            raise UserError("hydra/sweeper=tune goes with the launchers of ganlab: hydra/launcher=local, joblib, ...")
        from ganlab.sweep.tune import search

        lines = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        search(self.launcher, lines, self.options)
