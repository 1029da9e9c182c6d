"""What many runs say together, in a notebook."""

from __future__ import annotations

import html
import io
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from ganlab.api import show
from ganlab.api.runs import Run
from ganlab.api.session import told_as_mistakes
from ganlab.api.sweeps import Sweep
from ganlab.errors import UserError
from ganlab.report.compare import compare as written
from ganlab.report.compare import table
from ganlab.report.names import label, titled
from ganlab.report.study import Section, Study, studied

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
    with told_as_mistakes():
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
        """By score: the mean of each setting with its 95 % interval over seeds, and each seed as a point."""
        sections, pictures = self.study.sections, {}
        for section in sections:
            for score in section.scores:
                if not score.startswith("theory/") or all(name.startswith("theory/") for name in section.scores):
                    pictures[f"{section.data}: {score}" if len(sections) > 1 else score] = _intervals(section, score)
        return pictures

    def report(self, out: str | Path) -> Path:
        """Write report.html, report.md and scores.csv into a folder, as `ganlab compare --out` does; returns report.html."""
        reference, at, versus = self._given
        return written(self.paths, Path(out), reference, at, versus)

    def __repr__(self) -> str:
        runs = sum(len(setting.runs) for setting in self.study.settings)
        return f"Comparison of {runs} runs of {len(self.study.settings)} settings"

    def _repr_html_(self) -> str:
        sentences = "".join(f"<li>{html.escape(line)}</li>" for line in (*self.summary, *self.notes))
        return f"<p>{html.escape(repr(self))}</p><ul>{sentences}</ul>" + "".join(map(_png, self.figures.values()))


def _intervals(section: Section, score: str) -> Figure:
    rows = [row for row in section.rows if row.score == score and "last" in row.cells][::-1]
    seeds = {setting.name: [*setting.by_seed("last", score).values()] for setting in section.settings}
    figure = Figure(figsize=(6.4, 0.8 + 0.34 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    for height, row in enumerate(rows):
        mean = row.cells["last"].mean
        axes.plot(seeds[row.setting], [height] * len(seeds[row.setting]), "o", color="#999999", ms=3.5, alpha=0.7)
        if np.isfinite(mean.low):
            axes.plot([mean.low, mean.high], [height, height], color="#0072B2", lw=2)
        axes.plot(mean.value, height, "D", color="#0072B2", ms=6)
    axes.set(yticks=range(len(rows)), yticklabels=[row.setting for row in rows], xlabel=label(score), title=titled(score))
    axes.grid(axis="x", alpha=0.3)
    return figure


def _png(figure: Figure) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return show.embedded(file.getvalue())
