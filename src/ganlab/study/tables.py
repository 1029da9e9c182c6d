"""What the settings scored, what they cost, and which differences are real."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from ganlab.errors import UserError, did_you_mean
from ganlab.study import text
from ganlab.study.comparable import lower_is_better
from ganlab.study.groups import Setting
from ganlab.study.names import label, unit
from ganlab.study.read import COUNTERS, KINDS, LAST, Run, few
from ganlab.study.statistics import (
    ALPHA,
    Comparison,
    Interval,
    compare,
    holm,
    interquartile_mean,
    mean_interval,
    sentence,
    smallest_p,
)

PAIRWISE = 3  # settings up to which each is compared with each other
VERDICTS = ("healthy", "collapsed", "stalled", "diverged")
STATES = ("completed", "interrupted", "failed", "unfinished")


class Cell(NamedTuple):
    """One kind of value (last, best, area) of one score over the seeds of a setting."""

    n: int
    mean: Interval  # the ends are nan where there is one seed
    middle: float  # the interquartile mean


class Row(NamedTuple):
    setting: str
    score: str
    cells: dict[str, Cell]  # by kind; a kind without a finite value is absent


class Cost(NamedTuple):
    """How the runs of a setting ended, and what they took on average."""

    setting: str
    runs: int
    failures: int
    states: dict[str, int]
    verdicts: dict[str, int]
    means: dict[str, float]  # by counter; nan where no run ended well


class Test(NamedTuple):
    """Setting b against setting a, on the last value of a score."""

    score: str
    a: str
    b: str
    comparison: Comparison
    p_adjusted: float
    lower: bool | None  # whether a lower score is the better one; None where there is no better
    text: str

    @property
    def clear(self) -> bool:
        return self.p_adjusted < ALPHA

    def word(self, than: str, difference: float) -> str:
        """What a score is whose difference from another has this sign: `better than`, `lower than`."""
        if self.lower is None:
            return f"{'lower' if difference < 0 else 'higher'} {than}".rstrip()
        return f"{'better' if (difference < 0) == self.lower else 'worse'} {than}".rstrip()


def rows(settings: Sequence[Setting], scores: Sequence[str]) -> list[Row]:
    """Score by score, in the order of the settings."""
    return [row for score in scores for setting in settings if (row := _row(setting, score)).cells]


def _row(setting: Setting, score: str) -> Row:
    values = {kind: [*setting.by_seed(kind, score).values()] for kind in KINDS}
    return Row(setting.name, score, {kind: cell(x) for kind, x in values.items() if x})


def cell(x: Sequence[float]) -> Cell:
    return Cell(len(x), mean_interval(x) or Interval(x[0], math.nan, math.nan), interquartile_mean(x))


def cost(setting: Setting) -> Cost:
    return Cost(
        setting.name,
        len(setting.runs),
        setting.failures,
        {state: sum(run.status == state for run in setting.runs) for state in STATES},
        {verdict: sum(run.verdict == verdict for run in setting.runs) for verdict in VERDICTS},
        {counter: setting.cost(counter) for counter in COUNTERS},
    )


def refuse_unknown(reference: str | None, settings: Sequence[Setting]) -> None:
    names = [setting.name for setting in settings]
    if reference is not None and reference not in names:
        raise UserError(f"--reference {reference!r} is not one of the settings{did_you_mean(reference, names)}")


def tests(settings: Sequence[Setting], runs: Sequence[Run], scores: Sequence[str], reference: str | None) -> list[Test]:
    """Score by score; the comparisons of one score are a family, for which p is adjusted. Of many settings, each is compared
    with the reference, by default the first that has the score, and not with each other.

    The reference is not the best one: that would be chosen by the very scores that are tested, and p would promise too much.
    """
    found = []
    for score in scores:
        values = {setting.name: x for setting in settings if (x := setting.by_seed(LAST, score))}
        pairs = _pairs([*values], reference)
        compared = [compare(values[a], values[b]) for a, b in pairs]
        adjusted = holm([comparison.p for comparison in compared])
        lower = lower_is_better(runs, score)
        for (a, b), comparison, p in zip(pairs, compared, adjusted, strict=True):
            said = sentence(a, b, label(score), bool(lower), comparison, p, unit(score) if unit(score) == "nats" else "")
            found.append(Test(score, a, b, comparison, p, lower, f"{said}."))
    return found


def _pairs(names: Sequence[str], reference: str | None) -> list[tuple[str, str]]:
    if reference is None and len(names) <= PAIRWISE:
        return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    first = reference or names[0]
    return [(first, name) for name in names if name != first and first in names]


def summary(tests: Sequence[Test], rows: Sequence[Row], most: int = 6) -> list[str]:
    """What to read first: each comparison in a sentence where they are few, otherwise each score; those of the theory are many,
    and told together where they say the same."""
    if len(tests) <= most:
        return [test.text for test in tests]
    lines, alike = [], defaultdict(list)
    for score in dict.fromkeys(test.score for test in tests):
        found = [test for test in tests if test.score == score]
        said = _against(found) if len({test.a for test in found}) == 1 else _pairs_of(found)
        if score.startswith("theory/"):
            alike[said].append(label(score))
        else:
            lines.append(f"{_titled(score, found[0].lower)}: {_winner(found[0], rows)}{said}.")
    return lines + [f"{', '.join(names)}: {said}." for said, names in alike.items()]


def _titled(score: str, lower: bool | None) -> str:
    return label(score) if lower is None else f"{label(score)} ({'lower' if lower else 'higher'} is better)"


def _winner(test: Test, rows: Sequence[Row]) -> str:
    cells = {row.setting: row.cells[LAST] for row in rows if row.score == test.score and LAST in row.cells}
    if test.lower is None:
        return ""
    best = (min if test.lower else max)(cell.mean.value for cell in cells.values())
    names = [setting for setting, cell in cells.items() if cell.mean.value == best]
    return f"the best mean is {text.interval(cells[names[0]].mean)} of {few(names, 1)}; "


def _pairs_of(tests: Sequence[Test]) -> str:
    clear = [f"{t.b} {t.word('than', t.comparison.difference.value)} {t.a}" for t in tests if t.clear]
    return f"{len(clear)} of {len(tests)} pairs differ{': ' if clear else ''}{' · '.join(clear)}"


def _against(tests: Sequence[Test]) -> str:
    parts, reference = [], tests[0].a
    for sign in (1, -1) if tests[0].lower is False else (-1, 1):  # the better ones first
        if found := [t.b for t in tests if t.clear and t.comparison.difference.value * sign > 0]:
            parts.append(f"{tests[0].word('', sign)}: {few(found, separator=' · ')}")
    tested = [t.comparison for t in tests if not math.isnan(t.comparison.p)]
    if not tested:
        return f"nothing is tested against {reference}, for want of seeds"
    least = min(smallest_p(c.n[0], c.paired, c.n[1]) for c in tested) * len(tested)
    if least >= ALPHA:
        many = f" in {len(tests)} comparisons" if len(tests) > 1 else ""
        return f"so few seeds cannot show a difference from {reference}{many} (p after Holm is at least {min(least, 1):.2g})"
    if unclear := [t.b for t in tests if not t.clear]:
        parts.append(f"no difference shown: {few(unclear, separator=' · ')}")
    return f"against {reference}, {'; '.join(parts)}"
