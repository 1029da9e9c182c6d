"""The run directory: where its parts lie, what identifies a run, and which checkpoint to go on from (docs/runs.md)."""

from __future__ import annotations

import json
import logging
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from ganlab.errors import Locked, UserError
from ganlab.files.atomic import write_whole
from ganlab.files.older import migrated, scores
from ganlab.settings import GAME

log = logging.getLogger(__name__)


def checkpoint_name(iteration: int) -> str:
    return f"step-{iteration:09d}.ckpt"


def checkpoints(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(folder.glob("step-*.ckpt"))


def snapshot_name(iteration: int) -> str:
    return f"step-{iteration:09d}.pt"


def snapshots(folder: Path) -> list[tuple[int, Path]]:
    """(iteration, file) of those of the averages of G, oldest first."""
    return [(int(path.stem.removeprefix("step-")), path) for path in sorted(folder.glob("step-*.pt"))]


class RunDirectory:
    """Where the parts of a run lie."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.yaml"
        self.overrides_file = self.path / "overrides.yaml"
        self.table_file = self.path / "metrics.csv"
        self.result_file = self.path / "result.json"
        self.checkpoints = self.path / "checkpoints"
        self.averages = self.path / "averages"
        self.samples = self.path / "samples"
        self.figures = self.path / "figures"
        self.theory = self.path / "theory"

    def create(self, config: dict[str, Any], overrides: list[str]) -> None:
        """Lay out the directory of a run that is about to begin, or to go on."""
        for folder in (self.checkpoints, self.samples, self.figures):
            folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.overrides_file, yaml.safe_dump(overrides))
        write_whole(self.config_file, yaml.safe_dump(config, sort_keys=False))
        self.result_file.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """For one process at a time; raises UserError for the second. The lock goes with its process, whatever ends that."""
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.path / ".lock", timeout=0):
                yield
        except Timeout as error:
            raise Locked(f"{self.path}: another process is training there: wait for it to end") from error

    @property
    def config(self) -> dict[str, Any]:
        """The resolved config; raises UserError where there is no run."""
        if not self.config_file.is_file():
            raise UserError(f"{self.path} is not a run directory: it has no config.yaml")
        try:
            config = yaml.safe_load(self.config_file.read_text())
        except (yaml.YAMLError, UnicodeDecodeError):
            config = None
        if not isinstance(config, dict):
            raise UserError(f"{self.config_file} is damaged: it is not a yaml mapping")
        return migrated(config)

    @property
    def result(self) -> dict[str, Any] | None:
        return scores(json.loads(self.result_file.read_text())) if self.result_file.is_file() else None

    def write_result(self, result: dict[str, Any]) -> None:
        write_whole(self.result_file, json.dumps(result, indent=2, allow_nan=False) + "\n")

    def newest_checkpoint(self) -> Path | None:
        """The newest one that is whole, by its checksums; None if there never was one; UserError if all are damaged.

        A damaged one is renamed to `.corrupt`, so that it does not count among the newest that are kept.
        """
        found = checkpoints(self.checkpoints)
        for path in reversed(found):
            if whole(path):
                return path
            log.warning("checkpoint %s is damaged, trying the one before", path)
            path.replace(path.with_suffix(".corrupt"))
        if found or any(self.checkpoints.glob("*.corrupt")):
            raise UserError(f"all checkpoints in {self.checkpoints} are damaged: start a new run")
        return None


def natural(path: Path) -> list[tuple[int, str]]:
    """A key to sort paths by: numbers by their value, so that job 10 comes after job 9."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", str(path))]


FROM_DATA = ("shape", "z_dim", "classes")  # of a network: what data and prior say, where it does not say it itself


def differences(old: dict[str, Any], new: dict[str, Any], keys: tuple[str, ...] = GAME) -> list[str]:
    """`key: old -> new` for each value, however deep, in which two configs differ under these keys."""
    found = []
    for key in keys:
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += [f"{key}.{line}" for line in differences(a, b, tuple(dict.fromkeys([*a, *b])))]
        elif a != b and not (key in FROM_DATA and keys is not GAME and None in (a, b)):
            found.append(f"{key}: {a} -> {b}")
    return found


def newest_like(config: dict[str, Any], runs: Path) -> Path | None:
    """The newest run directory under `runs` that has a checkpoint and the identity of this config."""
    for file in sorted(runs.glob("**/config.yaml"), key=lambda f: f.stat().st_mtime, reverse=True):
        run = RunDirectory(file.parent)
        if checkpoints(run.checkpoints) and not differences(run.config, config):
            return run.path
    return None


def whole(path: Path) -> bool:
    """Whether a checkpoint's checksums are right: torch.load does not look at them."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def starting_point(run: RunDirectory, resume: str | None, config: dict[str, Any], first: bool) -> Path | None:
    """The checkpoint to go on from: of this run directory, or one file that a new run branches off from. Raises UserError where
    there is nothing to go on from, or a run that was not to be gone on with; `first`: of several processes, the others of which
    find what it has begun."""
    if resume is None:
        if run.config_file.exists() and first:
            raise UserError(f"{run.path} has a run already: go on with resume={run.path}, or name another directory")
        return None
    if resume.endswith(".ckpt"):
        checkpoint = Path(resume)
        if not checkpoint.is_file():
            raise UserError(f"resume = {checkpoint}: there is no such file")
        if not whole(checkpoint):
            raise UserError(f"resume = {checkpoint} is damaged: take another one")
        old = RunDirectory(checkpoint.parent.parent)
    else:
        if not run.config_file.exists():
            if resume == "auto":
                return None
            raise UserError(f"resume = {resume} is not a run directory: it has no config.yaml")
        old, newest = run, run.newest_checkpoint()
        if newest is None:
            return None
        checkpoint = newest
    if changed := differences(old.config, config):
        raise UserError(f"resume = {old.path} was trained with another config ({'; '.join(changed)}): start a new run")
    return checkpoint
