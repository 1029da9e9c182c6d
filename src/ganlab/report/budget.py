"""`--at AXIS=N`: runs as they were when they had spent so much, so that what they scored compares at an equal budget."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ganlab.errors import UserError, did_you_mean
from ganlab.files.status import Status
from ganlab.files.verdict import verdict
from ganlab.report.names import AMOUNTS, EVALUATED, column, label
from ganlab.report.read import BEST, COUNTERS, LAST, MEAN, Notes, Run, few
from ganlab.report.statistics import Array, on_grid

NEAR = 0.75  # of the budget: a score that was measured last before that is told


class Budget(NamedTuple):
    """So much of what a run spends: one of COUNTERS."""

    axis: str
    n: float

    def __str__(self) -> str:
        return f"{self.n:,.10g} {AMOUNTS[self.axis]}"

    @property
    def given(self) -> str:
        return f"{self.axis}={self.n:.10g}"

    def of(self, run: Run, iteration: int) -> float:
        """What a run had spent at an iteration; nan where its table does not say."""
        t, spent = (run.columns.get(name, np.zeros(0)) for name in ("iteration", column_of(self.axis)))
        return float(on_grid(t, spent, [iteration])[0]) if len(t) == len(spent) else math.nan


def column_of(axis: str) -> str:
    """The column of metrics.csv that counts it."""
    return "iteration" if axis == COUNTERS[0] else axis


def budget_of(text: str) -> Budget:
    axis, _, number = text.partition("=")
    if axis not in COUNTERS:
        raise UserError(f"--at {text}: {axis!r} is no budget, which is AXIS=N{did_you_mean(axis, COUNTERS)}")
    try:
        n = float(number)
    except ValueError:
        n = math.nan
    if not 0 < n < math.inf:
        raise UserError(f"--at {text}: {number!r} is no number above 0, as in --at {axis}=10000")
    return Budget(axis, n)


def at(runs: Sequence[Run], budget: Budget, lower: Mapping[str, bool | None], notes: Notes) -> list[Run]:
    """The runs with the scores, costs and verdicts of that moment. Those that completed before it are left out; those that
    diverged or were ended as collapsed before it stay as they ended, and those without a result as they are. `lower` says
    which way a score is better."""
    kept = []
    early: dict[str, list[tuple[Run, float]]] = defaultdict(list)  # score -> runs, and what they had spent when it was measured
    for run in runs:
        spent, iterations = (run.counters.get(key) or math.nan for key in (budget.axis, COUNTERS[0]))
        if not run.counts or (run.status.early and not spent >= budget.n):
            kept.append(run)
        elif column_of(budget.axis) not in run.columns:
            notes.add(f"left out, as no metrics.csv tells what it was at {budget}", run.name)
        elif not spent * (1 + 1 / iterations) > budget.n:  # one more iteration would have been within it
            notes.add(f"left out, as it ended before {budget}", run.name)
        else:
            kept.append(_at(run, budget, lower))
            for score, t in kept[-1].iterations_of.items():
                if (when := budget.of(run, t)) < NEAR * budget.n:
                    early[score].append((run, when))
            if never := [label(score) for score in run.scores[LAST] if score not in kept[-1].iterations_of]:
                notes.add(f"{few(never, 6)}: not measured up to {budget}", run.name)
            if run.status.early:
                notes.add(f"{run.status} later: counted as it was at {budget}", run.name)
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for score, found in early.items():
        ends = [f"{v:,.6g}" for v in (min(v for _, v in found), max(v for _, v in found))]
        alike[" to ".join(dict.fromkeys(ends)), *(run.name for run, _ in found)].append(score)
    for (span, *names), scores in alike.items():
        told = few([label(score) for score in scores], 6)
        notes.add(f"{told}: measured last at {span} {AMOUNTS[budget.axis]}, more than a quarter below {budget}", *names)
    return kept


def _at(run: Run, budget: Budget, lower: Mapping[str, bool | None]) -> Run:
    rows = run.columns[column_of(budget.axis)] <= budget.n
    columns = {name: y[rows] for name, y in run.columns.items()}
    t = columns["iteration"]
    scores: dict[str, dict[str, float]] = {LAST: {}, BEST: {}, MEAN: {}}
    iterations_of: dict[str, int] = {}
    for name in run.iterations_of:
        if name.startswith(EVALUATED):  # of a checkpoint up to the budget, as it is
            iterations_of[name] = run.iterations_of[name]
            scores[LAST] |= {name: run.scores[LAST][name]} if name in run.scores[LAST] else {}
            continue
        y = columns.get(column(name), np.zeros(0))
        measured = np.flatnonzero(~np.isnan(y))
        if not len(measured) or ("theory/" in name and lower.get(name) is None):  # a column of the theory that is no score
            continue
        iterations_of[name] = int(t[measured[-1]])
        finite = np.isfinite(y)
        if np.isfinite(y[measured[-1]]):
            scores[LAST][name] = float(y[measured[-1]])
        if lower.get(name) is not None and finite.any():
            scores[BEST][name] = float(y[finite].min() if lower[name] else y[finite].max())
            scores[MEAN][name] = _mean(t[finite], y[finite])
    return replace(
        run,
        status=Status.COMPLETED,
        verdict=run.verdict if rows.all() else _verdict(columns),
        scores=scores,
        iterations_of=iterations_of,
        counters={key: _end(columns.get(column_of(key))) for key in COUNTERS},
    )


def _mean(t: Array, y: Array) -> float:
    """Over iterations, by the trapezoid rule, as a run does it."""
    return float(y[0]) if len(t) == 1 else float(((y[1:] + y[:-1]) / 2 * np.diff(t)).sum() / (t[-1] - t[0]))


def _verdict(columns: Mapping[str, Array]) -> str:
    """What the run would have been called, had it ended there."""
    names = [name for name in ("iteration", "health/diversity", "health/V", "eval/modes") if name in columns]
    rows = [{name: float(columns[name][i]) for name in names} for i in range(len(columns["iteration"]))]
    return verdict([{name: v for name, v in row.items() if not math.isnan(v)} for row in rows], None).state


def _end(values: Array | None) -> float:
    return math.nan if values is None or not len(values) else float(values[-1])
