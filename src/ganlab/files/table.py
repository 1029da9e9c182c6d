"""metrics.csv: the truth about a run, without account or network."""

from __future__ import annotations

import csv
from pathlib import Path


def read(path: Path) -> list[dict[str, float]]:
    """The rows of a metrics.csv; a value that was not measured at an iteration is absent from its row."""
    with path.open(newline="") as file:
        return [{name: _number(value) for name, value in row.items() if value != ""} for row in csv.DictReader(file)]


def _number(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        return float(text)
