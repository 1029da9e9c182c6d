"""A sweep from its first job to the table at the end."""

from __future__ import annotations

import math
import os
import shlex
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from ganlab.errors import Unfinished, UserError
from ganlab.files.atomic import write_whole
from ganlab.files.status import Status
from ganlab.sweep.jobs import Job, write_table

AGAIN = 1.0  # seconds in which a second signal is the same one: a closing terminal and its shell both send it
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
COLOURS = {0: "green", 3: "magenta", 75: "yellow", 1: "red", 5: "red"}  # of states, by their exit code
TOLD = "GANLAB_TELL_SWEEP"  # names a file that is told the directory: for who has started this process
SYNC = " wandb sync "  # what a run says of its part in W&B that lies here only
LONG = 60  # jobs; of a longer sweep the table has those only that are not completed


class Engine(Protocol):
    """What runs jobs. `elsewhere`: not on this machine. `threads`: of torch in each job, where its config leaves them open;
    None for all cores."""

    elsewhere: bool
    threads: int | None

    def prepare(self) -> None:
        """Called before jobs are checked: begin what takes a while and can be done beside it."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Job]:
        """Each job as it ends, with its `code`; a job that was never started has None."""

    def stop(self) -> None:
        """Begin nothing more and end what runs, with a checkpoint; called a second time, at once. From a signal's handler."""


def drive(jobs: list[Job], folder: Path, engine: Engine) -> None:
    """Train what is not over yet; raises Unfinished unless all jobs are completed in the end."""
    console = Console(stderr=True)
    with at_work(folder, engine, console) as start:
        open_ = still_open(jobs)
        say(console, f"{folder}: {len(jobs)} jobs, {len(jobs) - len(open_)} of them over already")
        for _ in start(open_, len(open_)):
            pass
        write_table(jobs, folder / "jobs.jsonl")
    show_jobs(jobs, folder)
    counts = Counter(job.state for job in jobs)
    bad = {state: n for state, n in counts.items() if state is not Status.COMPLETED}
    if bad:
        again = "" if all(state.counts for state in bad) else ": start the same command again for the rest"
        worst = max(bad, key=[*Status].index)
        raise Unfinished(f"{', '.join(f'{n} {state}' for state, n in bad.items())} of {len(jobs)} jobs{again}", worst.exit_code)


def still_open(jobs: Sequence[Job]) -> list[Job]:
    return [job for job in jobs if not job.state.counts]


@contextmanager
def at_work(folder: Path, engine: Engine, console: Console) -> Iterator[Callable[[Sequence[Job], int], Iterator[Job]]]:
    """The folder is this process's alone, and signals stop its engine. Gives a function that trains jobs which are open, with
    their number of all that the sweep has, and yields each as it ends; it may be called again."""

    def start(jobs: Sequence[Job], total: int) -> Iterator[Job]:
        advance(total, 0)
        for job in engine.run(jobs):
            if job.code is not None:
                advance(total, 1)
                words = f"{job.name}  {job.seconds:.0f} s  {job.note}"
                console.print(Text.assemble((f"{job.state:12}", COLOURS[job.state.exit_code]), words), soft_wrap=True)
            yield job

    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder), stopped_by_signals(engine), _bar(console) as advance:
        if asked := os.environ.get(TOLD):
            Path(asked).write_text(str(folder.absolute()))
        yield start


def show_jobs(jobs: Sequence[Job], folder: Path) -> None:
    """Which job is which, and where to look."""
    console = Console()
    shown = [job for job in jobs if len(jobs) <= LONG or job.state is not Status.COMPLETED]
    table = Table(
        Column("job", overflow="fold"),
        "state",
        "verdict",
        "score",
        "iterations",
        "seconds",
        "note",
        title=Text(str(folder)),
        title_justify="left",
    )
    for job in shown:
        row = job.row()
        seconds = f"{job.seconds:.0f}" if job.seconds else "-"
        colour = COLOURS[Status(row["state"]).exit_code]
        iterations = f"{row['iterations']:,}" if row["iterations"] else "-"
        told = (row["verdict"], row["score"], iterations, seconds)
        table.add_row(Text(job.name), Text(row["state"], colour), *told, Text(row["note"]))
    if shown:
        console.print(table)
    where_to_look(console, jobs, folder)


def where_to_look(console: Console, jobs: Sequence[Job], folder: Path) -> None:
    """The end of a report: where to look."""
    counts = Counter(job.state for job in jobs)
    told = ", ".join(f"{n} {state}" for state, n in counts.items())
    say(console, f"jobs       {told}: {folder / 'jobs.jsonl'}, with logs beside it")
    say(console, f"compare    ganlab compare {folder}")
    lines = dict.fromkeys(line for log in dict.fromkeys(job.log for job in jobs) for line in _lines_of(log))
    uploads = {line.rpartition("-")[2]: line for line in lines if SYNC in line}  # by the run's id, of which the newest is whole
    for line in (line for line in lines if SYNC not in line):
        say(console, line)
    if len(uploads) > 1:
        write_whole(folder / "offline.txt", "".join(f"{line.partition(SYNC)[2]}\n" for line in uploads.values()))
        say(console, f"upload     wandb login && xargs{SYNC}< {shlex.quote(str(folder / 'offline.txt'))}")
    else:
        for line in uploads.values():
            say(console, line)


def say(console: Console, line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True, markup=False)


def _lines_of(log: Path) -> list[str]:
    """What the run itself said of where to compare, and how to upload."""
    try:
        return [line for line in log.read_text(errors="replace").splitlines() if line.startswith(("compare ", "upload "))]
    except OSError:
        return []


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise UserError(f"{folder}: another process is at work on this sweep: wait for it, or give study=NAME") from error


@contextmanager
def stopped_by_signals(engine: Engine) -> Iterator[None]:
    """In here signals end the engine's work; what is ignored, as SIGHUP under nohup, stays so."""
    last = -math.inf

    def stop(number: int, frame: Any) -> None:
        nonlocal last
        last, before = time.monotonic(), last
        if last - before > AGAIN:
            engine.stop()

    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    replaced = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}
    for number in replaced:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)


@contextmanager
def _bar(console: Console) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("jobs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda total, by: progress.update(task, total=total, advance=by)
