"""What a run tells its loggers beside rows and its config."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger


def harmless(method: Callable[..., Any]) -> Callable[..., Any]:
    """What goes wrong in somebody else's logger is told once, as a warning, and training goes on."""

    @wraps(method)
    def attempt(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except Exception as error:  # whatever it raises
            self.warn(error, "may be incomplete there; metrics.csv has all rows")

    return attempt


class RunLogger(Logger):
    """A logger of Lightning's that may also care for pictures, for a run that goes on, and for how it ended."""

    def log_picture(self, key: str, path: Path, step: int) -> None:
        """Samples at an iteration, already a file."""

    def go_on(self, start: int, rows: Sequence[Mapping[str, float]]) -> None:
        """Before the first row of a run that goes on after iteration `start`, with the rows until there."""

    def close(self, result: dict[str, Any], figures: Sequence[Path]) -> list[str]:
        """After the last row, in the first process only; lines that tell the user where to look."""
        return []
