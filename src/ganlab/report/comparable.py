"""Which values may stand side by side: those whose cards say that they were obtained alike."""

from __future__ import annotations

import ast
import importlib.util
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ganlab.metrics.cards import OF_A_RUN, Card, differing
from ganlab.report.names import bare, column, label
from ganlab.report.read import BEST, LAST, Notes, Run, few


def comparable(runs: Sequence[Run], notes: Notes) -> list[Run]:
    """The runs without the scores that were obtained in another way than in most runs; each way is told in one sentence."""
    refused: dict[Run, set[str]] = defaultdict(set)
    told: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)  # (how they differ, runs) -> scores
    for score in scores_of(runs):
        having = [run for run in runs if score in run.scores[LAST]]
        ways = Counter(way(run.card(score)) for run in having)
        usual = ways.most_common(1)[0][0]  # of equally many, the first
        reference = next(run.card(score) for run in having if way(run.card(score)) == usual)
        others: dict[str, list[Run]] = defaultdict(list)
        for run in having:
            if (how := way(run.card(score))) != usual:
                others[how].append(run)
        for group in others.values():
            how = (
                "; ".join(differing(group[0].card(score) or {}, reference or {})) if reference and group[0].card(score) else ""
            )
            told[how, tuple(run.name for run in group)].append(score)
            for run in group:
                refused[run].add(score)
    for (how, names), scores in told.items():
        why = f"not obtained as in the other runs ({how})" if how else "without a card that says how it was obtained"
        notes.add(f"left out of the comparison of {', '.join(map(label, scores))}: {why}", *names)
    return [_without(run, refused[run]) if run in refused else run for run in runs]


def scores_of(runs: Sequence[Run]) -> list[str]:
    """In the order in which the runs have them; those of the theory come last."""
    names = dict.fromkeys(name for run in runs for name in run.scores[LAST])
    return sorted(names, key=lambda name: name.startswith("theory/"))


def senses(runs: Sequence[Run]) -> dict[str, bool | None]:
    """For each score whether lower is better; None where there is no better."""
    return {score: lower_is_better(runs, score) for score in scores_of(runs)}


def lower_is_better(runs: Sequence[Run], score: str) -> bool | None:
    """From which end of its curve a run took the best value; where no curve says so, by the class of the metric. None where
    there is no better."""
    for run in runs:
        best, curve = run.scores[BEST].get(score), run.columns.get(column(score))
        seen = [run.scores[LAST].get(score), *([] if curve is None else curve)]
        values = [float(value) for value in seen if value is not None and abs(value) < float("inf")]  # nan is not
        if best is not None and min(values, default=best) < max(values, default=best):
            return abs(best - min(values)) < abs(best - max(values))
    card = next((card for run in runs if score not in run.undirected and (card := run.card(score))), None)
    module, _, name = str((card or {}).get("metric")).rpartition(".")
    if not module.startswith("ganlab.metrics."):
        return None
    higher = _says(module, name)
    return None if higher is None else not higher


def _says(module: str, name: str) -> bool | None:
    """`higher_is_better` of a class of ganlab's, from its source where that says it: torchmetrics takes seconds."""
    try:
        spec = importlib.util.find_spec(module)
        classes = {node.name: node for node in ast.parse(Path(str(spec and spec.origin)).read_text()).body
                   if isinstance(node, ast.ClassDef)}  # fmt: skip
        for line in classes[name].body:
            if isinstance(line, ast.Assign) and any(
                isinstance(to, ast.Name) and to.id == "higher_is_better" for to in line.targets
            ):
                return bool(ast.literal_eval(line.value))
        found: bool | None = getattr(getattr(importlib.import_module(module), name), "higher_is_better", None)
    except (ImportError, AttributeError, OSError, ValueError, KeyError):
        return None
    return found


def partly(runs: Sequence[Run], names: dict[Run, str], notes: Notes) -> None:
    """Tells of scores that some settings do not have."""
    missing: dict[tuple[str, ...], list[str]] = defaultdict(list)
    everyone = dict.fromkeys(names[run] for run in runs if run.counts)
    for score in scores_of(runs):
        having = {names[run] for run in runs if score in run.scores[LAST]}
        if lacking := tuple(name for name in everyone if name not in having):
            missing[lacking].append(score)
        not_finite = [run.name for run in runs if run.counts and score in run.iterations_of and score not in run.scores[LAST]]
        if not_finite:
            notes.add(f"the last {label(score)} is not finite: it is left out of the mean, which flatters", *not_finite)
    for lacking, scores in missing.items():
        notes.add(f"{few([label(score) for score in scores], 6)}: no values of {few(lacking, separator=' · ')}.")


def way(card: Card | None) -> str:
    """How a number was obtained: the same text for two that may be compared."""
    card = card or {}
    skipped = (*OF_A_RUN, *(["reference"] if card.get("reference_sha256") is not None else []))  # as `differing` does
    return json.dumps({key: value for key, value in card.items() if key not in skipped}, sort_keys=True, default=str)


def _without(run: Run, refused: set[str]) -> Run:
    scores = {kind: {k: v for k, v in values.items() if k not in refused} for kind, values in run.scores.items()}
    last = {k: v for k, v in run.iterations_of.items() if k not in refused}  # what is refused is not one that is not finite
    columns = {k: v for k, v in run.columns.items() if bare(k) not in refused}
    return replace(run, scores=scores, iterations_of=last, columns=columns)
