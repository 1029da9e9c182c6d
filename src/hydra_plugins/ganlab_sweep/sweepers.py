"""hydra/sweeper=...: which jobs a sweep has."""

from __future__ import annotations

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser


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
