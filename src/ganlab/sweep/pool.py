"""The processes of the jobs on this machine, forked from one that has imported everything already.

No ProcessPoolExecutor and no joblib: their workers take one job after the other, and one that is killed breaks the pool.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import RLock, Thread
from typing import Any

from ganlab.run.composing import HANDED, Made
from ganlab.run.lightly import import_lightly, own_parts
from ganlab.sweep.jobs import Job

SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1}
PRELOAD = ["ganlab.loggers.wandb", "ganlab.sweep.preloaded"]  # by the forkserver, of which a process has one


def preload(configs: str, images: bool) -> None:
    """Import what jobs are planned with and, in the forkserver, run with, as far as they need it by the texts of all configs
    that are not ganlab's own, of what is composed of them, and of overrides. `images`: that their data are some."""
    wanted = {
        "ganlab.sweep.lightly": own_parts(configs),  # before any other
        "ganlab.loggers.wandb": "wandb" in configs,
        "torchvision.utils": images,
        "ganlab.sweep.preloaded": True,
    }
    PRELOAD[:] = [name for name, needed in wanted.items() if needed]
    import_lightly(configs)


class Crew:
    """Runs jobs, each in a process of its own: what one of them does to itself, even SIGKILL, does not touch the others.

    A job's process is a session of its own, so that Ctrl-C reaches it only through `stop`; it gets SIGTERM when the sweep's
    process dies. Several threads may `run` jobs at a time.
    """

    def __init__(self, script: str) -> None:
        self.script, self.stopping = script, False
        self._lock = RLock()  # a signal's handler may come while its thread holds it
        self._running: set[BaseProcess] = set()
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        self._context: Any = multiprocessing.get_context(method)
        self._context.set_forkserver_preload(PRELOAD)
        self._alive, self._end = self._context.Pipe(duplex=False)  # what the other end of closes with this process

    def prepare(self) -> None:
        """Have the forkserver import while this process does something else."""
        if self._context.get_start_method() == "forkserver":
            with self._lock, _deaf():
                forkserver.ensure_running()

    def run(self, job: Job, environment: Mapping[str, str]) -> int | None:
        """The exit code, minus the number of a signal that killed it; None if no job is started any more."""
        job.log.parent.mkdir(parents=True, exist_ok=True)
        given = (job.line(self.script), dict(environment), str(job.log), self._alive, job.made)
        process = self._context.Process(target=_main, args=given)
        with self._lock:  # multiprocessing is not safe against a start and a join at a time
            if self.stopping:
                return None
            with _deaf():
                process.start()
            self._running.add(process)
        if self.stopping:
            _send(process, signal.SIGTERM)  # a signal came while it was started
        began = time.monotonic()
        wait([process.sentinel])
        with self._lock:
            process.join()
            self._running.discard(process)
        if process.exitcode is not None and process.exitcode < 0:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the other processes of a job on several devices
        job.seconds += time.monotonic() - began
        return process.exitcode

    def stop(self) -> None:
        """The first time: start nothing more, and have the running jobs write a checkpoint and end. The second: kill them."""
        with self._lock:
            number = signal.SIGKILL if self.stopping else signal.SIGTERM
            self.stopping = True
            for process in self._running:
                _send(process, number)


@contextmanager
def _deaf() -> Iterator[None]:
    """What is started in here blocks signals: the forkserver must not die of one that is for the whole process group."""
    resource_tracker.ensure_running()  # would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _send(process: BaseProcess, number: int) -> None:
    """To the job and all processes that it has started, if it is there still."""
    if process.pid is not None and process.is_alive():
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number) if number == signal.SIGKILL else os.kill(process.pid, number)


def _main(line: list[str], environment: Mapping[str, str], log: str, alive: Connection, made: Made) -> None:
    os.setsid()
    HANDED.update(made)
    Thread(target=_end_with, args=(alive,), daemon=True).start()
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(out, stream)
    os.close(out)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    os.environ.update(environment)
    sys.argv = line
    sys.path.insert(0, os.path.dirname(os.path.abspath(line[0])))  # noqa: PTH100, PTH120  (as of a script that is started)
    runpy.run_path(line[0], run_name="__main__")


def _end_with(alive: Connection) -> None:
    """SIGTERM, and with it a checkpoint, when nobody has the other end any more."""
    wait([alive])
    os.kill(os.getpid(), signal.SIGTERM)
