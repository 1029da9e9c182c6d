"""metrics.csv as one of Lightning's loggers."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytorch_lightning.utilities.rank_zero import rank_zero_only

from ganlab.files.table import Table
from ganlab.loggers.base import RunLogger

log = logging.getLogger(__name__)


class RunTable(RunLogger):
    """One row per logged iteration; a run that goes on has the rows until `start`. `latest` holds the newest value of each
    column."""

    def __init__(self, path: Path, start: int = 0) -> None:
        super().__init__()
        self.table = Table(path, start)
        self.latest: dict[str, float] = {}
        self.problem: OSError | None = None

    @property
    def name(self) -> str:
        return "table"

    @property
    def version(self) -> str:
        return ""

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self.table.rows

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The run directory has config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.latest.update(metrics)
        with self._patiently():
            self.table.add(metrics)

    @rank_zero_only
    def save(self) -> None:
        with self._patiently():
            self.table.write(to_the_disk=True)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    @contextmanager
    def _patiently(self) -> Iterator[None]:
        """A full disk ends no training: the rows are kept, and the file is written as a whole when there is room again."""
        try:
            yield
            self.problem = None
        except OSError as error:
            if self.problem is None:
                log.warning("metrics.csv CANNOT BE WRITTEN (%s): training goes on, its rows are kept here; make room",
                            error.strerror or error)  # fmt: skip
            self.problem = error
