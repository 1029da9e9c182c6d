"""`ganlab compare`: finished runs in, one page that opens offline out; the same as Markdown and as a table."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganlab.errors import UserError
from ganlab.files.atomic import write_whole
from ganlab.files.status import Status
from ganlab.files.table import no_formula
from ganlab.report.names import unit
from ganlab.report.page import rendered
from ganlab.report.read import COUNTERS, KINDS
from ganlab.report.study import Study, studied
from ganlab.report.tables import STATES, VERDICTS
from ganlab.report.terminal import show

LONGEST = 120  # characters of a folder's name
FOLDER = "compare"  # where a report lies, within what it is of
MARK = re.compile(r'<meta name="ganlab-compared" content="(\w*)">')


def compare(dirs: Sequence[Path], out: Path | None = None, reference: str | None = None, equal: str | None = None,
            versus: str | None = None, score: str | None = None, every: bool = False) -> Path:  # fmt: skip
    """Write report.html, report.md and scores.csv into `out` (default: `compare` within the first directory), print what they
    say, of `every` score or of the main ones, and return report.html. Raises UserError where there is no run at all, no such
    reference, budget or score, or a report of other directories in `out`."""
    folder = out if out is not None else home(dirs, at=equal, versus=versus, reference=reference, score=score)
    own = mark_of(dirs)
    if out is not None:
        _refuse_other(folder, own)
    study = studied(dirs, reference, equal, versus, score)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "scores.csv", table(study))
        write_whole(folder / "report.md", rendered("report.md", study, own))
        write_whole(folder / "report.html", rendered("report.html", study, own))
    except PermissionError as error:
        raise UserError(f"{folder} cannot be written into: name a folder of yours with --out FOLDER") from error
    show(study, every=every)
    return folder / "report.html"


def home(dirs: Sequence[Path], **options: str | None) -> Path:
    """Where the report of these directories lies if nobody says: within the first of them, and another place for each set of
    further directories and of options, so that no report is written over another."""
    first, *others = [Path(os.path.abspath(path)) for path in dirs]  # noqa: PTH100 (`..` has no parent)
    words = [f"{key}-{value}" for key, value in options.items() if value is not None]
    if others:
        words.insert(0, f"with-{'+'.join(path.name for path in others)}")
        words.append(mark_of(dirs)[:6])  # two directories may have one name
    name = re.sub(r"[^\w.+-]+", "-", "_".join(words))
    if len(name) > LONGEST:
        name = f"{name[:LONGEST]}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return first / FOLDER / name if name else first / FOLDER


def mark_of(dirs: Sequence[Path]) -> str:
    """Of the directories that are compared, whatever their order."""
    return hashlib.sha256("\n".join(sorted({os.path.realpath(path) for path in dirs})).encode()).hexdigest()[:16]


def _refuse_other(folder: Path, own: str) -> None:
    page = folder / "report.html"
    try:
        with page.open(encoding="utf-8", errors="replace") as file:
            found = MARK.search(file.read(2000))
    except OSError:
        return
    if found is None or found[1] != own:
        raise UserError(f"{page} is a report of other directories: name another folder with --out, or remove it")


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
                    n, mean, middle, _ = row.cells[kind]
                    lines.append((row.setting, [row.score, unit(row.score), kind, n, *mean, middle]))
        for setting, values in lines:
            each = costs[setting]
            ended = each.verdicts | each.states | each.means | {"runs": each.runs, "failures": each.failures}
            writer.writerow([_cell(v) for v in (section.data, at, setting, *values, *(ended[key] for key in own))])
    return file.getvalue()


def _cell(value: Any) -> Any:
    return "" if isinstance(value, float) and math.isnan(value) else no_formula(value)
