"""What an earlier check of the same sweep has found, kept beside it in `checked.json`: a job that is over, and was composed and
compared with its directory before, need not be composed again to say so. It is a cache and nothing else: who deletes it waits
a little longer, and what is damaged or of other code, configs or overrides is not believed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ganlab.errors import UserError
from ganlab.files.atomic import write_whole
from ganlab.files.run import RunDirectory, differences, place_of
from ganlab.run.tree import config_files
from ganlab.sweep.jobs import Job

OWN = ("ganlab.", "torch.", "pytorch_lightning.")  # parts of which a change shows in `_world`
PACKAGE = Path(__file__).resolve().parent.parent
PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "omegaconf", "pydantic")


class Known:
    """`config` is that of the sweep; `sources`: the folders that configs come from, None where some are in none."""

    def __init__(self, config: Any, sources: Iterable[str | Path] | None) -> None:
        self.folder = Path(config.hydra.sweep.dir)
        self.file = self.folder / "checked.json"
        self.composed: dict[str, dict[str, Any]] = {}  # by jobs' names: the configs that this check has composed
        self._lines: dict[str, list[str]] = {}
        self._world = os.urandom(16).hex() if sources is None else _world(config, sources)
        self._jobs = self._read()

    def job(self, name: str, overrides: Sequence[str], shown: Mapping[str, str]) -> Job | None:
        """A job that is over, as its directory was found; None where it has to be composed."""
        entry = self._jobs.get(name)
        if entry is None or entry["overrides"] != [*overrides]:
            return None
        path = (self.folder / name).absolute()
        if entry["files"] != _digests(path) or place_of(entry["place"]) != entry["lies"]:
            return None
        job = Job(name, path, self.folder / "logs" / f"{name}.log", [*overrides], entry["iterations"], dict(shown))
        return job if job.over else None

    def all(self, names: Sequence[str], batch: Sequence[Sequence[str]], shown: Sequence[Mapping[str, str]]) -> list[Job] | None:
        """The jobs of a sweep of which nothing is open; otherwise None."""
        jobs = []
        for name, overrides, values in zip(names, batch, shown, strict=True):
            if (job := self.job(name, overrides, values)) is None:
                return None
            jobs.append(job)
        return jobs

    def compose(self, name: str, overrides: Sequence[str], config: dict[str, Any]) -> None:
        """This job was composed to this config, and its directory, if there is one, is of the same."""
        self.composed[name], self._lines[name] = config, [*overrides]

    def write(self, jobs: Sequence[Job]) -> None:
        """Keep what has been found of those that are over now."""
        for job in jobs:
            if (config := self.composed.get(job.name)) is None or not job.over:
                continue
            before = _digests(job.path)
            try:
                if None in before or differences(RunDirectory(job.path).config, config):
                    continue
            except UserError:
                continue
            place = config.get("data", {})
            self._jobs[job.name] = {"overrides": self._lines[job.name], "iterations": job.iterations, "files": before,
                                    "place": {key: place[key] for key in ("source", "root") if key in place},
                                    "lies": place_of(place)}  # fmt: skip
            del self.composed[job.name]
        if self._jobs and self.folder.is_dir():
            kept = json.dumps(self._jobs)
            write_whole(self.file, json.dumps({"world": self._world, "sum": _digest(kept.encode()), "jobs": kept}))

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            found = json.loads(self.file.read_text())
            whole = found["world"] == self._world and found["sum"] == _digest(found["jobs"].encode())
            return dict(json.loads(found["jobs"])) if whole else {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {}


def _world(config: Any, sources: Iterable[str | Path]) -> str:
    """All that a job's config follows from, beside its overrides: ganlab's code, the texts of the configs, and where they are
    resolved."""
    found = hashlib.blake2b(digest_size=16)
    for file in sorted(PACKAGE.rglob("*.py")):
        about = file.stat()
        found.update(f"{file} {about.st_mtime_ns} {about.st_size}\n".encode())
    environment = "oc.env" in str(config.hydra.overrides.task)
    for folder in sources:
        for file, text in config_files(folder):
            found.update(f"{file} {len(text)}\n".encode() + text)
            environment |= b"oc.env" in text
    told = [sys.version, *map(version, PACKAGES), os.getcwd(), config.hydra.job.config_name,  # noqa: PTH109 (as it is named)
            sorted(os.environ.items()) if environment else []]  # fmt: skip
    found.update(json.dumps(told).encode())
    return found.hexdigest()


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _digests(path: Path) -> list[str | None]:
    """Of what says what a run was; None where it cannot be read, or names parts that `_world` does not know."""
    run, found = RunDirectory(path), list[str | None]()
    for file in (run.config_file, run.data_file):
        try:
            data = file.read_bytes()
        except OSError:
            found.append(None)
            continue
        targets = re.findall(rb"_target_: *(\S+)", data)
        foreign = not all(target.decode(errors="replace").startswith(OWN) for target in targets)
        found.append(None if foreign else _digest(data))
    return found
