"""What is said of finished runs, before it is written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ganlab.errors import UserError
from ganlab.report.budget import Budget, at, budget_of
from ganlab.report.comparable import comparable, partly, scores_of, senses
from ganlab.report.curves import charts
from ganlab.report.data import by_data, called
from ganlab.report.evaluations import evaluated
from ganlab.report.gallery import Gallery, gallery
from ganlab.report.groups import (
    Setting,
    grouped,
    seeds_of,
    title_of,
    varying,
)
from ganlab.report.overview import Overview, endings, lost_modes, main_score, overview, refuse_unknown_score
from ganlab.report.read import Notes, read_runs
from ganlab.report.tables import Cost, Row, Test, Versus, cost, rows, summary, tests
from ganlab.report.versus import counterparts, refuse_unknown, told_apart


class Section(NamedTuple):
    """What is said of the runs on one data set."""

    data: str  # what all settings were trained on; empty if that is not told
    called: str  # the same, as short as tells it from those of the other sections
    settings: list[Setting]
    reference: str | None  # the setting that all tests are against, if it is one
    against: str  # what tests are against, in words; empty where it is each other
    scores: list[str]
    rows: list[Row]
    costs: list[Cost]
    tests: list[Test]
    summary: list[str]
    notes: list[str]  # where there are several sections
    differences: dict[str, list[str]]
    gallery: Gallery
    charts: dict[str, Any]
    overview: Overview | None  # of the main score; None where nothing is scored
    view: Callable[[str | None], Overview | None]  # the same of any score


class Study(NamedTuple):
    """All that a report says."""

    sections: list[Section]  # one for each data set
    budget: Budget | None  # that scores and costs are at
    notes: list[str]
    commands: list[tuple[str, int]]  # with the number of runs that each made
    commits: list[str]
    outcome: str  # how many runs did not end well

    @property
    def settings(self) -> list[Setting]:
        return [setting for section in self.sections for setting in section.settings]


def studied(
    dirs: Sequence[Path], reference: str | None = None, equal: str | None = None, versus: str | None = None,
    score: str | None = None,
) -> Study:  # fmt: skip
    """The study of the runs there; at an equal budget (`AXIS=N`), against one setting, or each against that which is the same
    `versus` KEY=VALUE. `score` is what it is about, by its key in result.json; None is the first of `names.MAIN`."""
    budget = None if equal is None else budget_of(equal)
    notes = Notes()
    groups = [*by_data(read_runs(dirs, notes)).values()]
    own = [notes] if len(groups) == 1 else [Notes() for _ in groups]  # of one data set, all notes are in one place
    if budget is not None:
        notes.add(
            f"Scores are at {budget.axis} = {budget.n:,.10g}: the last readings up to there, best and mean over readings up to "
            "there, cost and verdict of that moment."
        )
    lower, runs = [], []
    for group, told in zip(groups, own, strict=True):
        scored = evaluated(group, budget, told)
        lower.append(senses(scored))
        runs.append(comparable(scored if budget is None else at(scored, budget, lower[-1], told), told))
    if not any(runs):
        raise UserError(f"nothing to compare at {budget}: no run went so far")
    if len(groups) > 1:
        notes.add(f"The runs are of {len(groups)} data sets, each with its own section: nothing is tested across them.")
    several = grouped(runs, equal=budget is not None)
    refuse_unknown(reference, versus, [setting for settings in several for setting in settings])
    parts = zip(several, lower, own, strict=True)
    of = len(groups)
    sections = [_section(s, low, budget, reference, versus, told, of, told is notes, score) for s, low, told in parts if s]
    short = called([section.data for section in sections])
    sections = [section._replace(called=name) for section, name in zip(sections, short, strict=True)]
    refuse_unknown_score(score, [name for section in sections for name in section.scores])
    kept = [run for settings in several for setting in settings for run in setting.counted]
    if not any(section.scores for section in sections):
        notes.add("No run has a score: there are only curves and samples.")
    every = [run for settings in several for setting in settings for run in setting.runs]
    commands = Counter(command for run in every if (command := run.origin.get("command")))
    commits = dict.fromkeys(run.origin["commit"] or "unknown" for run in kept)
    if len(commits) > 1:
        notes.add(f"The runs are of {len(commits)} commits of the code: {', '.join(map(short_commit, commits))}.")
    if len(devices := dict.fromkeys(run.origin["device"] for run in kept)) > 1:
        notes.add(f"The runs were on different devices ({', '.join(devices)}): their seconds do not compare.")
    for empty, told in zip(several, own, strict=True):
        for sentence in told.sentences() if not empty else ():  # of a data set of which nothing is left
            notes.add(sentence)
    lost = [(section.called, *counts) for section in sections if (counts := lost_modes(section.settings))]
    ended = endings([(section.called, each) for section in sections for each in section.costs], lost, len(sections) > 1)
    return Study(sections, budget, notes.sentences(), commands.most_common(), [*commits], ended)


def short_commit(commit: str) -> str:
    """With the + of files that were changed since."""
    return f"{commit[:9]}{'+' * commit.endswith('+')}"


def _section(
    settings: list[Setting], lower: dict[str, bool | None], budget: Budget | None, reference: str | None, versus: str | None,
    notes: Notes, sections: int, alone: bool, score: str | None,
) -> Section:  # fmt: skip
    seeds_of(settings, budget, notes)
    kept = [run for setting in settings for run in setting.counted]
    partly(kept, {run: setting.name for setting in settings for run in setting.runs}, notes)
    scores = scores_of(kept)
    found = rows(settings, scores)
    if reference is not None and reference not in {setting.name for setting in settings}:
        notes.add(f"nothing is tested, as {reference} is not among these settings")
    tested = tests(settings, scores, lower, reference, counterparts(settings, versus, notes) if versus else None)
    pictures = gallery(settings, notes, budget, sections)
    compared_with = {test.a for test in tested}
    single = compared_with.pop() if len(compared_with) == 1 else None
    against = f"{versus}, all else equal" if versus else single or ""
    parts = Versus(versus, told_apart(settings, versus)) if versus else None
    main = main_score(scores, lower, score)

    def view(score: str | None) -> Overview | None:
        return overview(score, settings, found, tested, lower.get(score or ""), against, parts)

    return Section(title_of(settings), "", settings, single, against, scores, found, [cost(setting) for setting in settings],
                   tested, summary(tested, found, parts), [] if alone else notes.sentences(), varying(settings), pictures,
                   charts(settings, found, single, lower, sections, main), view(main), view)  # fmt: skip
