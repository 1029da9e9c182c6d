"""A sweep from its first job to the table at the end."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ganlab.errors import Unfinished, UserError
from ganlab.runs import RunDirectory
from ganlab.sweep.jobs import COMPLETED, DIVERGED, FAILED, INTERRUPTED, KILLED, OVER, WAITING, Job, write_table

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
COLOURS = {COMPLETED: "green", DIVERGED: "magenta", FAILED: "red", KILLED: "red", INTERRUPTED: "yellow", WAITING: "yellow"}
LONG = 60  # jobs; of a longer sweep the table has those only that are not completed


class Engine(Protocol):
    """What runs jobs. `elsewhere`: not on this machine. `threads`: of torch in each job, where its config leaves them open;
    None for all cores."""

    elsewhere: bool
    threads: int | None

    def run(self, jobs: Sequence[Job]) -> Iterator[Job]:
        """Each job as it ends, with its `code`; a job that was never started has None."""

    def stop(self) -> None:
        """Begin nothing more and end what runs, with a checkpoint; called a second time, at once. From a signal's handler."""


def drive(jobs: list[Job], folder: Path, engine: Engine) -> None:
    """Train what is not over yet; raises Unfinished unless all jobs are completed in the end."""
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    with _alone(folder):
        for job in jobs:
            job.before = job.state
        open_ = [job for job in jobs if job.before not in OVER]
        say(console, f"{folder}: {len(jobs)} jobs, {len(jobs) - len(open_)} of them over already")
        for job in open_:
            RunDirectory(job.path).result_file.unlink(missing_ok=True)  # of an attempt that failed
        with _stopped_by_signals(engine), _bar(console, len(open_)) as advance:
            for job in engine.run(open_):
                if job.code is not None:
                    advance()
                    say(console, f"[{COLOURS[job.state]}]{job.state:11}[/] {job.name}  {job.seconds:.0f} s  {job.note}")
        write_table(jobs, folder / "jobs.jsonl")
    report(jobs, folder)
    counts = Counter(job.state for job in jobs)
    bad = {state: n for state, n in counts.items() if state != COMPLETED}
    if bad:
        code = 1 if counts[FAILED] or counts[KILLED] else 75 if counts[INTERRUPTED] or counts[WAITING] else 3
        again = ": start the same command again for the rest" if code != 3 else ""
        raise Unfinished(f"{', '.join(f'{n} {state}' for state, n in bad.items())} of {len(jobs)} jobs{again}", code)


def report(jobs: Sequence[Job], folder: Path) -> None:
    """Which job is which, and where to look."""
    console = Console()
    shown = [job for job in jobs if len(jobs) <= LONG or job.state != COMPLETED]
    table = Table("job", "state", "iterations", "seconds", "note", title=str(folder), title_justify="left")
    for job in shown:
        row = job.row()
        seconds = f"{job.seconds:.0f}" if job.seconds else "-"
        colour = COLOURS[row["state"]]
        table.add_row(job.name, f"[{colour}]{row['state']}[/]", f"{row['iterations']:,}" if row["iterations"] else "-",
                      seconds, row["note"])  # fmt: skip
    if shown:
        console.print(table)
    counts = Counter(job.state for job in jobs)
    say(
        console,
        f"jobs       {', '.join(f'{n} {state}' for state, n in counts.items())}; {folder / 'jobs.jsonl'}, logs beside it",
    )
    say(console, f"compare    ganlab compare {folder}")
    for line in dict.fromkeys(line for job in jobs for line in _lines_of(job.log)):
        say(console, line)


def say(console: Console, line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True)


def _lines_of(log: Path) -> list[str]:
    """What the run itself said of W&B; of uploads, one line for all."""
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith(("compare ", "upload "))]
    except OSError:
        return []
    return [line if "wandb sync" not in line else f"{line.rpartition('/')[0]}/offline-run-*" for line in lines]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise UserError(f"{folder}: another process is at work on this sweep: wait for it, or give study=NAME") from error


@contextmanager
def _stopped_by_signals(engine: Engine) -> Iterator[None]:
    def stop(number: int, frame: Any) -> None:
        engine.stop()

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _bar(console: Console, total: int) -> Iterator[Callable[[], None]]:
    columns = (TextColumn("jobs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)
