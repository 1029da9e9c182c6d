"""`ganlab compare`: finished runs in, one page that opens offline out; the same as Markdown and as a table."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ganlab.errors import UserError
from ganlab.files.atomic import write_whole
from ganlab.files.result import now
from ganlab.files.status import Status
from ganlab.files.table import no_formula
from ganlab.report import text
from ganlab.report.budget import Budget, at, budget_of
from ganlab.report.comparable import comparable, partly, scores_of, senses
from ganlab.report.curves import charts
from ganlab.report.data import by_data
from ganlab.report.evaluations import evaluated
from ganlab.report.gallery import Gallery, gallery
from ganlab.report.groups import (
    Setting,
    counterparts,
    grouped,
    refuse_unknown,
    seeds_of,
    title_of,
    told_apart,
    varying,
)
from ganlab.report.names import AXES, headings, label, titled, unit
from ganlab.report.read import COUNTERS, KINDS, Notes, read_runs
from ganlab.report.tables import STATES, VERDICTS, Cost, Row, Test, Versus, cost, rows, summary, tests

PARTS = (("summary", "Summary"), ("charts", "Charts"), ("scores", "Scores"), ("tests", "Tests"), ("cost", "Outcome and cost"),
         ("samples", "Samples"), ("settings", "Settings"))  # fmt: skip


class Section(NamedTuple):
    """What is said of the runs on one data set."""

    data: str  # what all settings were trained on; empty if that is not told
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


class Study(NamedTuple):
    """All that a report says."""

    sections: list[Section]  # one for each data set
    budget: Budget | None  # that scores and costs are at
    notes: list[str]
    commands: list[tuple[str, int]]  # with the number of runs that each made
    commits: list[str]

    @property
    def settings(self) -> list[Setting]:
        return [setting for section in self.sections for setting in section.settings]


def compare(dirs: Sequence[Path], out: Path | None = None, reference: str | None = None, equal: str | None = None,
            versus: str | None = None) -> Path:  # fmt: skip
    """Write report.html, report.md and scores.csv into `out` (default: `compare` beside the first directory), print what they
    say, and return report.html. Raises UserError where there is no run at all, or no such reference or budget."""
    study = studied(dirs, reference, equal, versus)
    folder = out if out is not None else Path(os.path.abspath(dirs[0])).parent / "compare"  # noqa: PTH100 (`..` has no parent)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "scores.csv", table(study))
    write_whole(folder / "report.md", _rendered("report.md", study))
    write_whole(folder / "report.html", _rendered("report.html", study))
    show(study)
    return folder / "report.html"


def studied(dirs: Sequence[Path], reference: str | None = None, equal: str | None = None, versus: str | None = None) -> Study:
    """The study of the runs there; at an equal budget (`AXIS=N`), against one setting, or each against that which is the same
    `versus` KEY=VALUE."""
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
    sections = [_section(s, low, budget, reference, versus, told, of, told is notes) for s, low, told in parts if s]
    kept = [run for settings in several for setting in settings for run in setting.counted]
    if not any(section.scores for section in sections):
        notes.add("No run has a score: there are only curves and samples.")
    every = [run for settings in several for setting in settings for run in setting.runs]
    commands = Counter(command for run in every if (command := run.origin.get("command")))
    commits = dict.fromkeys(run.origin["commit"] or "unknown" for run in kept)
    if len(commits) > 1:
        notes.add(f"The runs are of {len(commits)} commits of the code: {', '.join(commit[:9] for commit in commits)}.")
    if len(devices := dict.fromkeys(run.origin["device"] for run in kept)) > 1:
        notes.add(f"The runs were on different devices ({', '.join(devices)}): their seconds do not compare.")
    for empty, told in zip(several, own, strict=True):
        for sentence in told.sentences() if not empty else ():  # of a data set of which nothing is left
            notes.add(sentence)
    return Study(sections, budget, notes.sentences(), commands.most_common(), [*commits])


def _section(
    settings: list[Setting], lower: dict[str, bool | None], budget: Budget | None, reference: str | None, versus: str | None,
    notes: Notes, sections: int, alone: bool,
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
    return Section(title_of(settings), settings, single, against, scores, found, [cost(setting) for setting in settings],
                   tested, summary(tested, found, parts), [] if alone else notes.sentences(), varying(settings), pictures,
                   charts(settings, found, single, lower, sections))  # fmt: skip


def _rendered(template: str, study: Study) -> str:
    environment = Environment(
        loader=PackageLoader("ganlab.report", "templates"),
        autoescape=template.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"interval": text.interval, "number": text.number, "probability": text.probability, "titled": titled,
                            "label": label, "md": _markdown}  # fmt: skip
    costs = [each for section in study.sections for each in section.costs]
    titles = _apart([section.data for section in study.sections])
    of_all: dict[str, Any] = {
        "budget": study.budget,
        "axes": AXES,
        "counters": COUNTERS,
        "failures": [state for state in STATES[1:] if any(each.states[state] for each in costs)],
        "verdicts": VERDICTS[1:],  # the rest are healthy
        "headings": headings(study.budget),
        "tested": "last scores" if study.budget is None else f"scores at {study.budget}",
        "missing": text.MISSING,
        "several": len(titles) > 1,
    }
    ids = ["" if i == 0 else f"-{i + 1}" for i in range(len(titles))]
    heading = ("h2", "h3") if template.endswith(".html") else ("##", "###")
    inner, sections = environment.get_template(template.replace("report", "section")), []
    for id_, section in zip(ids, study.sections, strict=True):
        own = {"id": id_, "h": heading[len(ids) > 1], "notes": section.notes if len(ids) > 1 else study.notes}
        sections.append(Markup(inner.render(of_all | section._asdict() | own)))
    given: dict[str, Any] = of_all | {
        "sections": sections,
        "titles": titles,
        "ids": ids,
        "parts": PARTS,
        "notes": study.notes,
        "commands": study.commands,
        "commits": study.commits,
        "settings": [(title, setting) for title, s in zip(titles, study.sections, strict=True) for setting in s.settings],
        "made": now(),
        "count": sum(len(setting.runs) for setting in study.settings),
    }
    if template.endswith(".html"):
        given["plotly"] = Markup(_plotly())  # (ours and plotly's own code: nothing of it comes from a run)
        budget = study.budget and {**study.budget._asdict(), "text": str(study.budget)}
        given["chart_data"] = Markup(_json({"budget": budget, "sections": [section.charts for section in study.sections]}))
    return environment.get_template(template).render(given)


def _apart(titles: Sequence[str]) -> list[str]:
    """Of data sets that are called the same, which."""
    return [title if titles.count(title) == 1 else f"{title} ({i + 1})".lstrip() for i, title in enumerate(titles)]


def _plotly() -> str:
    from plotly.offline import get_plotlyjs  # slow to import

    return str(get_plotlyjs()).replace("</script", "<\\/script")


def _json(value: Any) -> str:
    """For a script element, which ends at the first `</script>`, even in a string."""
    written = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return written.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _markdown(value: object) -> str:
    """Text of a file within a table of Markdown: no cell ends in it, and nothing of it is HTML."""
    plain = " ".join(str(value).split())
    for sign in "\\`*_[]|":
        plain = plain.replace(sign, f"\\{sign}")
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def table(study: Study) -> str:
    """scores.csv: a line for each data set, setting, score and kind of value; a setting without scores has one line."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    own = ["runs", "failures", *STATES, *VERDICTS[:-1], *COUNTERS]  # `diverged` is a status, too
    own.insert(own.index(Status.FAILED) + 1, Status.DIVERGED)
    measured = ["score", "unit", "value", "n", "mean", "low", "high", "interquartile_mean"]
    writer.writerow(["data", "at", "setting", *measured, *own])
    at = "" if study.budget is None else study.budget.given
    for section in study.sections:
        costs = {each.setting: each for each in section.costs}
        scored = {row.setting for row in section.rows}
        lines: list[tuple[str, list[Any]]] = [(name, [""] * len(measured)) for name in costs if name not in scored]
        for row in section.rows:
            for kind in KINDS:
                if kind in row.cells:
                    n, mean, middle = row.cells[kind]
                    lines.append((row.setting, [row.score, unit(row.score), kind, n, *mean, middle]))
        for setting, values in lines:
            each = costs[setting]
            ended = each.verdicts | each.states | each.means | {"runs": each.runs, "failures": each.failures}
            writer.writerow([_cell(v) for v in (section.data, at, setting, *values, *(ended[key] for key in own))])
    return file.getvalue()


def _cell(value: Any) -> Any:
    return "" if isinstance(value, float) and math.isnan(value) else no_formula(value)


def show(study: Study, console: Console | None = None) -> None:
    """The table of last scores, the sentences and the notes, in the terminal."""
    console = console or Console()
    for section in study.sections:
        if len(study.sections) > 1:
            console.print(f"\n[bold]{escape(section.data)}")
        if section.rows:
            console.print(_shown(section.rows, study.budget))
        for line in section.summary:
            console.print(f"- {line}", highlight=False, markup=False, soft_wrap=True)
        for note in section.notes:
            console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
    for note in study.notes:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)


def _shown(found: Sequence[Row], budget: Budget | None) -> Table:
    what = "last scores" if budget is None else f"scores at {budget}"
    shown = Table(title=f"mean [95 % interval over seeds] of {what}; interquartile mean; mean of best", title_justify="left")
    shown.add_column("setting", overflow="fold")
    for column in (headings(budget)["last"], "middle half", "best", "n"):
        shown.add_column(column, justify="right")
    for score in dict.fromkeys(row.score for row in found):
        shown.add_row(f"[bold]{escape(titled(score))}")
        for row in found:
            if row.score == score:
                last, best = row.cells.get("last"), row.cells.get("best")
                shown.add_row(
                    escape(row.setting),
                    escape(text.interval(last.mean)) if last else text.MISSING,
                    text.number(last.middle) if last else text.MISSING,
                    text.number(best.mean.value) if best else text.MISSING,
                    str(last.n) if last else "0",
                )
        shown.add_section()
    return shown
