"""Loggers that know Lightning and nothing of ganlab, such as those of Lightning itself."""

from __future__ import annotations

from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from ganlab.loggers.base import RunLogger
from ganlab.loggers.redact import redact


class Foreign(RunLogger):
    """Hands it the rows, and the config without secrets."""

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self.logger = logger

    @property
    def name(self) -> str | None:
        return self.logger.name

    @property
    def version(self) -> int | str | None:
        return self.logger.version

    @property
    def save_dir(self) -> str | None:
        return self.logger.save_dir

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.logger.log_hyperparams(redact(params), *args, **kwargs)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.logger.log_metrics(metrics, step)

    @rank_zero_only
    def save(self) -> None:
        self.logger.save()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.logger.finalize(status)
