"""Jobs as tasks of Ray, on this machine or on a cluster of it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

from ganlab.errors import UserError
from ganlab.sweep.jobs import Job
from ganlab.sweep.node import GO_ON, KILL, STOP, OnNode, Orders, tell

RETRIES = 3  # of a task whose node died: it goes on from the checkpoint


class Ray:
    """Gives all jobs to Ray, which starts each where its cpus and gpus are free, with CUDA_VISIBLE_DEVICES set, and gives those
    of a node that dies to others. Ray stays up until this process ends, since a search comes with one batch after the other."""

    def __init__(self, script: str, address: str | None, cpus: float, gpus: float, at_once: int | None) -> None:
        """`address`: None for this machine alone."""
        for name, value, least in (
            ("cpus", cpus, cpus > 0),
            ("gpus", gpus, gpus >= 0),
            ("at_once", at_once, (at_once or 1) > 0),
        ):
            if not least:
                raise UserError(f"hydra.launcher.{name} = {value} is too small")
        if gpus > 1 and gpus != int(gpus):
            raise UserError(f"hydra.launcher.gpus = {gpus}: a part of a GPU is less than 1, as 0.5")
        self.script, self.address, self.cpus, self.gpus, self.at_once = script, address, cpus, gpus, at_once
        self.elsewhere, self.threads, self.stops = address is not None, max(1, int(cpus)), 0

    def prepare(self) -> None:
        pass

    def run(self, jobs: Sequence[Job]) -> Iterator[Job]:
        if not jobs:
            return
        orders = Orders(jobs[0].log.parent.absolute() / "ray")
        if not self.stops:
            orders.give(GO_ON)
        ray = self._ray()
        task = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=RETRIES, retry_exceptions=False)(_train)
        waiting, running = [*jobs], dict[Any, Job]()
        obeyed, since = 0, 0.0
        while waiting or running:
            if self.stops > obeyed:
                obeyed, since = self.stops, time.monotonic()
                orders.give(STOP if obeyed == 1 else KILL)
            if obeyed:
                yield from waiting  # never begun
                waiting = []
            while waiting and (self.at_once is None or len(running) < self.at_once):
                job = waiting.pop(0)
                running[task.remote(OnNode(job, self.script, orders))] = job
            ended, _ = ray.wait([*running], timeout=0.5) if running else ([], [])
            for ref in ended:
                yield self._ended(ray, ref, running.pop(ref))
            if obeyed > 1 and time.monotonic() - since > 10:  # what never got a place is not there to be told
                yield from running.values()
                return

    def stop(self) -> None:
        self.stops += 1  # what it means is done in `run`

    def _ended(self, ray: Any, ref: Any, job: Job) -> Job:
        try:
            job.code, job.seconds = ray.get(ref)
        except ray.exceptions.RayError as error:
            job.code = 1
            tell(job, f"ganlab: Ray lost the job: {' '.join(str(error).split())}")
        return job

    def _ray(self) -> Any:
        """Ray itself, started or connected to; raises UserError where it has not what a job needs."""
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        before = signal.getsignal(signal.SIGTERM)  # Ray would end this process at once
        try:
            with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
                import ray

                if not ray.is_initialized():
                    here = {} if self.address else {"include_dashboard": False, "object_store_memory": 80 * 2**20}
                    given = {"address": self.address or "local", "logging_level": "ERROR", "log_to_driver": False, **here}
                    ray.init(**given)  # type: ignore[arg-type]
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"hydra.launcher.address = {self.address}: Ray says: {' '.join(str(error).split())}") from error
        finally:
            signal.signal(signal.SIGTERM, before)
        there = ray.cluster_resources()
        for name, wanted in (("CPU", self.cpus), ("GPU", self.gpus)):
            if wanted > there.get(name, 0) and not self.address:  # a cluster may grow
                raise UserError(f"hydra.launcher.{name.lower()}s = {wanted}: there are {there.get(name, 0):g} here")
        return ray


def _train(node: OnNode) -> tuple[int | None, float]:
    began = time.monotonic()
    return node.train(), time.monotonic() - began
