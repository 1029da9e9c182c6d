"""What the settings scored, what they cost, and which differences are real."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ganlab.files.status import Status
from ganlab.report import text
from ganlab.report.cells import Cell, cell
from ganlab.report.groups import Setting
from ganlab.report.improvement import probability_of_improvement
from ganlab.report.names import label, unit
from ganlab.report.ranges import difference_within, range_of
from ganlab.report.read import COUNTERS, KINDS, LAST, few
from ganlab.report.statistics import (
    ALPHA,
    Comparison,
    Interval,
    conclusion,
    contrast,
    holm,
    smallest_p,
)

PAIRWISE = 3  # settings up to which each is compared with each other
VERDICTS = ("healthy", "collapsed", "astray", "stalled", "diverged")
STATES = (Status.COMPLETED, Status.INTERRUPTED, Status.FAILED, Status.UNFINISHED)


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
    improvement: Interval | None  # the probability that a run of b is better than one of a; None where there is no better
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
    bounds = range_of(score, setting.config)
    return Row(setting.name, score, {kind: cell(x, bounds) for kind, x in values.items() if x})


def cost(setting: Setting) -> Cost:
    return Cost(
        setting.name,
        len(setting.runs),
        setting.failures,
        {state: sum(run.status is state for run in setting.runs) for state in STATES},
        {verdict: sum(run.verdict == verdict for run in setting.runs) for verdict in VERDICTS},
        {counter: setting.cost(counter) for counter in COUNTERS},
    )


def tests(
    settings: Sequence[Setting], scores: Sequence[str], lower: Mapping[str, bool | None], reference: str | None,
    given: Sequence[tuple[str, str]] | None,
) -> list[Test]:  # fmt: skip
    """Score by score; the comparisons of one score are a family, for which p is adjusted. Either the pairs that are given, or
    each setting is compared with the reference, by default the first that has the score, and few ones with each other.

    The reference is not the best one: that would be chosen by the very scores that are tested, and p would promise too much.
    """
    found = []
    for score in scores:
        values = {setting.name: x for setting in settings if (x := setting.by_seed(LAST, score))}
        bounds = range_of(score, settings[0].config)
        pairs = _pairs([*values], reference) if given is None else [(a, b) for a, b in given if a in values and b in values]
        compared = [contrast(values[a], values[b]) for a, b in pairs]
        compared = [one._replace(difference=difference_within(one.difference, bounds)) for one in compared]
        adjusted = holm([comparison.p for comparison in compared])
        lower_is_better = lower.get(score)
        for (a, b), comparison, p in zip(pairs, compared, adjusted, strict=True):
            own_unit = unit(score) if unit(score) == "nats" else ""
            said = conclusion(a, b, label(score), bool(lower_is_better), comparison, p, own_unit)
            before, after = ([*values[name].values()] for name in (a, b))
            better = None if lower_is_better is None else probability_of_improvement(before, after, lower_is_better)
            found.append(Test(score, a, b, comparison, p, lower_is_better, better, f"{said}."))
    return found


def _pairs(names: Sequence[str], reference: str | None) -> list[tuple[str, str]]:
    if reference is None and len(names) <= PAIRWISE:
        return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    first = reference or names[0]
    return [(first, name) for name in names if name != first and first in names]


class Versus(NamedTuple):
    """What settings were tested against, where each has its own counterpart: KEY=VALUE, and the names of the settings in two
    parts: their KEY=VALUE and the rest."""

    given: str
    parts: Mapping[str, tuple[str, str]]


def summary(tests: Sequence[Test], rows: Sequence[Row], versus: Versus | None = None, most: int = 6) -> list[str]:
    """What to read first: each comparison in a sentence where they are few, otherwise each score; those of the theory are many,
    and told together where they say the same."""
    if len(tests) <= most:
        return [test.text for test in tests]
    lines, alike = [], defaultdict(list)
    for score in dict.fromkeys(test.score for test in tests):
        found = [test for test in tests if test.score == score]
        said = shown_by(found, versus)
        if score.startswith("theory/"):
            alike[said].append(label(score))
        else:
            lines.append(f"{_titled(score, found[0].lower)}: {_winner(found[0], rows)}{said}.")
    return lines + [f"{', '.join(names)}: {said}." for said, names in alike.items()]


def shown_by(tests: Sequence[Test], versus: Versus | None, most: int = 3, brief: bool = False) -> str:
    """What the tests of one score have shown and what they have not, naming so many settings of each (`brief`: what is said of
    most is counted); or why they cannot."""
    if versus:
        return _versus(tests, versus, most if brief else 4 * most, brief)
    return _against(tests, most) if len({test.a for test in tests}) == 1 else _pairs_of(tests, most)


def _titled(score: str, lower: bool | None) -> str:
    return label(score) if lower is None else f"{label(score)} ({'lower' if lower else 'higher'} is better)"


def _winner(test: Test, rows: Sequence[Row]) -> str:
    cells = {row.setting: row.cells[LAST] for row in rows if row.score == test.score and LAST in row.cells}
    if test.lower is None:
        return ""
    best = (min if test.lower else max)(cell.mean.value for cell in cells.values())
    names = [setting for setting, cell in cells.items() if cell.mean.value == best]
    return f"the best mean is {text.of_cell(cells[names[0]])} of {few(names, 1)}; "


def _pairs_of(tests: Sequence[Test], most: int) -> str:
    if untold := _untold(tests, "each other"):
        return untold
    clear = [f"{t.b} {t.word('than', t.comparison.difference.value)} {t.a}" for t in tests if t.clear]
    unclear = [f"{t.b} and {t.a}" for t in tests if not t.clear]
    parts = [f"{len(clear)} of {len(tests)} pairs differ{': ' if clear else ''}{' · '.join(clear)}"]
    return "; ".join(parts + ([f"no difference shown: {few(unclear, most, ' · ')}"] if clear and unclear else []))


def _against(tests: Sequence[Test], most: int) -> str:
    reference = tests[0].a
    parts = [f"{word}: {few(found, most, ' · ')}" for word, found in _sorted(tests).items()]
    return _untold(tests, reference) or f"against {reference}, {'; '.join(parts)}"


def _versus(tests: Sequence[Test], versus: Versus, most: int, brief: bool) -> str:
    """`k=2: better with loss=hinge, no difference shown with loss=minimax; k=5: ...`"""
    said = defaultdict(list)
    for value in dict.fromkeys(versus.parts[test.b][0] for test in tests):
        found = _sorted([test for test in tests if versus.parts[test.b][0] == value])
        rest = {word: few([versus.parts[name][1] for name in names], most, " · ") for word, names in found.items()}
        main, of = max(found, key=lambda word: len(found[word])), sum(map(len, found.values()))
        if brief and len(found[main]) > 2:
            rest[main] = f"all {of}" if len(found) == 1 else f"{len(found[main])} of {of}"
        said[", ".join(f"{word} with {names}" if names else word for word, names in rest.items())].append(value)
    parts = [f"{' and '.join(values)}: {words}" for words, values in said.items()]
    return _untold(tests, versus.given) or f"against {versus.given} and all else equal, {'; '.join(parts)}"


def _sorted(tests: Sequence[Test]) -> dict[str, list[str]]:
    """The settings that are better, worse or not told apart from what they are tested against, in this order."""
    found: dict[str, list[str]] = {}
    for sign in (1, -1) if tests[0].lower is False else (-1, 1):
        found[tests[0].word("", sign)] = [t.b for t in tests if t.clear and t.comparison.difference.value * sign > 0]
    found["no difference shown"] = [t.b for t in tests if not t.clear]
    return {word: names for word, names in found.items() if names}


def _untold(tests: Sequence[Test], reference: str) -> str:
    """Why nothing can be said; empty where something can."""
    tested = [t.comparison for t in tests if not math.isnan(t.comparison.p)]
    if not tested:
        return f"nothing is tested against {reference}, for want of seeds"
    least = min(smallest_p(c.n[0], c.paired, c.n[1]) for c in tested) * len(tested)
    if least < ALPHA:
        return ""
    many = f" in {len(tests)} comparisons" if len(tests) > 1 else ""
    return f"so few seeds cannot show a difference from {reference}{many} (p after Holm is at least {min(least, 1):.2g})"
