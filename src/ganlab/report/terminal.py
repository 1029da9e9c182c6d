"""A study in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ganlab.report import text
from ganlab.report.budget import Budget
from ganlab.report.cells import FEW
from ganlab.report.names import headings, titled
from ganlab.report.study import Section, Study
from ganlab.report.tables import Row

BESIDE = 2  # scores beside the main one
WORD = 40  # characters of a word that is not broken in two
LONG = 20  # rows, beyond which the headings are repeated below


def show(study: Study, console: Console | None = None, every: bool = False) -> None:
    """The main scores, best first, or the table of `every` score; what they say, and the notes."""
    console = console or Console()
    for section in study.sections:
        if len(study.sections) > 1:
            console.print(f"\n[bold]{escape(section.data)}")
        if every:
            for score in dict.fromkeys(row.score for row in section.rows):
                console.print(_of_one(score, section.rows, study.budget))
        elif section.overview is not None:
            console.print(_that_fits(section, study.budget, console))
        for line in section.overview.sentences if section.overview and not every else section.summary:
            _say(console, f"- {line}")
    _say(console, f"- {study.outcome}")
    for note in [note for section in study.sections for note in section.notes] + study.notes:
        _say(console, f"note: {note}")


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def main_scores(section: Section) -> list[str]:
    """The main one and the first others of the runs that have a better end; the theory has a table of its own (`--all`)."""
    assert section.overview is not None
    directed = [test.score for test in section.tests if test.lower is not None] or section.scores
    others = [score for score in directed if "/" not in score and score != section.overview.score]
    return [section.overview.score, *[*dict.fromkeys(others)][:BESIDE]]


def _that_fits(section: Section, budget: Budget | None, console: Console) -> Table:
    """With as many main scores as the columns after them leave room for."""
    scores = main_scores(section)
    tables = (_of_main(section, budget, scores[:n]) for n in range(len(scores), 0, -1))
    wide = console.options.update_width(1000)  # or nothing would be measured as wider than the console
    # rich leaves a column's padding out of its least width
    least = ((one, console.measure(one, options=wide).minimum + 2 * len(one.columns)) for one in tables)
    fitting = (one for one, width in least if width <= console.width)
    return next(fitting, _of_main(section, budget, scores[:1]))


def _of_main(section: Section, budget: Budget | None, scores: Sequence[str]) -> Table:
    """A row for each setting, so that it fits a screen."""
    cells = {(row.setting, row.score): row.cells["last"] for row in section.rows if "last" in row.cells}
    costs = {cost.setting: cost for cost in section.costs}
    few = any(1 < cell.n <= FEW for (_, score), cell in cells.items() if score in scores)
    how = f"mean [95 % interval over seeds]{' or (each seed)' * few}"
    names = [mark.setting for mark in section.overview.marks] if section.overview else []
    names += [name for name in costs if name not in names]
    what = "last scores" if budget is None else f"scores at {budget}"
    table = Table(title=f"{what}: {how}", title_justify="left", show_footer=len(names) > LONG)
    words = max((len(word) for name in names for word in name.split()), default=0)
    table.add_column("setting", "setting", overflow="fold", min_width=min(words, WORD))
    for heading in (*map(titled, scores), "n", "failed"):
        table.add_column(escape(heading), escape(heading), justify="right", overflow="fold")
    for name in names:
        told = [escape(text.of_cell(cells[name, s])) if (name, s) in cells else text.MISSING for s in scores]
        n = cells[name, scores[0]].n if (name, scores[0]) in cells else 0
        table.add_row(escape(name), *told, str(n), str(costs[name].failures or "-"))
    return table


def _of_one(score: str, found: Sequence[Row], budget: Budget | None) -> Table:
    shown = Table(title=titled(score), title_justify="left", title_style="bold")
    shown.add_column("setting", overflow="fold")
    for column in (headings(budget)["last"], "middle half", "best", "n"):
        shown.add_column(column, justify="right", overflow="fold")
    for row in found:
        if row.score == score:
            last, best = row.cells.get("last"), row.cells.get("best")
            shown.add_row(
                escape(row.setting),
                escape(text.of_cell(last)) if last else text.MISSING,
                text.number(last.middle) if last else text.MISSING,
                text.number(best.mean.value) if best else text.MISSING,
                str(last.n) if last else "0",
            )
    return shown
