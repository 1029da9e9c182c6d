"""Where the jobs of a sweep run, on one machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import SimpleQueue

from ganlab.errors import UserError
from ganlab.sweep.jobs import Group, Job
from ganlab.sweep.pool import Crew


class Idle:
    """For a sweep of which nothing is open."""

    elsewhere = False
    threads: int | None = None

    def prepare(self) -> None:
        pass

    def run(self, jobs: Sequence[Job]) -> Iterator[Job]:
        return iter(())

    def stop(self) -> None:
        pass


class Local:
    """One job after the other, each with all cores and all GPUs."""

    elsewhere = False
    threads = None

    def __init__(self, script: str) -> None:
        self.crew = Crew(script)

    def prepare(self) -> None:
        self.crew.prepare()

    def run(self, jobs: Sequence[Job]) -> Iterator[Job]:
        for job in jobs:
            job.code = self.crew.run(job, {})
            yield job

    def stop(self) -> None:
        self.crew.stop()


class Joblib:
    """Several jobs at a time through joblib's threads, each of which waits for a process. Where there are GPUs, each job has
    one of them for itself, or shares it with `per_gpu` - 1 others; without, `n_jobs` share the cores."""

    elsewhere = False

    def __init__(self, script: str, n_jobs: int | None, gpus: list[int] | None, per_gpu: int) -> None:
        """`n_jobs`: None for as many as there are places: `per_gpu` a GPU, otherwise one a core. `gpus`: None for all that
        CUDA_VISIBLE_DEVICES leaves, [] for none."""
        for name, value in (("n_jobs", n_jobs), ("per_gpu", per_gpu)):
            if value is not None and value < 1:
                raise UserError(f"hydra.launcher.{name} = {value} must be at least 1")
        self.crew = Crew(script)
        visible = _visible()
        if unknown := sorted({str(gpu) for gpu in gpus or []} - {*visible}):
            raise UserError(f"hydra.launcher.gpus = {gpus}: there is no GPU {unknown[0]} here; there are {visible or 'none'}")
        self.places = [gpu for _ in range(per_gpu) for gpu in (visible if gpus is None else map(str, gpus))]
        cores = _cores()
        self.n_jobs = n_jobs or len(self.places) or cores
        if self.places:
            self.n_jobs = min(self.n_jobs, len(self.places))
        self.threads = max(1, cores // self.n_jobs)

    def prepare(self) -> None:
        self.crew.prepare()

    def run(self, jobs: Sequence[Job]) -> Iterator[Job]:
        from joblib import Parallel, delayed

        free: SimpleQueue[str] = SimpleQueue()
        for gpu in self.places:
            free.put(gpu)

        def one(job: Job) -> Job:
            if not self.places:
                job.code = self.crew.run(job, {})
                return job
            gpu = free.get()
            try:
                job.code = self.crew.run(job, {"CUDA_VISIBLE_DEVICES": gpu})
            finally:
                free.put(gpu)
            return job

        pool = Parallel(
            n_jobs=self.n_jobs, prefer="threads", return_as="generator_unordered", pre_dispatch=self.n_jobs, batch_size=1
        )
        yield from pool(delayed(one)(job) for job in jobs)

    def stop(self) -> None:
        self.crew.stop()


class Together:
    """Jobs that differ in seed and in numbers of optim alone, at once in one process, which trains them as replicas: of a sweep
    that varies more a process for each setting, `n_jobs` of them at a time; of more jobs than `at_once`, one group after the
    other."""

    elsewhere = False

    def __init__(self, script: str, at_once: int, n_jobs: int) -> None:
        for name, value in (("at_once", at_once), ("n_jobs", n_jobs)):
            if value < 1:
                raise UserError(f"hydra.launcher.{name} = {value} must be at least 1")
        self.crew, self.at_once, self.n_jobs = Crew(script), at_once, n_jobs
        self.threads = None if n_jobs == 1 else max(1, _cores() // n_jobs)

    def prepare(self) -> None:
        self.crew.prepare()

    def run(self, jobs: Sequence[Job]) -> Iterator[Job]:
        with ThreadPoolExecutor(self.n_jobs) as pool:
            for done in as_completed([pool.submit(self._trained, part) for part in self.groups(jobs)]):
                yield from done.result()

    def groups(self, jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
        """Those of one setting, `at_once` at most, in the order of the first of each."""
        alike: dict[tuple[str, ...], list[Job]] = {}
        for job in jobs:
            alike.setdefault(job.setting, []).append(job)
        for each in alike.values():
            yield from (each[begin : begin + self.at_once] for begin in range(0, len(each), self.at_once))

    def _trained(self, jobs: Sequence[Job]) -> Sequence[Job]:
        if len(jobs) == 1:
            jobs[0].code = self.crew.run(jobs[0], {})
            return jobs
        group = Group.of(jobs)
        code = self.crew.run(group, {})
        for job in jobs:
            job.code, job.log, job.seconds = code, group.log, group.seconds / len(jobs)
        return jobs

    def stop(self) -> None:
        self.crew.stop()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _visible() -> list[str]:
    """The GPUs by the names that CUDA_VISIBLE_DEVICES has for them, without starting CUDA in this process."""
    import torch

    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    named = [name.strip() for name in given.split(",") if name.strip()] if given is not None else None
    count = torch.cuda.device_count()
    return named[:count] if named is not None else [str(i) for i in range(count)]
