"""Curves over seeds, thinned to what a screen shows: the data of the report's charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from ganlab.files.status import Status
from ganlab.report.cells import FEW
from ganlab.report.comparable import scores_of
from ganlab.report.groups import Setting
from ganlab.report.improvement import share_intervals
from ganlab.report.names import EVALUATED, bare, column, label, titled
from ganlab.report.ranges import range_of
from ganlab.report.read import COUNTERS, LAST, Run
from ganlab.report.statistics import Array, curve_interval, on_grid
from ganlab.report.tables import Row

POINTS = 100  # of a curve, at most
NUMBERS = 150_000  # of all curves
BOOTSTRAPS = 2_000  # intervals of scores, a millisecond each: where curves are many, only some of their points have one
KINDS = {"eval": "scores", "theory": "theory", "health": "health", "train": "training"}

Curve = dict[str, Any]


def charts(
    settings: Sequence[Setting], rows: Sequence[Row], reference: str | None, lower: Mapping[str, bool | None],
    sections: int = 1, main: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """What report.js draws in one of so many sections, of the main score to begin with; see `_curves` and `_dots`."""
    runs = [run for setting in settings for run in setting.counted]
    order = {setting.name: number for number, setting in enumerate(settings)}
    return {
        "settings": [
            {
                "name": s.name,
                "runs": len(s.runs),
                "d_steps": _per_iteration(s, "d_steps"),
                "images": _per_iteration(s, "images"),
            }
            for s in settings
        ],
        "reference": order.get(reference or "", 0),
        "main": main,
        "shares": {
            n: [[_short(v) for v in ends] for ends in share_intervals(n)] for n in sorted({len(s.runs) for s in settings})
        },
        "scores": [_dots(score, settings, rows, lower.get(score)) for score in dict.fromkeys(row.score for row in rows)],
        **_curves(settings, runs, sections),
    }


def _per_iteration(setting: Setting, counter: str) -> float:
    iterations = setting.cost(COUNTERS[0])
    return setting.cost(counter) / iterations if iterations > 0 else 0.0


def _dots(score: str, settings: Sequence[Setting], rows: Sequence[Row], lower: bool | None) -> dict[str, Any]:
    """The last value of each seed, and its mean with the interval, for each setting that has it."""
    means = {row.setting: row.cells[LAST].mean for row in rows if row.score == score and LAST in row.cells}
    better = "" if lower is None else "lower is better" if lower else "higher is better"
    return {
        "key": score,
        "column": column(score.removeprefix(EVALUATED)),
        "title": titled(score),
        "name": label(score),
        "better": better,
        "dots": [
            {"s": number, "seeds": setting.by_seed(LAST, score), "mean": [_short(v) for v in means[setting.name]]}
            for number, setting in enumerate(settings)
            if setting.name in means
        ],
    }


def _curves(settings: Sequence[Setting], runs: Sequence[Run], sections: int) -> dict[str, Any]:
    """`grids`: iterations and mean seconds; `columns`: their curves, each of a setting on a grid, mean and interval."""
    scores = {*scores_of(runs)}
    names = [name for name in dict.fromkeys(name for run in runs for name in run.columns) if name.split("/")[0] in KINDS]
    names.sort(key=lambda name: list(KINDS).index(name.split("/")[0]))
    drawn = max(1, len(names) * len(settings))
    points = int(np.clip(NUMBERS // (3 * drawn * sections), 12, POINTS))
    scored = sum(bare(name) in scores for name in names) * len(settings)
    fewer = int(np.clip(BOOTSTRAPS // max(1, scored * sections), 12, points))
    grids: dict[str, int] = {}
    kept: list[dict[str, Any]] = []
    columns: dict[str, list[Curve]] = {name: [] for name in names}
    for number, setting in enumerate(settings):
        for name in names:
            is_score = bare(name) in scores
            if (found := _curve(setting, name, points, fewer if is_score else None)) is not None:
                grid, curve = found
                key = f"{grid}"
                if key not in grids:
                    grids[key] = len(kept)
                    kept.append(grid)
                columns[name].append({"s": number, "grid": grids[key], **curve})
    shown = [
        {"key": name, "title": titled(name), "name": label(name), "kind": KINDS[name.split("/")[0]], "curves": columns[name]}
        for name in names
        if columns[name]
    ]
    return {"grids": kept, "columns": shown}


def _curve(setting: Setting, name: str, points: int, intervals: int | None) -> tuple[dict[str, Any], Curve] | None:
    """Of the completed runs, if there are any: the mean must not jump where a run ends early. With bootstrapped intervals at
    so many points, or with Student's at all of them, within the range of the column; of FEW seeds with the seeds instead."""
    runs = [run for run in setting.counted if run.status is Status.COMPLETED] or setting.counted
    measured = []
    for run in runs:
        x, y = run.columns.get("iteration", np.zeros(0)), run.columns.get(name, np.zeros(0))
        if len(y) and (finite := np.isfinite(y)).any():
            measured.append((run, x[finite], y[finite]))
    if not measured:
        return None
    first, last = max(x[0] for _, x, _ in measured), min(x[-1] for _, x, _ in measured)
    grid = np.unique(np.concatenate([x for _, x, _ in measured]))
    grid = grid[(grid >= first) & (grid <= last)]
    if not len(grid):
        return None
    grid = grid[_some(len(grid), points)]
    values = np.stack([on_grid(x, y, grid) for _, x, y in measured])  # [n, T]
    seconds = np.stack([_seconds(run, grid) for run, _, _ in measured]).mean(0)
    curve: Curve = {"n": len(values), "mean": _list(values.mean(0))}
    if len(values) > FEW:
        least, most = range_of(name, setting.config)
        low, high = _student(values) if intervals is None else _bootstrapped(values, intervals)
        low, high = np.maximum(low, np.minimum(least, values.min(0))), np.minimum(high, np.maximum(most, values.max(0)))
        curve |= {"low": _list(low), "high": _list(high)}
    elif len(values) > 1:
        curve["seeds"] = [_list(one) for one in values]
    return {"x": [int(v) for v in grid], "seconds": _list(seconds)}, curve


def _seconds(run: Run, grid: Array) -> Array:
    seconds = run.columns.get("seconds")
    return np.full(len(grid), np.nan) if seconds is None else on_grid(run.columns["iteration"], seconds, grid)


def _some(n: int, most: int) -> NDArray[np.intp]:
    """At most so many of the indices below n, evenly, with both ends."""
    return np.unique(np.linspace(0, n - 1, most).round().astype(np.intp))


def _bootstrapped(values: Array, points: int) -> tuple[Array, Array]:
    low, high = np.full((2, values.shape[1]), np.nan)
    at = _some(values.shape[1], points)
    _, low[at], high[at] = curve_interval(values[:, at])
    return low, high


def _student(values: Array) -> tuple[Array, Array]:
    """A cheaper interval, for columns that nobody is compared by: Student's t at each point by itself."""
    mean, n = values.mean(0), len(values)
    half = float(scipy.stats.t.isf(0.025, n - 1)) * values.std(0, ddof=1) / math.sqrt(n)
    return mean - half, mean + half


def _list(values: Array) -> list[float | None]:
    return [_short(float(value)) for value in values]


def _short(value: float) -> float | None:
    """To four digits; JSON has no NaN."""
    return float(f"{value:.4g}") if math.isfinite(value) else None
