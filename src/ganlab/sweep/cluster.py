"""Jobs through submitit: on the nodes of a SLURM cluster, or as an exercise on this machine."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from ganlab.errors import UserError
from ganlab.files.atomic import write_whole
from ganlab.sweep.jobs import Job
from ganlab.sweep.node import GO_ON, KILL, STOP, TEMPFAIL, OnNode, Orders, tell

LARGEST = 1000  # jobs of one array: SLURM's MaxArraySize is 1001 where nobody has changed it
PATIENCE = 10.0  # seconds after a SIGTERM, which SLURM may have sent to the training, too
LATE = {"slurm": 30.0, "local": 1.0}  # seconds until a result may be seen here
RESUMABLE = ("CANCELLED", "TIMEOUT", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "DEADLINE", "INTERRUPTED", "REVOKED")
ALIVE = ("PENDING", "REQUEUED", "REQUEUE", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED")


class Submission:
    """What submitit starts on a node, and starts again after a preemption or when the time is up: each time it goes on from the
    checkpoint, and `left` says how often. Gives the exit code and the seconds that it took in all."""

    def __init__(self, node: OnNode, left: int, seconds: float = 0.0) -> None:
        self.node, self.left, self.seconds = node, left, seconds

    def __call__(self) -> tuple[int | None, float]:
        from submitit import JobEnvironment

        number = getattr(signal, f"SIG{JobEnvironment.USR_SIG}")
        requeue: Any = signal.getsignal(number)  # submitit's: it calls `checkpoint`, requeues and ends this process
        seen: dict[int, float] = {}
        for one in (number, signal.SIGTERM):
            signal.signal(one, lambda received, frame: seen.setdefault(received, time.monotonic()))
        began = time.monotonic()
        code = self.node.train(lambda: _asked(seen, number))
        self.seconds += time.monotonic() - began
        ended_by_us = self.node.orders.now != GO_ON or {*seen} == {signal.SIGTERM}  # scancel, or SLURM requeues it itself
        if code in (TEMPFAIL, -signal.SIGTERM) and self.left > 0 and not ended_by_us:
            try:
                requeue(number, None)
            except (OSError, subprocess.SubprocessError, RuntimeError) as error:
                tell(self.node.job, f"ganlab: not requeued: {error}")
        return code, self.seconds

    def checkpoint(self) -> Any:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(Submission(self.node, self.left - 1, self.seconds))


def _asked(seen: Mapping[int, float], number: int) -> bool:
    """Whether the training has to be sent SIGTERM: at once where SLURM wants its node back, but only after a while where it has
    sent SIGTERM, which some clusters send to all processes of a job."""
    if term := seen.get(signal.SIGTERM):
        return time.monotonic() - term > PATIENCE
    return number in seen


class Submitit:
    """Submits all jobs and waits for them. Where they are is kept in logs/submitit/jobs.json, so that a sweep whose own process
    was killed takes them up again."""

    def __init__(
        self,
        script: str,
        cluster: str | None,
        at_once: int | None,
        requeue: int,
        cpus: int | None,
        gpus: int | None,
        timeout_min: int,
        setup: list[str],
        more: Mapping[str, Any],
        **slurm: Any,
    ) -> None:
        """`slurm`: mem_gb and what sbatch calls the same."""
        if cluster not in (None, "slurm", "local"):
            raise UserError(f"hydra.launcher.cluster = {cluster} must be slurm, local or null")
        for name, value in (("at_once", at_once), ("timeout_min", timeout_min), ("cpus", cpus)):
            if value is not None and value < 1:
                raise UserError(f"hydra.launcher.{name} = {value} must be at least 1")
        if requeue < 0:
            raise UserError(f"hydra.launcher.requeue = {requeue} must be at least 0")
        self.cluster = cluster or ("slurm" if shutil.which("sbatch") else "local")
        asked = [name for name, value in {**slurm, "gpus": gpus, "more": more or None}.items() if value is not None]
        if cluster is None and self.cluster == "local" and asked:
            raise UserError(f"hydra.launcher.{asked[0]} is given but there is no sbatch here: start it on a login node, or "
                            "give hydra.launcher.cluster=local to train on this machine")  # fmt: skip
        self.elsewhere = self.cluster == "slurm"
        if self.elsewhere and not (shutil.which("sbatch") and shutil.which("srun")):
            raise UserError("hydra.launcher.cluster = slurm: there is no sbatch here: start it on a login node of the cluster")
        self.at_once = at_once if self.elsewhere else at_once or 1
        shared = not self.elsewhere and self.at_once != 1
        self.threads = cpus or (max(1, (os.cpu_count() or 1) // (self.at_once or 1)) if shared else None)
        self.script, self.requeue, self.gpus, self.stops = script, requeue, gpus, 0
        self.setup = list(setup)
        given = {"cpus_per_task": cpus, "gpus_per_node": gpus, "timeout_min": timeout_min, "mem_gb": slurm.pop("mem_gb", None)}
        given |= {"nodes": 1, "tasks_per_node": 1, "name": "ganlab"}
        if self.elsewhere:
            given |= {f"slurm_{name}": value for name, value in slurm.items()}
            given |= {"slurm_array_parallelism": at_once, "slurm_setup": self.setup or None}
            given |= {"slurm_additional_parameters": dict(more) or None}
        self.given = {name: value for name, value in given.items() if value is not None}
        if self.elsewhere:
            self.executor(Path.cwd())  # what it does not take is told before anything is written

    def executor(self, folder: Path) -> Any:
        """submitit's, with our parameters; raises UserError if it does not take them."""
        import submitit

        logging.getLogger("submitit").setLevel(logging.ERROR)
        try:
            limit = {f"{self.cluster}_max_num_timeout": self.requeue}
            executor = submitit.AutoExecutor(folder, cluster=self.cluster, **limit)
            executor.update_parameters(**self.given)
        except (ValueError, AssertionError, NameError, RuntimeError) as error:
            raise UserError(f"hydra.launcher: submitit says: {' '.join(str(error).split())}") from error
        return executor

    def prepare(self) -> None:
        pass

    def run(self, jobs: Sequence[Job]) -> Iterator[Job]:
        if not jobs:
            return
        folder = jobs[0].log.parent.absolute() / "submitit"
        orders = Orders(folder)
        if not self.stops:
            orders.give(GO_ON)
        executor = self.executor(folder)
        memory = folder / "jobs.json"
        running, others = self._taken_up(jobs, memory, folder)
        waiting = [job for job in jobs if job.name not in running]
        obeyed, ended = 0, dict[str, float]()
        by_name = {job.name: job for job in jobs}
        while waiting or running:
            if self.stops > obeyed:
                obeyed = self.stops
                orders.give(STOP if obeyed == 1 else KILL)
                self._cancel(running, obeyed)
                for job in waiting:
                    job.code = None
                    yield job
                waiting = []
            room = len(waiting) if self.elsewhere else max(0, (self.at_once or 1) - len(running))
            if batch := waiting[: min(room, LARGEST)]:
                waiting = waiting[len(batch) :]
                running |= self._submitted(executor, batch, orders)
                _remember(memory, self.cluster, running, others)
            if obeyed and self.elsewhere and running:
                next(iter(running.values())).get_info(mode="force")  # one sacct for all of them
            over = [name for name, handle in running.items() if self._over(handle, ended, name)]
            for name in over:
                job = by_name[name]
                self._end(job, running.pop(name))
                _remember(memory, self.cluster, running, others)
                yield job
            if running and not over:
                time.sleep(2.0 if self.elsewhere else 0.2)

    def stop(self) -> None:
        self.stops += 1  # what it means is done in `run`: a handler may come while that submits

    def _submitted(self, executor: Any, batch: Sequence[Job], orders: Orders) -> dict[str, Any]:
        local = not self.elsewhere
        environment: dict[str, str | None] = {}
        if local and self.gpus is None:  # submitit would hide all GPUs
            environment["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES")
        nodes = [OnNode(job, self.script, orders, self.setup if local else [], environment) for job in batch]
        try:
            with _deaf():
                handles = executor.submit_array([Submission(node, self.requeue) for node in nodes])
        except Exception as error:
            lines = [line for line in str(error).splitlines() if "error" in line.lower()] or [str(error)]
            raise UserError(f"{self.cluster} did not take the jobs: {lines[-1].strip()}") from error
        if self.elsewhere:
            ids = sorted({str(handle.job_id).partition("_")[0] for handle in handles})
            _say(f"submitted  {len(handles)} jobs to SLURM as {', '.join(ids)}; squeue --me shows them")
        return {job.name: handle for job, handle in zip(batch, handles, strict=True)}

    def _taken_up(self, jobs: Sequence[Job], memory: Path, folder: Path) -> tuple[dict[str, Any], dict[str, list[str]]]:
        """The jobs that an earlier process of this sweep has submitted, and that are queued or running still; and what is known
        of jobs that this command has not."""
        import submitit

        kept = json.loads(memory.read_text()) if memory.exists() else {}
        mine = {job.name: kept.pop(job.name) for job in jobs if job.name in kept}
        found: dict[str, Any] = {}
        for name, (cluster, number) in mine.items():
            if cluster != self.cluster:
                raise UserError(
                    f"{name} was given to {cluster}, not {self.cluster}: start this command as then, or delete {memory}"
                )
            if self.elsewhere:
                handle: Any = submitit.SlurmJob(folder, number)
                if not handle.done(force_check=not found):
                    found[name] = handle
            elif _alive(number, folder):
                found[name] = submitit.LocalJob(folder, number)
        if found:
            _say(f"waiting for {len(found)} jobs that were submitted before")
        return found, kept

    def _over(self, handle: Any, ended: dict[str, float], name: str) -> bool:
        """A result may be seen here only a while after the job has left the queue."""
        if handle.paths.result_pickle.exists():
            return not (self.elsewhere and self._starts_again(handle))
        taken_up = not self.elsewhere and handle._process is None
        if _alive(handle.job_id, handle.paths.folder) if taken_up else not handle.done():
            return False
        late = LATE[self.cluster] if handle.paths.stdout.exists() else 0.0
        return time.monotonic() - ended.setdefault(name, time.monotonic()) > late

    def _starts_again(self, handle: Any) -> bool:
        """Whether SLURM has ended it with a checkpoint only to start it anew, as an operator or a preemption may have it; the
        start writes another result."""
        if self.stops or handle.exception() is not None or handle.result()[0] != TEMPFAIL:
            return False
        handle.get_info(mode="force")
        return str(handle.state).startswith(ALIVE)

    def _end(self, job: Job, handle: Any) -> None:
        if handle.paths.result_pickle.exists():
            error = handle.exception()
            if error is None:
                job.code, job.seconds = handle.result()
            else:
                job.code = 1
                tell(job, f"ganlab: {_last_words(error)}; see {handle.paths.stderr}")
            return
        state = str(handle.state).partition(" ")[0].rstrip("+")
        if not handle.paths.stdout.exists() and state.startswith(RESUMABLE):
            job.code = None
            return
        job.code = TEMPFAIL if state.startswith(RESUMABLE) else -signal.SIGKILL if state.startswith("OUT_OF_ME") else 1
        tell(job, f"ganlab: job {handle.job_id} of {self.cluster} ended without a result, {state}; see {handle.paths.stderr}")

    def _cancel(self, running: Mapping[str, Any], times: int) -> None:
        """What is queued still, and the second time all. The running ones read their orders."""
        ids = [str(handle.job_id) for handle in running.values()]
        if self.elsewhere and ids:
            subprocess.call(["scancel", "--quiet", *(["--state=PENDING"] if times == 1 else []), *ids])


@contextmanager
def _deaf() -> Iterator[None]:
    """What is started in here never gets Ctrl-C, nor the end of the terminal, which are for us: we tell the jobs."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _remember(memory: Path, cluster: str, running: Mapping[str, Any], others: Mapping[str, list[str]]) -> None:
    ids = {name: [cluster, str(handle.job_id)] for name, handle in running.items()}
    write_whole(memory, json.dumps({**others, **ids}, indent=1))


def _alive(pid: str, folder: Path) -> bool:
    """Whether this process is there and is submitit's for this folder: a number is given again to others."""
    shown = subprocess.run(["ps", "-ww", "-o", "args=", "-p", pid], capture_output=True, text=True)
    return "submitit.local._local" in shown.stdout and str(folder) in shown.stdout


def _last_words(error: BaseException) -> str:
    """The last line of the trace that submitit's message has between two rules, or of a message without."""
    _, _, after = str(error).partition("-" * 22)
    lines = (after.partition("-" * 22)[0] or str(error)).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def _say(line: str) -> None:
    Console(stderr=True).print(line, highlight=False, soft_wrap=True)
