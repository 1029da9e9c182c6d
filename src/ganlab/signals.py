"""What Ctrl-C, a closed terminal and a cluster that wants its node back do: it depends on what is at hand. Imports nothing that
takes time, so that a process listens from its first moment on."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ganlab.errors import Abandoned, Interrupted

AGAIN = 1.0  # seconds in which a second signal is the same one: a terminal and a cluster may both tell every process
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
EXIT, END, NOTE, ABANDON = "exit", "end", "note", "abandon"
TEMPFAIL = 75  # EX_TEMPFAIL: start it again
NOTHING_YET = "interrupted before anything was trained: start it again"


class Signals:
    """`received` says when the first one came, 0.0 while there is none.

    A signal ends what has no result yet (EXIT: the process, while it imports; END: Interrupted is raised there), is noted where
    an iteration or a checkpoint is to be finished (NOTE), or has something abandoned that can be done again, as an evaluation
    (ABANDON: raises Abandoned). A second one, a second later, ends the process at once. What is ignored, as SIGHUP under nohup,
    stays so.
    """

    def __init__(self) -> None:
        self.received, self.mode = 0.0, END
        self._before: dict[signal.Signals, Any] = {}

    @property
    def listening(self) -> bool:
        return bool(self._before)

    def listen(self, mode: str = END) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if not self._before:
            self.received = 0.0
        self.mode = mode
        for number in NUMBERS:
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN and before != self._come:
                self._before[number] = before
                signal.signal(number, self._come)

    def restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before, self.mode = {}, END

    @contextmanager
    def listened(self) -> Iterator[None]:
        """For a run within another program, whose handlers come back afterwards."""
        if self.listening:
            yield
            return
        self.listen()
        try:
            yield
        finally:
            self.restore()

    @contextmanager
    def doing(self, mode: str) -> Iterator[None]:
        """Within it a signal does what the mode says; one that has come before has what is to be abandoned not begun."""
        before, self.mode = self.mode, mode
        try:
            if mode == ABANDON and self.received:
                raise Abandoned
            yield
        finally:
            self.mode = before

    def _come(self, number: int, frame: FrameType | None) -> None:
        now, first = time.monotonic(), not self.received
        if not first and now - self.received > AGAIN:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif first:
            self.received = now
            if self.mode == EXIT:
                os.write(2, f"ganlab: {NOTHING_YET}\n".encode())
                os._exit(TEMPFAIL)
            if self.mode == END:
                raise Interrupted(NOTHING_YET)
            if self.mode == ABANDON:
                raise Abandoned


SIGNALS = Signals()


def listen() -> None:
    """As the first thing that a command does, before it imports what takes seconds."""
    SIGNALS.listen(EXIT)
