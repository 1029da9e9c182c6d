"""A bar on a terminal, and a line now and then where there is none."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ganlab.files.elapsed import largest_unit
from ganlab.game.module import GAN
from ganlab.loggers.table import RunTable

REFRESH = 0.2  # seconds between two looks, so that toys do not train for the bar
SETTLED = 5.0  # seconds after which the speed says how long the rest takes; the first iteration is a slow one


class ProgressBar(pl.Callback):
    """Iterations, speed and time left, and under them the newest scores of the run's table."""

    def __init__(self, title: str, table: RunTable) -> None:
        self.title, self.table = title, table
        self.console = Console(stderr=True)
        self.bar = Progress(
            BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]:.3g} it/s"), TimeRemainingColumn()
        )
        self.live: Live | None = None
        self.next_look, self.next_line, self.start = 0.0, 0.0, (0, 0.0)

    def on_train_start(self, trainer: pl.Trainer, gan: GAN) -> None:  # type: ignore[override]
        if not trainer.is_global_zero:
            return
        self.start = (gan.t, time.monotonic())
        self._print(f"{self.title}: {gan.t:,} of {trainer.max_steps:,} iterations done")
        if self.console.is_terminal:
            self.bar.add_task("", total=trainer.max_steps, completed=gan.t, speed=0.0)
            self.live = Live(Group(self.bar, ""), console=self.console, refresh_per_second=1 / REFRESH)
            self.live.start()

    def on_train_batch_end(self, trainer: pl.Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        now, t = time.monotonic(), gan.t
        last = t == trainer.max_steps or trainer.should_stop
        if not trainer.is_global_zero or (now < self.next_look and not last):
            return
        self.next_look = now + REFRESH
        speed = (t - self.start[0]) / max(now - self.start[1], 1e-9)
        if self.live is not None:
            self.bar.update(self.bar.task_ids[0], completed=t, speed=speed)
            self.live.update(Group(self.bar, self._values()))
        elif now >= self.next_line or last:
            self.next_line = now + max(10.0, 0.5 * (now - self.start[1]))  # ever more rarely: a log file, not a film
            known = now - self.start[1] >= SETTLED and not last
            left = f"{largest_unit((trainer.max_steps - t) / max(speed, 1e-9))} left  " if known else ""
            self._print(f"iteration {t:,}/{trainer.max_steps:,}  {speed:.3g} it/s  {left}{self._values()}")

    def _print(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)

    def _values(self) -> str:
        latest = {name: value for name, value in self.table.latest.items() if name == "train/V" or "eval/" in name}
        return "  ".join(f"{name.split('/')[1]} {value:.3g}" for name, value in latest.items())

    def on_train_end(self, trainer: pl.Trainer, gan: GAN) -> None:  # type: ignore[override]
        self._stop()

    def on_exception(self, trainer: pl.Trainer, gan: GAN, exception: BaseException) -> None:  # type: ignore[override]
        self._stop()

    def _stop(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None
