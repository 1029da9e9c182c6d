"""What many runs say together, in a notebook."""

from __future__ import annotations

import html
import io
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from ganlab.api import show
from ganlab.api.runs import Run
from ganlab.api.session import told_in_python
from ganlab.api.sweeps import Sweep
from ganlab.errors import UserError
from ganlab.report.compare import compare as written
from ganlab.report.compare import table
from ganlab.report.forest import forest
from ganlab.report.study import Study, studied

if TYPE_CHECKING:
    from pandas import DataFrame

Compared = Run | str | Path  # (a Sweep, too, which is a list of runs with a directory)


def compare(
    runs: Compared | Iterable[Compared], *, reference: str | None = None, at: str | None = None, versus: str | None = None
) -> Comparison:
    """What `ganlab compare` says of these runs, directories or sweeps, with the same options; it writes nothing. Raises
    UserError."""
    if isinstance(runs, Sweep):
        runs = [runs.path]
    every = [runs] if isinstance(runs, Run | str | Path) else [*runs]
    if not every:
        raise UserError("compare needs runs, directories or a sweep: it was given none")
    paths = [one.path if isinstance(one, Run | Sweep) else Path(one) for one in every]
    with told_in_python():
        return Comparison(paths, studied(paths, reference, at, versus), (reference, at, versus))


class Comparison:
    """Tables, sentences and pictures of a comparison, which a notebook shows."""

    def __init__(self, paths: list[Path], study: Study, given: tuple[str | None, str | None, str | None]) -> None:
        self.paths, self.study, self._given = paths, study, given

    @property
    def summary(self) -> list[str]:
        """What was shown to be better, and what was not, a sentence each."""
        return [line for section in self.study.sections for line in section.summary]

    @property
    def notes(self) -> list[str]:
        """What to mind before believing it."""
        return [*self.study.notes, *(note for section in self.study.sections for note in section.notes)]

    @property
    def scores(self) -> DataFrame:
        """scores.csv: a row for each data set, setting, score and kind of value (last, best, mean) with its 95 % interval."""
        from pandas import read_csv

        return read_csv(io.StringIO(table(self.study)))

    @property
    def tests(self) -> DataFrame:
        """A row for each test of one setting against another: `difference` of b minus a, 95 % of it from `low` to `high`, `p`
        adjusted for how many there are."""
        from pandas import DataFrame

        columns = ["data", "score", "a", "b", "difference", "low", "high", "p", "clear"]
        found = [(section.data, test.score, test.a, test.b, *test.comparison.difference, test.p_adjusted, test.clear)
                 for section in self.study.sections for test in section.tests]  # fmt: skip
        return DataFrame(found, columns=columns)

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """By score, the main one first: the report's forest plot, of each setting the mean and its 95 % interval over seeds."""
        pictures: dict[str, Figure] = {}
        several = len(self.study.sections) > 1
        for section in self.study.sections:
            first = [section.overview.score] if section.overview else []
            for score in dict.fromkeys([*first, *section.scores]):
                if (view := section.view(score)) is not None:
                    name = f"{section.data}: {score}" if several else score
                    pictures[name] = forest(view, section.data if several else "")
        return pictures

    @property
    def first(self) -> list[str]:
        """The sentences of the report's first screen: what was best, what was shown, how many runs did not end well."""
        told = [line for section in self.study.sections if section.overview for line in section.overview.sentences]
        return [*told, self.study.outcome]

    def report(self, out: str | Path) -> Path:
        """Write report.html, report.md and scores.csv into a folder, as `ganlab compare --out` does; returns report.html."""
        reference, at, versus = self._given
        with told_in_python():
            return written(self.paths, Path(out), reference, at, versus)

    def __repr__(self) -> str:
        runs = sum(len(setting.runs) for setting in self.study.settings)
        return f"Comparison of {runs} runs of {len(self.study.settings)} settings"

    def _repr_html_(self) -> str:
        main = [each for each in self.study.sections if each.overview]
        drawn = [forest(each.overview, each.data if len(main) > 1 else "") for each in main if each.overview]
        pictures = [show.embedded(figure._repr_png_()) for figure in drawn]
        more = f"<details><summary>each comparison, and what to mind</summary>{_listed([*self.summary, *self.notes])}</details>"
        return f"<p>{html.escape(repr(self))}</p>{_listed(self.first)}{''.join(pictures)}{more}"


def _listed(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>"
