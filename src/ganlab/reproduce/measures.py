"""What a claim reads out of a run that is over: functions of its directory."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

import torch

from ganlab.errors import UserError
from ganlab.files.checkpoint import read_checkpoint
from ganlab.files.run import RunDirectory
from ganlab.files.table import read


def final(run: RunDirectory) -> dict[str, float]:
    """The last value of each score; NaN where it was not finite."""
    result = run.result or {}
    return {name: math.nan if last["value"] is None else last["value"] for name, last in result.get("final", {}).items()}


def tensor(run: RunDirectory, name: str) -> dict[str, float]:
    """A tensor of the newest checkpoint, as G.theta: theta_0, theta_1, ..."""
    checkpoint = run.newest_checkpoint()
    if checkpoint is None:
        raise UserError(f"{run.path} has no checkpoint")
    value: torch.Tensor = read_checkpoint(checkpoint)["state_dict"][name]
    short = name.rpartition(".")[2]
    return {f"{short}_{i}": each for i, each in enumerate(value.double().flatten().tolist())}


def at_iterations(run: RunDirectory, name: str, at: Sequence[int], rate: Sequence[int] = ()) -> dict[str, float]:
    """A column of metrics.csv at these iterations: at_10, at_50, ...; and `rate`, the factor of one iteration between two."""
    rows = {int(row["iteration"]): row[name] for row in read(run.table_file) if name in row}
    found = {f"at_{t}": rows[t] for t in at}
    if rate:
        start, end = rate
        found["rate"] = (rows[end] / rows[start]) ** (1 / (end - start))
    return found


def plateau(run: RunDirectory, loss: str, modes: str, missing: float, rows: int) -> dict[str, float]:
    """A loss while modes are missing, and at the end: the median over the looks at which there are only so many modes as
    `missing`, NaN where there were fewer than `rows` of them; `lost` is 1 where there were as many. KeyError
    where the table has no such columns."""
    table = [row for row in read(run.table_file) if loss in row]
    if not any(modes in row for row in table):
        raise KeyError(f"{loss} with {modes}")
    low = [row[loss] for row in table if row.get(modes) == missing]
    lost = len(low) >= rows
    return {"plateau": statistics.median(low) if lost else math.nan, "end": table[-1][loss], "lost": float(lost)}


def last(run: RunDirectory, prefix: str = "") -> Mapping[str, float]:
    """The last value of every column of metrics.csv, of which result.json has the scores only."""
    found: dict[str, float] = {}
    for row in read(run.table_file):
        found |= {name: value for name, value in row.items() if name.startswith(prefix)}
    return found


def decades(run: RunDirectory, column: str, rows: int) -> dict[str, float]:
    """How many powers of ten a column has fallen by, between the medians of its first and last so many rows; and the standard
    deviation of its second half over that of its first."""
    x = [row[column] for row in read(run.table_file) if column in row]
    early, late = statistics.median(x[:rows]), statistics.median(x[-rows:])
    halves = x[: len(x) // 2], x[len(x) // 2 :]
    before, after = (statistics.stdev(half) for half in halves)
    return {"fall": math.log10(early / late) if late > 0 else math.inf, "spread": after / before}
