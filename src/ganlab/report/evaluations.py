"""Scores that `ganlab evaluate` found after training, beside those of a run, each by another name: `evaluated/fid`."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from ganlab.files.saved import json_of
from ganlab.metrics.cards import Card, differing
from ganlab.report.budget import Budget
from ganlab.report.comparable import way
from ganlab.report.names import EVALUATED, label
from ganlab.report.read import COUNTERS, LAST, Notes, Run


class Evaluation(NamedTuple):
    score: str
    value: float  # nan where it could not be computed
    card: Card
    iteration: int  # of the checkpoint
    finished: str


def evaluated(runs: Sequence[Run], budget: Budget | None, notes: Notes) -> list[Run]:
    """The runs with what lies in their `evaluations`: of checkpoints up to the budget, if there is one. Where a run was
    evaluated in several ways (their cards tell), the way is taken in which most runs were, of equally many the newest; and of
    that the newest checkpoint, last evaluated."""
    found: dict[str, dict[Run, list[Evaluation]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        for each in _read(run, notes) if run.counts else ():
            if budget is None or budget.of(run, each.iteration) <= budget.n:
                found[each.score][run].append(each)
    chosen: dict[Run, list[Evaluation]] = defaultdict(list)
    for of_runs in found.values():
        usual = Counter(how for own in of_runs.values() for how in {way(each.card) for each in own})
        several = [each for own in of_runs.values() for each in own]
        newest = {way(each.card): each.finished for each in sorted(several, key=lambda each: each.finished)}
        for run, own in of_runs.items():
            best = max(own, key=lambda e: (usual[way(e.card)], newest[way(e.card)], way(e.card), e.iteration, e.finished))
            chosen[run].append(best)
            for other in {how: each for each in own if (how := way(each.card)) != way(best.card)}.values():
                how = "; ".join(differing(other.card, best.card))
                told = f"also has {label(best.score)} in another way ({how}), in which fewer runs have it, or earlier ones"
                notes.add(f"{told}: not shown", run.name)
            if budget is None and best.iteration < run.counters[COUNTERS[0]]:
                notes.add(f"{label(best.score)} is of a checkpoint at iteration {best.iteration:,}, not of the last", run.name)
    return [_with(run, chosen[run]) if run in chosen else run for run in runs]


def _read(run: Run, notes: Notes) -> Iterator[Evaluation]:
    for file in sorted((run.path / "evaluations").glob("*.json")):
        try:
            content = json_of(file.read_text())
            yield from [
                Evaluation(
                    f"{EVALUATED}{name}",
                    math.nan if entry["value"] is None else float(entry["value"]),
                    {**content["cards"][name]},
                    int(content["iteration"]),
                    str(content["finished"]),
                )
                for name, entry in content["scores"].items()
            ]
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            notes.add("a damaged file of ganlab evaluate: left out", f"{run.name}/evaluations/{file.name}")


def _with(run: Run, chosen: Sequence[Evaluation]) -> Run:
    last = {each.score: each.value for each in chosen if math.isfinite(each.value)}
    return replace(
        run,
        scores={**run.scores, LAST: {**run.scores[LAST], **last}},
        iterations_of={**run.iterations_of, **{each.score: each.iteration for each in chosen}},
        cards={**run.cards, **{each.score: each.card for each in chosen}},
    )
