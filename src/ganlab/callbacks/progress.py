"""A bar on a terminal, and a line now and then where there is none."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ganlab.gan import GAN
from ganlab.loggers.table import RunTable

REFRESH = 0.2  # seconds between two looks at the bar, so that toys do not train for it


class ProgressBar(pl.Callback):
    """Iterations, speed, time left, and the newest values of the run's table."""

    def __init__(self, title: str, table: RunTable) -> None:
        self.title, self.table = title, table
        self.console = Console(stderr=True)
        self.bar: Progress | None = None
        self.task: TaskID | None = None
        self.next_look, self.next_line, self.start = 0.0, 0.0, (0, 0.0)

    def on_train_start(self, trainer: pl.Trainer, gan: GAN) -> None:  # type: ignore[override]
        if not trainer.is_global_zero:
            return
        self.start = (gan.iteration, time.monotonic())
        if self.console.is_terminal:
            self.bar = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                TextColumn("{task.fields[status]}"), console=self.console,
            )  # fmt: skip
            self.bar.start()
            self.task = self.bar.add_task(self.title, total=trainer.max_steps, completed=gan.iteration, status="")
        else:
            self.console.print(
                f"{self.title}: {gan.iteration:,} of {trainer.max_steps:,} iterations done", highlight=False, soft_wrap=True
            )

    def on_train_batch_end(self, trainer: pl.Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        now = time.monotonic()
        if now < self.next_look or not trainer.is_global_zero:
            return
        self.next_look = now + REFRESH
        t = gan.iteration
        speed = (t - self.start[0]) / max(now - self.start[1], 1e-9)
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=t, status=f"{speed:.3g} it/s  {self._values()}")
        elif now >= self.next_line:
            self.next_line = now + max(10.0, 0.5 * (now - self.start[1]))  # ever more rarely: a log file, not a film
            self.console.print(
                f"iteration {t:,}/{trainer.max_steps:,}  {speed:.3g} it/s  {self._values()}", highlight=False, soft_wrap=True
            )

    def _print(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)

    def _values(self) -> str:
        latest = {name: value for name, value in self.table.latest.items() if name == "train/V" or "eval/" in name}
        return "  ".join(f"{name.split('/')[1]} {value:.3g}" for name, value in latest.items())

    def on_train_end(self, trainer: pl.Trainer, gan: GAN) -> None:  # type: ignore[override]
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=gan.iteration, status=self._values())
        self._stop()

    def on_exception(self, trainer: pl.Trainer, gan: GAN, exception: BaseException) -> None:  # type: ignore[override]
        self._stop()

    def _stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
