"""One job on whatever machine it has been given: what the engines of clusters send there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from ganlab.files.atomic import write_whole
from ganlab.files.status import Status
from ganlab.sweep.jobs import Job

GO_ON, STOP, KILL = "go on", "stop", "kill"  # orders of a sweep
TEMPFAIL = Status.INTERRUPTED.exit_code
Environment = Mapping[str, str | None]  # None takes a variable away
EVERY = 2.0  # seconds between two looks at the orders

# What a process does before it becomes train.py: it gets SIGTERM, and with it a checkpoint, when the process dies that started
# it; it is deaf to SLURM's SIGUSR2, which is for that one, and to nothing else. Lightning starts others by sys.argv: so exec.
PRELUDE = """
import os, signal, sys
parent = int(sys.argv[1])
signal.pthread_sigmask(signal.SIG_SETMASK, ())
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGUSR2, signal.SIG_IGN)
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() == parent:
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


class Orders:
    """A file through which a sweep stops its jobs, wherever they run: a file system is what all of them share. It is there from
    the start, since NFS asks the server anew about a file that is opened, but not about one that was missing."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "orders"

    def give(self, order: str) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.file, order)

    @property
    def now(self) -> str:
        try:
            return self.file.read_text()
        except OSError:
            return GO_ON


class OnNode:
    """Trains a job in a process of its own, there, with its working directory, its Python and its output in the job's log.

    `setup`: lines of bash before it.
    """

    def __init__(
        self,
        job: Job,
        script: str,
        orders: Orders,
        setup: list[str] | None = None,
        environment: Environment | None = None,
    ) -> None:
        self.job = replace(job, log=job.log.absolute(), made={})  # which is for this machine
        self.script, self.orders, self.setup = script, orders, setup or []
        self.directory = os.getcwd()  # noqa: PTH109  (a str, as Popen takes it)
        self.environment: dict[str, str | None] = {"GANLAB_OVERRIDES": "complete", **(environment or {})}
        if "PYTHONPATH" in os.environ:
            self.environment["PYTHONPATH"] = os.environ["PYTHONPATH"]

    def train(self, asked: Callable[[], bool] = lambda: False) -> int | None:
        """The exit code, negative for a signal; 75 if it was asked to end and is not over; None if it was never begun.
        `asked` says whether the machine wants it to end."""
        self._alone()
        if self.orders.now != GO_ON:
            return None
        self.job.log.parent.mkdir(parents=True, exist_ok=True)
        with self.job.log.open("ab") as log:
            process = subprocess.Popen(self._line(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
                                       env=self._variables(), start_new_session=True)  # fmt: skip
        told, looked = False, time.monotonic()
        while True:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(0.2)
                break
            order = GO_ON
            if time.monotonic() - looked > EVERY:
                order, looked = self.orders.now, time.monotonic()
            if order == KILL:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            elif not told and (order == STOP or asked()):
                told = True  # once: a second SIGTERM would break the first one's checkpoint
                process.terminate()
        if told and code in (0, 128 + signal.SIGTERM, -signal.SIGTERM) and not self.job.over:
            return TEMPFAIL
        return code

    def _line(self) -> list[str]:
        line = [sys.executable, *self.job.line(self.script)]  # only now: it says whether there is something to go on with
        line = [sys.executable, "-c", PRELUDE, str(os.getpid()), *line[1:]]
        return ["bash", "-c", "\n".join(["set -e", *self.setup, 'exec "$@"']), "bash", *line] if self.setup else line

    def _variables(self) -> dict[str, str]:
        """Without SLURM's own, by which Lightning would think that SLURM had started one process for each GPU."""
        foreign = ("SLURM_", "SLURMD_", "SRUN_", "SBATCH_", "SUBMITIT_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        given = {**kept, **self.environment}
        return {name: value for name, value in given.items() if value is not None}

    def _alone(self) -> None:
        """Where a node died, or seemed to, its process may be about to end: it still holds the directory."""
        if self.job.path.is_dir():
            with suppress(Timeout), FileLock(self.job.path / ".lock", timeout=60):
                pass


def tell(job: Job, line: str) -> None:
    """Say in a job's log what its process could not say itself."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("a") as log:
        log.write(f"{line}\n")
