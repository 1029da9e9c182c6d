"""What a run says, where nobody may be reading: a pipe that was closed and a disk that is full end no training."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Patient:
    """A stream whose first failure is its last word: what is written to it afterwards goes nowhere."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return int(self._stream.write(text))
        except (OSError, ValueError):
            self._give_up()
            return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._give_up()

    def _give_up(self) -> None:
        """The stream itself now leads nowhere, for what other libraries write to it, and for Python at its end."""
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            self._stream.flush()
        except (OSError, ValueError, AttributeError):
            self._stream = open(os.devnull, "w")  # noqa: SIM115, PTH123  (for as long as the process lasts)

    def __iter__(self) -> Any:
        return iter(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def patient() -> None:
    """As the first thing that a command does."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123
        elif not isinstance(stream, _Patient):
            setattr(sys, name, _Patient(stream))


@contextmanager
def beside_the_point() -> Iterator[None]:
    """Without what Lightning warns of and nobody can heed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec")  # Lightning's own code, against torch 2.15
        warnings.filterwarnings("ignore", "The `srun` command is available")  # a sweep calls it, and nothing else has to
        yield
