"""docs/reproduced.md and a page of the same, out of claims and records."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, select_autoescape

from ganlab.files.atomic import write_whole
from ganlab.report.statistics import Interval
from ganlab.report.text import MISSING
from ganlab.report.text import interval as in_digits
from ganlab.reproduce.claim import Claim, Number
from ganlab.reproduce.records import Record
from ganlab.reproduce.verdicts import Finding, Outcome, findings_of, overall

STALE = "it was measured under another setting or rule: run it again"


class Line(NamedTuple):
    """Of a table: strings."""

    of: str
    published: str
    found: str
    n: str
    rule: str
    verdict: str


class Shown(NamedTuple):
    """A claim as it is told."""

    name: str
    claim: Claim
    verdict: Outcome
    by_its_rule: Outcome  # the same, unless the protocol is another
    rows: list[Line]
    told: list[str]
    marks: list[
        tuple[float, float, float, float, float]
    ]  # of each number in the page: accepted low, high; found low, value, high


def shown(name: str, claim: Claim, record: Record | None) -> Shown:
    current = record is not None and record.rule == claim.rule
    findings = findings_of(claim, record.values) if current and record is not None else []
    if claim.waits or not current:
        verdict = by_its_rule = Outcome.WAITING if claim.waits else Outcome.NOT_RUN
    else:
        by_its_rule = overall(findings)
        verdict = Outcome.DIFFERENT if claim.differs else by_its_rule
    rows = [_line(claim, finding) for finding in findings] or [_open(number, verdict) for number in claim.numbers]
    told = _told(name, claim, record, verdict, findings)
    return Shown(name, claim, verdict, by_its_rule, rows, told, [_mark(f) for f in findings])


def pages(every: Sequence[Shown], folder: Path) -> list[Path]:
    """Writes reproduced.md and reproduced.html."""
    environment = Environment(
        loader=PackageLoader("ganlab.reproduce"), trim_blocks=True, lstrip_blocks=True, autoescape=select_autoescape(["html"])
    )
    counts = Counter(one.verdict for one in every)
    ordered = sorted(every, key=lambda one: ([*Outcome].index(one.verdict), [*Outcome].index(one.by_its_rule)))
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "reproduced.md", folder / "reproduced.html"]
    for file in files:
        text = environment.get_template(file.name).render(every=ordered, counts=[(v, counts[v]) for v in Outcome if counts[v]])
        write_whole(file, text.rstrip() + "\n")
    return files


def _line(claim: Claim, finding: Finding) -> Line:
    number, n = finding.number, finding.n
    of_seeds = "exact" if claim.deterministic else f"{n} of {claim.seeds}"
    return Line(number.of, _published(number), _found(claim, finding), of_seeds, number.in_words(), str(finding.verdict))


def _open(number: Number, verdict: Outcome) -> Line:
    return Line(number.of, _published(number), MISSING, MISSING, number.in_words(), str(verdict))


def _found(claim: Claim, finding: Finding) -> str:
    if finding.interval is None:
        return MISSING
    return f"{finding.interval.value:.9g}" if claim.deterministic else in_digits(finding.interval)


def _published(number: Number) -> str:
    return number.published if isinstance(number.published, str) else f"{number.published:.9g}"


def _told(name: str, claim: Claim, record: Record | None, verdict: Outcome, findings: Sequence[Finding]) -> list[str]:
    lines = [f"published  {claim.source}", f"known      {claim.known}"]
    lines += [f"unknown    {claim.unknown}"] if claim.unknown else []
    lines += [f"changed    {claim.changed}"] if claim.changed else []
    lines += [f"differs    {claim.differs}"] if claim.differs else []
    if findings and record is not None:
        own = f", {overall(findings)} by its own rule" if claim.differs else ""
        lines.append(f"verdict    {verdict}{own}")
        about = record.origin
        lines += [f"afterwards {claim.afterwards}"] if claim.afterwards else []
        lines.append(f"measured   {str(about['finished'])[:10]}, commit {_short(about['commit'])}, {_means(record, claim)}")
    elif claim.waits:
        lines.append(f"waits      for {claim.waits}")
    else:
        lines.append(f"not run    ganlab reproduce {name}, about {claim.minutes:g} minutes on one core")
        lines += [f"record     {STALE}"] if record is not None else []
    return lines


def _short(commit: object) -> str:
    """With the + of code that was changed since."""
    return str(commit)[:9] + "+" * str(commit).endswith("+")


def _means(record: Record, claim: Claim) -> str:
    """The means of what is kept beside, over seeds that have it."""
    if not claim.beside:
        return f"torch {record.origin['versions']['torch']}"
    told = []
    for arm, seeds in record.values.items():
        for value in claim.beside:
            x = [each for own in seeds.values() if (each := own.get(value)) is not None]
            told += [f"{arm}.{value} {sum(x) / len(x):.4g} ({len(x)} seeds)"] if x else []
    return "beside it " + ", ".join(told)


def _mark(finding: Finding) -> tuple[float, float, float, float, float]:
    """Places 0 to 100 on a line that holds what is accepted and what was found."""
    low, high = finding.number.accepted
    got = finding.interval or Interval(math.nan, math.nan, math.nan)
    ends = [each for each in (low, high, got.low, got.high) if math.isfinite(each)]
    if not ends or max(ends) == min(ends):
        return (0.0, 100.0, 50.0, 50.0, 50.0)
    start, width = min(ends), max(ends) - min(ends)
    start, width = start - width / 4, width * 1.5
    places = [round(100 * min(max((each - start) / width, 0), 1), 2) if not math.isnan(each) else 50.0
              for each in (low, high, got.low, got.value, got.high)]  # fmt: skip
    return (places[0], places[1], places[2], places[3], places[4])
