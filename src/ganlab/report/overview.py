"""The first screen of a report: the main score of every setting in one picture, best first, and what it says in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.ticker import LogLocator, MaxNLocator

from ganlab.errors import UserError, did_you_mean
from ganlab.report import text
from ganlab.report.cells import Cell
from ganlab.report.groups import Setting
from ganlab.report.names import MAIN, spoken, unit
from ganlab.report.ranges import modes_of
from ganlab.report.read import LAST
from ganlab.report.statistics import ALPHA
from ganlab.report.tables import Cost, Row, Test, Versus, shown_by

SHOWN = 12  # settings of a forest plot; of more, a heat map where they make a grid
FILLED = 2 / 3  # of a grid, to be one
ACROSS = 7  # columns of a heat map, at most
WIDE = 20.0  # times the least mean: beyond, an axis is logarithmic
NAMED = 3  # settings in a sentence


class Scored(NamedTuple):
    """The main score of one setting."""

    setting: str
    cell: Cell
    versus: str  # better, worse or unshown, of what the tests are against; `reference` is that itself; empty without a test


class Axis(NamedTuple):
    """Of the picture: from `low` to `high`, by its logarithm or not."""

    low: float
    high: float
    log: bool
    ticks: tuple[float, ...]

    def at(self, x: float) -> float:
        """Where x lies, in % of the width."""
        low, high, x = (math.log(max(v, 1e-300)) if self.log else v for v in (self.low, self.high, x))
        return min(100.0, max(0.0, 100 * (x - low) / (high - low)))


class Heat(NamedTuple):
    """Settings that make a grid: a row for each value of one key, or of several; rows with the best mean first."""

    down: str  # the key of the rows, if it is one; otherwise their names have their keys
    across: str  # the key of the columns
    columns: list[str]
    rows: list[tuple[str, list[Scored | None]]]


class Overview(NamedTuple):
    """What is to be seen first of the settings on one data set."""

    score: str
    lower: bool | None
    against: str
    marks: list[Scored]  # best first
    axis: Axis
    heat: Heat | None
    sentences: list[str]  # what was best, and what was shown

    @property
    def title(self) -> str:
        own = f" [{unit(self.score)}]" if unit(self.score) else ""
        better = "" if self.lower is None else ", lower is better" if self.lower else ", higher is better"
        return f"{spoken(self.score)}{own}{better}"

    def shade(self, mark: Scored) -> float:
        """0 for the best mean there is, 100 for the worst."""
        ends = [self.axis.at(each.cell.mean.value) for each in (self.marks[0], self.marks[-1])]
        here = self.axis.at(mark.cell.mean.value)
        return 100 * (here - ends[0]) / (ends[1] - ends[0]) if ends[0] != ends[1] else 0.0


def main_score(scores: Sequence[str], lower: Mapping[str, bool | None], asked: str | None = None) -> str | None:
    """The score that a comparison is about: the one that was asked for, the first of MAIN, or of those with a better end."""
    if asked is not None:
        return asked if asked in scores else None
    directed = [score for score in scores if lower.get(score) is not None]
    return next((score for score in (*MAIN, *directed, *scores) if score in scores), None)


def refuse_unknown_score(asked: str | None, scores: Sequence[str]) -> None:
    if asked is not None and asked not in scores:
        raise UserError(f"--score {asked}: no run has that{did_you_mean(asked, dict.fromkeys(scores))}")


def overview(
    score: str | None, settings: Sequence[Setting], rows: Sequence[Row], tests: Sequence[Test], lower: bool | None,
    against: str, versus: Versus | None,
) -> Overview | None:  # fmt: skip
    """None where no setting has the score."""
    cells = {row.setting: row.cells[LAST] for row in rows if row.score == score and LAST in row.cells}
    if score is None or not cells:
        return None
    own = [test for test in tests if test.score == score]
    words = _words(own)
    order = sorted(cells, key=lambda name: cells[name].mean.value if lower is not False else -cells[name].mean.value)
    marks = [Scored(name, cells[name], words.get(name, "")) for name in order]
    sentences = [_best(score, marks, lower), _shown(own, versus)]
    heat = _heat(settings, marks) if len(marks) > 1 else None
    return Overview(score, lower, against, marks, _axis(marks), heat, [line for line in sentences if line])


def _words(tests: Sequence[Test]) -> dict[str, str]:
    """Of each setting that is tested against one other; where few are tested with each other, of none."""
    if len({test.b for test in tests}) < len(tests):
        return {}
    found = {test.a: "reference" for test in tests}
    for test in tests:
        good = test.lower is not None and (test.comparison.difference.value < 0) == test.lower
        found[test.b] = ("better" if good else "worse") if test.clear and test.lower is not None else "unshown"
    return found


def _best(score: str, marks: Sequence[Scored], lower: bool | None) -> str:
    first, own = marks[0], f" {unit(score)}" if unit(score) == "nats" else ""
    which, other = ("Lowest", "highest") if lower is not False else ("Highest", "lowest")
    said = f"{which} {spoken(score)}: {first.setting}, with {text.of_cell(first.cell)}{own}"
    if len(marks) == 1:
        return f"{said}, {first.cell.n} seed{'s' * (first.cell.n > 1)}."
    said += f"; next {marks[1].setting}, {text.number(marks[1].cell.mean.value)}"
    if len(marks) > 2:
        said += f"; {other} {marks[-1].setting}, {text.number(marks[-1].cell.mean.value)}"
    return f"{said}."


def _shown(tests: Sequence[Test], versus: Versus | None) -> str:
    """Which differences were shown, and which were not."""
    if len(tests) < 2:
        return tests[0].text if tests else ""
    said = shown_by(tests, versus, NAMED, brief=True)
    found = any(test.p_adjusted < ALPHA for test in tests)
    return f"{said[0].upper()}{said[1:]}{f' (p < {ALPHA} after Holm)' * found}."


def endings(costs: Sequence[tuple[str, Cost]], lost: Sequence[tuple[str, int, int]], several: bool) -> str:
    """How many runs did not end well; with the data set of each, where there are several. `lost`: on which data, how many runs
    of so many that have the score ended without all modes."""
    runs = sum(cost.runs for _, cost in costs)
    failed = sum(cost.failures for _, cost in costs)
    counts = {word: sum(cost.verdicts[word] for _, cost in costs) for word in ("collapsed", "diverged", "astray", "stalled")}
    bad = [f"{failed} failed or did not end" if failed else "", *(f"{n} {word}" for word, n in counts.items() if n)]
    told = ", ".join(filter(None, bad)) or "none failed, collapsed or diverged"
    said = f"Of {runs} run{'s' * (runs != 1)}, {told}"
    if lost:
        each = [f"{n} of {of}{f' on {data}' * several}" for data, n, of in lost]
        said += f"; {', '.join(each)} ended without all modes"
    return f"{said}."


def lost_modes(settings: Sequence[Setting]) -> tuple[int, int] | None:
    """How many runs ended with fewer modes than the data have, and of how many that is known."""
    known = [(run.scores[LAST]["modes"], most) for setting in settings for run in setting.counted
             if "modes" in run.scores[LAST] and (most := modes_of(setting.config)) is not None]  # fmt: skip
    return (sum(found < most for found, most in known), len(known)) if known else None


def _axis(marks: Sequence[Scored]) -> Axis:
    means = [mark.cell.mean.value for mark in marks]
    ends = [v for mark in marks for v in (*mark.cell.values, mark.cell.mean.low, mark.cell.mean.high) if not math.isnan(v)]
    low, high = min(ends), max(ends)
    log = min(means) > 0 and max(means) > WIDE * min(means)
    if log:
        low = max(low, min(v for v in (*means, *ends) if v > 0) / 2)
        ticks = [float(v) for v in LogLocator(numticks=6).tick_values(low, high)]
        low, high = low / 1.2, high * 1.2
    else:
        room = 0.04 * (high - low) or max(abs(high), 1.0) / 10
        low, high = low - room, high + room
        ticks = [float(v) for v in MaxNLocator(5).tick_values(low, high)]
    return Axis(low, high, log, tuple(v for v in ticks if low <= v <= high))


def _heat(settings: Sequence[Setting], marks: Sequence[Scored]) -> Heat | None:
    """None where a forest plot says it as well, or settings make no grid."""
    parts = {s.name: {key: value for key, value in s.parts.items() if key != "data"} for s in settings}
    keys = [*dict.fromkeys(key for each in parts.values() for key in each)]
    found = {mark.setting: mark for mark in marks}
    if len(marks) <= SHOWN or len(keys) < 2:
        return None
    values = {key: [*dict.fromkeys(parts[s.name].get(key, "") for s in settings)] for key in keys}
    fitting = [key for key in keys if 1 < len(values[key]) <= ACROSS]
    for key in sorted(fitting, key=lambda key: (not all(map(_is_number, values[key])), -len(values[key]))):
        lines: dict[str, dict[str, Scored]] = {}
        for name, own in parts.items():
            if name in found:
                line = ", ".join(f"{k}={v}" for k, v in own.items() if k != key and v)
                lines.setdefault(line, {})[own.get(key, "")] = found[name]
        if sum(map(len, lines.values())) == len(marks) >= FILLED * len(lines) * len(values[key]):
            columns = sorted(values[key], key=float) if all(map(_is_number, values[key])) else values[key]
            ranked = sorted(lines.items(), key=lambda line: min(marks.index(mark) for mark in line[1].values()))
            down = "".join(set(keys) - {key}) if len(keys) == 2 else ""
            named = [(name.removeprefix(f"{down}="), line) for name, line in ranked] if down else ranked
            return Heat(down, key, columns, [(name, [line.get(column) for column in columns]) for name, line in named])
    return None


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False
