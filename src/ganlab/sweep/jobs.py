"""One job of a sweep: where it lies, how it is started, and how it stands by the files that it has left."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganlab.errors import UserError
from ganlab.files.atomic import write_whole
from ganlab.files.run import RunDirectory
from ganlab.files.status import Status
from ganlab.run.composing import Made
from ganlab.run.names import may_differ


@dataclass
class Job:
    """`overrides` as train.py is given them; `iterations` is the budget; `code` what its process ended with, None if none was
    started."""

    name: str
    path: Path
    log: Path
    overrides: list[str]
    iterations: int
    values: dict[str, str] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)  # of Hydra, as --config-dir
    code: int | None = None
    seconds: float = 0.0  # of its process, in this sweep
    made: Made = field(default_factory=dict, repr=False, compare=False)  # of its config, by the sweep's own process
    _last: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)  # its result, once it is over

    def line(self, script: str) -> list[str]:
        """The command of a single run in this job's directory, which goes on with what is there."""
        own = [f"name={quoted(self.name)}", "hydra.mode=RUN", f"hydra.run.dir={quoted(self.path)}"]
        again = [f"resume={quoted(self.path)}"] if RunDirectory(self.path).config_file.exists() else []
        return [script, *self.flags, *self.overrides, *own, *again]

    @property
    def setting(self) -> tuple[str, ...]:
        """What it has in common with jobs that can be trained at once with it."""
        return tuple(line for line in self.overrides if not may_differ(line.partition("=")[0]))

    @property
    def result(self) -> dict[str, Any]:
        """Empty while there is none that can be read."""
        if self._last:
            return self._last
        try:
            return RunDirectory(self.path).result or {}
        except (OSError, UserError):
            return {}

    @property
    def over(self) -> bool:
        result = self.result
        status = Status.of(result)
        over = status.early or (status is Status.COMPLETED and result.get("iterations", 0) >= self.iterations)
        if over:
            self._last = result  # nobody trains it any more
        return over

    @property
    def state(self) -> Status:
        """By the run directory where it is over, otherwise by what its process ended with."""
        code = self.code
        if self.over:
            return Status.of(self.result)
        if code is None:
            return Status.WAITING
        if code == 0:
            return Status.COMPLETED  # it had more iterations than it was asked for
        if code == Status.UNSAVED.exit_code:
            return Status.UNSAVED
        if code < 0 and code not in (-signal.SIGTERM, -signal.SIGINT):
            return Status.KILLED
        return Status.INTERRUPTED if code in (Status.INTERRUPTED.exit_code, -signal.SIGTERM, -signal.SIGINT) else Status.FAILED

    @property
    def note(self) -> str:
        """Why it is not completed, in the words of the run itself where it has said something."""
        state, code = self.state, self.code
        if state is Status.COMPLETED:
            return "" if code is not None else "skipped: it was completed before"
        if state is Status.DIVERGED:
            return "a loss is not finite" if code is not None else "skipped: it diverged before"
        if state is Status.UNSAVED:
            return f"the disk was full: {self.result.get('error') or _last_line(self.log)}"
        if state is Status.COLLAPSED:
            return "samples are alike" if code is not None else "skipped: it collapsed before"
        if state is Status.KILLED and code is not None:
            why = " (the kernel's for want of memory, or somebody's)" if -code == signal.SIGKILL else ""
            return f"by {_signal(-code)}{why}: {_last_line(self.log)}"
        if state is Status.FAILED:
            return _last_line(self.log)
        return "it goes on when the sweep is started again" if state is Status.INTERRUPTED else ""

    @property
    def score(self) -> str:
        """The first of its scores and its last value, as `modes 8`; empty where there is none."""
        for name, last in self.result.get("final", {}).items():
            if "/" not in name:
                return f"{name} {'-' if last['value'] is None else format(last['value'], '.4g')}"
        return ""

    def row(self) -> dict[str, Any]:
        result = self.result
        return {
            "job": self.name,
            **self.values,
            "state": self.state.value,
            "iterations": result.get("iterations", ""),
            "verdict": (result.get("verdict") or {}).get("state", ""),
            "score": self.score,
            "seconds": round(self.seconds, 1),
            "note": self.note,
            "directory": str(self.path),
        }


@dataclass
class Group(Job):
    """Jobs that one process trains at once, each in its own directory."""

    jobs: Sequence[Job] = ()

    @classmethod
    def of(cls, jobs: Sequence[Job]) -> Group:
        """`overrides` are those that all have; what one has for itself, and its name, are in `replicas`. What its process has
        for itself lies beside its log: the folder of the sweep is that of other groups, too."""
        first = jobs[0]
        shared = [line for line in first.overrides if all(line in job.overrides for job in jobs)]
        where = (first.log.parent / first.name, first.log)
        return cls(first.name, *where, shared, first.iterations, flags=first.flags, made=first.made, jobs=jobs)

    def line(self, script: str) -> list[str]:
        each = []
        for job in self.jobs:
            own = [line for line in job.overrides if line not in self.overrides] + [f"name={quoted(job.name)}"]
            each.append(f"{{dir: {quoted(job.path)}, set: [{', '.join(map(quoted, own))}]}}")
        where = ["hydra.mode=RUN", f"hydra.run.dir={quoted(self.path)}"]
        return [script, *self.flags, *self.overrides, f"replicas=[{', '.join(each)}]", *where]


def quoted(value: Any) -> str:
    """A value in Hydra's grammar, which knows a backslash only before a quote."""
    return "'" + re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + (m[2] and "\\'"), str(value)) + "'"


def mapping(overrides: list[str]) -> Mapping[str, str]:
    """{"k": "1"} for ["k=1"]; a key without a value, as of `~key`, has an empty one."""
    return {key: value for key, _, value in (line.partition("=") for line in overrides)}


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_line(log: Path) -> str:
    """The last thing that a process has said: the sentence of a mistake, the last line of a traceback."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 20_000))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return lines[-1].removeprefix("ganlab: error: ")[:300] if lines else f"see {log}"


def write_table(jobs: list[Job], file: Path) -> None:
    """All jobs as JSON lines, for scripts."""
    write_whole(file, "".join(json.dumps(job.row()) + "\n" for job in jobs))
