"""metrics.csv: the truth about a run, without account or network."""

from __future__ import annotations

import csv
from argparse import Namespace
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from ganlab.files.table import read

KINDS = ("train", "eval", "theory", "health")  # the groups of columns, in their order


class RunTable(Logger):
    """One row per logged iteration. Values of one iteration are merged; the file is replaced as a whole, so a reader never
    sees half a row, and its columns grow with what is measured. Rows after `start` (a resumed run's checkpoint) are dropped.

    `latest` holds the newest value of each column.
    """

    def __init__(self, path: Path, start: int = 0, flush_every: int = 20) -> None:
        super().__init__()
        self.path, self.flush_every = path, flush_every
        self.rows: list[dict[str, Any]] = []
        self.latest: dict[str, float] = {}
        self._unwritten = 0
        if path.exists():
            self.rows = [row for row in read(path) if row["iteration"] <= start]

    @property
    def name(self) -> str:
        return "table"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The run directory has config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.latest.update(metrics)
        if self.rows and self.rows[-1]["iteration"] == metrics["iteration"]:
            self.rows[-1].update(metrics)
        else:
            self.rows.append(dict(metrics))
            self._unwritten += 1
        if self._unwritten >= self.flush_every:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        columns.sort(key=lambda name: KINDS.index(name.split("/")[0]) if "/" in name else -1)  # counters come first
        half = self.path.with_name(self.path.name + ".tmp")
        with half.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows)
        half.replace(self.path)
        self._unwritten = 0

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()
