"""What a run tells its loggers beside rows and its config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger


class RunLogger(Logger):
    """A logger of Lightning's that may also care for pictures, for a run that goes on, and for how it ended."""

    def log_picture(self, key: str, path: Path, step: int) -> None:
        """Samples at an iteration, already a file."""

    def go_on(self, start: int, rows: Sequence[Mapping[str, float]]) -> None:
        """Before the first row of a run that goes on after iteration `start`, with the rows until there."""

    def close(self, result: dict[str, Any], figures: Sequence[Path]) -> list[str]:
        """After the last row, in the first process only; lines that tell the user where to look."""
        return []
