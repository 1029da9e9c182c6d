"""A study as a page that opens offline, and as Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ganlab.files.result import now
from ganlab.report import text
from ganlab.report.cells import FEW
from ganlab.report.names import AXES, headings, label, titled
from ganlab.report.read import COUNTERS
from ganlab.report.study import Study
from ganlab.report.tables import STATES, VERDICTS

PARTS = (("summary", "Summary"), ("charts", "Charts"), ("scores", "Scores"), ("tests", "Tests"), ("cost", "Outcome and cost"),
         ("samples", "Samples"), ("settings", "Settings"))  # fmt: skip
MANY = 4  # settings, from which on they have performance profiles


def rendered(template: str, study: Study, identity: str = "") -> str:
    """report.html or report.md; `identity` of the directories that it is of goes into the page."""
    environment = Environment(
        loader=PackageLoader("ganlab.report", "templates"),
        autoescape=template.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"interval": text.interval, "number": text.number, "probability": text.probability, "titled": titled,
                            "label": label, "md": _markdown, "cell": text.of_cell, "compact": text.compact}  # fmt: skip
    costs = [each for section in study.sections for each in section.costs]
    titles = _apart([section.data for section in study.sections])
    short = _apart([section.called for section in study.sections])
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
        "few": FEW,
        "many": MANY,
        "outcome": study.outcome,
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
        "called": short,
        "ids": ids,
        "parts": PARTS,
        "notes": study.notes,
        "commands": study.commands,
        "commits": study.commits,
        "settings": [(title, setting) for title, s in zip(titles, study.sections, strict=True) for setting in s.settings],
        "made": now(),
        "identity": identity,
        "overviews": [(title, s.overview) for title, s in zip(short, study.sections, strict=True) if s.overview],
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
