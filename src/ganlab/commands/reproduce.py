"""Published numbers, measured again: `ganlab reproduce`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Column, Table

from ganlab.errors import Unfinished, UserError, did_you_mean
from ganlab.files.result import commit
from ganlab.files.status import Status
from ganlab.reproduce.claim import Claim, claims_in, read_claim
from ganlab.reproduce.page import Shown, pages, shown
from ganlab.reproduce.records import OWN, installed, new_record_file, read_record, record_file, write_record
from ganlab.reproduce.running import run_claim
from ganlab.reproduce.verdicts import Outcome
from ganlab.run.tree import conf_dir

QUICK = 10.0  # minutes


class ReproduceRequest(NamedTuple):
    """What a user asks for."""

    names: Sequence[str] = ()  # of claims, or files of one's own
    everything: bool = False
    quick: bool = False
    report: bool = False  # nothing is run
    at_once: int = 1
    together: bool = False  # the seeds of an arm as replicas, where its setting allows that
    runs: str = "runs"
    out: Path | None = None


def reproduce(request: ReproduceRequest) -> None:
    """List the claims, run some, or write docs/reproduced.md and its page. Raises UserError, and Unfinished: of several claims
    when the others are over, unless it was interrupted."""
    if request.at_once < 1:
        raise UserError(f"--jobs {request.at_once}: give the number of runs at a time, 1 or more")
    house = claims_in(conf_dir().parent / "claims")
    files = {**house, **dict(_asked(request.names, house))} if request.everything else dict(_asked(request.names, house))
    if not files and not request.report:
        return _list({name: read_claim(file) for name, file in house.items()}, house)
    files = files or house
    claims = {name: read_claim(file) for name, file in files.items()}
    commit()  # of the code as it is now, which is kept: a run may take hours
    failed = dict[str, Unfinished]()
    for name in [] if request.report else _to_run(claims, files, request):
        began = time.monotonic()
        try:
            values = run_claim(name, claims[name], request.runs, request.at_once, request.together)
        except Unfinished as error:
            if error.code == Status.INTERRUPTED.exit_code or not request.everything:
                raise
            failed[name] = error
            continue
        write_record(new_record_file(files[name]), claims[name], values, time.monotonic() - began)
    every = [shown(name, claim, read_record(record_file(files[name]))) for name, claim in claims.items()]
    for one in every if not (request.everything or request.report) else ():
        _say(one)
    if request.everything or request.report:
        docs = OWN if any(map(installed, files.values())) else conf_dir().parent / "docs"
        for file in pages(every, request.out or docs):
            print(file)
    if failed:
        told = "; ".join(f"{name}: {error}" for name, error in failed.items())
        raise Unfinished(f"{len(failed)} claims are not over: {told}", max(error.code for error in failed.values()))


def _asked(names: Sequence[str], house: dict[str, Path]) -> Iterator[tuple[str, Path]]:
    for name in names:
        if name not in house and not name.endswith(".yaml"):
            raise UserError(f"there is no claim {name}{did_you_mean(name, set(house))}: give one of them, or a file")
        file = house.get(name, Path(name))
        yield file.stem, file


def _to_run(claims: dict[str, Claim], files: dict[str, Path], request: ReproduceRequest) -> list[str]:
    """What is named is run, its sweep going on with what is there; of all, those without a record of their present rule; for a
    quick look the cheapest, whether they have one or not."""
    if not request.everything:
        return [*claims]
    cheapest = sorted((name for name, claim in claims.items() if not claim.waits), key=lambda name: claims[name].minutes)
    if request.quick:
        spent = [*accumulate(claims[name].minutes for name in cheapest)]
        return [name for name, minutes in zip(cheapest, spent, strict=True) if minutes <= QUICK]
    return [name for name in cheapest if _state(name, claims[name], files[name]) == Outcome.NOT_RUN]


def _state(name: str, claim: Claim, file: Path) -> Outcome:
    return shown(name, claim, read_record(record_file(file))).verdict


def _list(claims: dict[str, Claim], files: dict[str, Path]) -> None:
    table = Table(*(Column(name, no_wrap=True) for name in ("claim", "minutes", "seeds")), "state", "what")
    for name, claim in claims.items():
        state = f"waits for {claim.waits}" if claim.waits else str(_state(name, claim, files[name]))
        seeds = "exact" if claim.deterministic else str(claim.seeds)
        table.add_row(name, f"{claim.minutes:g}", seeds, state, claim.title)
    Console().print(table)


def _say(one: Shown) -> None:
    headings = ("number", "published", "found", "seeds", "rule", "verdict")
    table = Table(*(Column(name, overflow="fold") for name in headings), title=one.claim.title, title_justify="left")
    for row in one.rows:
        table.add_row(*row)
    console = Console()
    console.print(table)
    for line in one.told:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
