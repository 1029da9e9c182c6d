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

from ganlab.cards import name_of
from ganlab.result import now
from ganlab.runs import write_whole
from ganlab.study import text
from ganlab.study.comparable import comparable, partly, scores_of
from ganlab.study.curves import charts
from ganlab.study.gallery import Gallery, gallery
from ganlab.study.groups import Setting, differences, settings_of
from ganlab.study.names import AXES, label, titled, unit
from ganlab.study.read import COUNTERS, KINDS, Notes, read
from ganlab.study.tables import STATES, VERDICTS, Cost, Row, Test, cost, refuse_unknown, rows, summary, tests

HEADINGS = {"last": "last", "best": "best", "area": "mean over training"}


class Study(NamedTuple):
    """All that a report says."""

    settings: list[Setting]
    reference: str | None  # what all tests are against, if it is one setting
    scores: list[str]
    rows: list[Row]
    costs: list[Cost]
    tests: list[Test]
    summary: list[str]
    notes: list[str]
    differences: dict[str, list[str]]
    gallery: Gallery
    charts: dict[str, Any]
    commands: list[tuple[str, int]]  # with the number of runs that each made
    commits: list[str]
    data: str  # what all settings were trained on; empty if that varies


def compare(dirs: Sequence[Path], out: Path | None = None, reference: str | None = None) -> Path:
    """Write report.html, report.md and scores.csv into `out` (default: `compare` beside the first directory), print what they
    say, and return report.html. Raises UserError where there is no run at all, or no such reference."""
    study = studied(dirs, reference)
    folder = out if out is not None else Path(os.path.abspath(dirs[0])).parent / "compare"  # noqa: PTH100 (`..` has no parent)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "scores.csv", table(study))
    write_whole(folder / "report.md", _rendered("report.md", study))
    write_whole(folder / "report.html", _rendered("report.html", study))
    show(study)
    return folder / "report.html"


def studied(dirs: Sequence[Path], reference: str | None = None) -> Study:
    notes = Notes()
    runs = comparable(read(dirs, notes), notes)
    settings = settings_of(runs, notes)
    refuse_unknown(reference, settings)
    kept = [run for setting in settings for run in setting.counted]
    partly(kept, {run: setting.name for setting in settings for run in setting.runs}, notes)
    scores = scores_of(kept)
    if not scores:
        notes.add("No run has a score: there are only curves and samples.")
    found = rows(settings, scores)
    tested = tests(settings, kept, scores, reference)
    pictures = gallery(settings, notes)
    commands = Counter(command for setting in settings for run in setting.runs if (command := run.origin.get("command")))
    commits = dict.fromkeys(run.origin["commit"] or "unknown" for run in kept)
    if len(commits) > 1:
        notes.add(f"The runs are of {len(commits)} commits of the code: {', '.join(commit[:9] for commit in commits)}.")
    if len(devices := dict.fromkeys(run.origin["device"] for run in kept)) > 1:
        notes.add(f"The runs were on different devices ({', '.join(devices)}): their seconds do not compare.")
    data = {name_of(setting.config["data"], None) for setting in settings if "data" in setting.config}
    compared_with = {test.a for test in tested}
    reference = compared_with.pop() if len(compared_with) == 1 else None
    return Study(settings, reference, scores, found, [cost(setting) for setting in settings], tested,
                 summary(tested, found), notes.sentences(), differences(settings), pictures,
                 charts(settings, found, reference), commands.most_common(), [*commits],
                 data.pop() if len(data) == 1 else "")  # fmt: skip


def _rendered(template: str, study: Study) -> str:
    environment = Environment(
        loader=PackageLoader("ganlab.study", "templates"),
        autoescape=template.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"interval": text.interval, "number": text.number, "probability": text.probability, "titled": titled,
                            "label": label, "md": _markdown}  # fmt: skip
    given: dict[str, Any] = study._asdict() | {
        "axes": AXES,
        "counters": COUNTERS,
        "failures": [state for state in STATES[1:] if any(each.states[state] for each in study.costs)],
        "verdicts": VERDICTS[1:],  # the rest are healthy
        "headings": HEADINGS,
        "missing": text.MISSING,
        "made": now(),
        "count": sum(len(setting.runs) for setting in study.settings),
    }
    if template.endswith(".html"):
        given["plotly"] = Markup(_plotly())  # (ours and plotly's own code: nothing of it comes from a run)
        given["chart_data"] = Markup(_json(study.charts))
    return environment.get_template(template).render(given)


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
    """scores.csv: a line for each setting, score and kind of value; a setting without scores has one line."""
    costs = {each.setting: each for each in study.costs}
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    own = ["runs", "failures", *STATES, *VERDICTS[:-1], *COUNTERS]  # `diverged` is a status, too
    own.insert(own.index("failed") + 1, "diverged")
    writer.writerow(["setting", "score", "unit", "value", "n", "mean", "low", "high", "interquartile_mean", *own])
    scored = {row.setting for row in study.rows}
    lines: list[tuple[str, list[Any]]] = [(name, [""] * 8) for name in costs if name not in scored]
    for row in study.rows:
        for kind in KINDS:
            if kind in row.cells:
                n, mean, middle = row.cells[kind]
                lines.append((row.setting, [row.score, unit(row.score), kind, n, *mean, middle]))
    for setting, values in lines:
        each = costs[setting]
        ended = each.verdicts | each.states | each.means | {"runs": each.runs, "failures": each.failures}
        writer.writerow([_cell(v) for v in (setting, *values, *(ended[key] for key in own))])
    return file.getvalue()


def _cell(value: Any) -> Any:
    return "" if isinstance(value, float) and math.isnan(value) else value


def show(study: Study, console: Console | None = None) -> None:
    """The table of last scores, the sentences and the notes, in the terminal."""
    console = console or Console()
    shown = Table(
        title="mean [95 % interval over seeds] of last scores; interquartile mean; mean of best", title_justify="left"
    )
    shown.add_column("setting", overflow="fold")
    for column in ("last", "middle half", "best", "n"):
        shown.add_column(column, justify="right")
    for score in dict.fromkeys(row.score for row in study.rows):
        shown.add_row(f"[bold]{escape(titled(score))}")
        for row in study.rows:
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
    if study.rows:
        console.print(shown)
    for line in study.summary:
        console.print(f"- {line}", highlight=False, markup=False, soft_wrap=True)
    for note in study.notes:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
