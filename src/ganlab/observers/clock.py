"""Training time, which looking is no part of."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Wall-clock seconds of training; evaluation, pictures and checkpoints stop it. It stands until it is started."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._before = seconds
        self._since: float | None = None
        self.started = False

    @property
    def seconds(self) -> float:
        return self._before + (0.0 if self._since is None else time.perf_counter() - self._since)

    def start(self) -> None:
        self.started = True
        self._before, self._since = self.seconds, time.perf_counter()

    def add(self, seconds: float) -> None:
        """A run's share of what was spent on several while it stood."""
        self._before += seconds

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self._before, self._since = self.seconds, None
        started = self.started
        try:
            yield
        finally:
            if started:
                self.start()
