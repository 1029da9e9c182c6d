"""What is sought in a search, and what a trial's jobs came to."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import hydra
from optuna.trial import FrozenTrial, TrialState
from pydantic_core import PydanticCustomError

from ganlab.errors import UserError, did_you_mean
from ganlab.files.status import Status
from ganlab.metrics.several import kinds
from ganlab.observers.measure import BEST
from ganlab.settings import Settings
from ganlab.sweep.jobs import Job

KINDS = {"last": "final", "best": "best", "mean": "mean"}  # as result.json calls them
OPEN = {Status.INTERRUPTED, Status.WAITING, Status.UNSAVED}  # of a job that goes on when the search is started again
STATES = {TrialState.COMPLETE: "completed", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
          TrialState.RUNNING: "running", TrialState.WAITING: "running"}  # fmt: skip


def not_renamed(value: Any) -> Any:
    """`hydra.sweeper.value`, unless it has another name now."""
    if value == "area":
        raise PydanticCustomError("renamed", "it is called mean now")
    return value


def aim(settings: Settings, metric: str | None, value: str, direction: str | None) -> tuple[str, str]:
    """What is sought, and in which direction."""
    scores = directions(settings)
    metric = metric or next((name for name, known in scores.items() if known), None)
    if metric is None:
        raise UserError("there is no score to search by: give hydra.sweeper.metric=NAME, as theory/jsd, or metrics=NAME")
    known = direction_of(settings, metric)
    if metric not in scores and not (metric.startswith("theory/") and settings.theory.instrument is not None):
        raise UserError(f"hydra.sweeper.metric = {metric} is not scored here{did_you_mean(metric, scores)}")
    if known is None and (direction is None or value != "last"):
        raise UserError(f"hydra.sweeper.metric = {metric} has no better end: give hydra.sweeper.direction=minimize or maximize"
                        " with hydra.sweeper.value=last")  # fmt: skip
    return metric, direction or str(known)


def directions(settings: Settings) -> dict[str, str | None]:
    """Of each score, as its own class has it; None where it has no better end, or no class that can be found."""
    found = dict[str, str | None]()
    for key, node in settings.metrics.scores.items():
        try:
            scores = kinds(key, hydra.utils.get_object(node.get("_target_", "")))
        except (ImportError, ValueError):  # told when it is built
            found[key] = None
            continue
        for name, kind in scores.items():
            higher = getattr(kind, "higher_is_better", None)
            found[name] = None if higher is None else "maximize" if higher else "minimize"
    return found


def direction_of(settings: Settings, metric: str) -> str | None:
    if metric in (scores := directions(settings)):
        return scores[metric]
    name = metric.removeprefix("theory/")
    known = name != metric and settings.theory.instrument is not None and name.removeprefix("ema_") in BEST
    return "minimize" if known else None


def outcome(jobs: Sequence[Job], metric: str, kind: str) -> tuple[TrialState, list[float], str, int] | None:
    """The state of a trial, the value of each seed that has one, a note, and the iteration up to which all was well. None where
    it is not over. One seed that diverges or collapses prunes it: there is no mean of what is not there."""
    if {job.state for job in jobs} & OPEN:
        return None
    if broken := next((job for job in jobs if job.state in (Status.FAILED, Status.KILLED)), None):
        return TrialState.FAIL, [], f"{broken.state}: {broken.note}"[:300], 0
    values, lost = list[float](), list[tuple[int, str]]()
    for job in jobs:
        result = job.result
        found, last = result["verdict"], int(result["iterations"])
        if found["state"] in (Status.DIVERGED, Status.COLLAPSED):
            lost.append((int(found["since"] or last), f"{found['state']} from iteration {found['since']:,} on: {found['why']}"))
            continue
        if metric not in result[kind]:
            raise UserError(
                f"{job.name} has no score {metric}: there are {', '.join(result[kind]) or 'none'}; name a new study=NAME"
            )
        value = result[kind][metric]["value"]
        if value is None:
            lost.append((last, f"{metric} is not finite"))
        else:
            values.append(float(value))
    if lost:
        lasted, why = min(lost)
        return TrialState.PRUNED, values, f"{len(lost)} of {len(jobs)} seeds: {why}" if len(jobs) > 1 else why, lasted
    return TrialState.COMPLETE, values, "", 0


def value_of(trial: FrozenTrial) -> float | None:
    return trial.value if trial.state == TrialState.COMPLETE else None  # Optuna gives pruned ones their last reading


def spread_of(trial: FrozenTrial) -> float | None:
    values = trial.user_attrs.get("values", ())
    return statistics.stdev(values) if trial.state == TrialState.COMPLETE and len(values) > 1 else None
