"""The run directory: where its parts lie, what identifies a run, and which checkpoint to go on from (docs/runs.md)."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from ganlab.errors import Locked, UserError
from ganlab.files.atomic import remove_halves, replaced, write_whole
from ganlab.files.checkpoint import iteration_of, problem
from ganlab.files.older import migrated, scores
from ganlab.files.saved import json_of, read_plain
from ganlab.files.status import Status
from ganlab.settings import GAME

log = logging.getLogger(__name__)


def checkpoint_name(iteration: int) -> str:
    return f"step-{iteration:09d}.ckpt"


def checkpoints(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(folder.glob("step-*.ckpt"))


def missing(checkpoint: Path, called: str) -> str:
    """The sentence about a checkpoint that is not there, and by which name a user has called it."""
    others = ", ".join(path.name for path in checkpoints(checkpoint.parent))
    return f"{called}: there is no such file; its folder has {others or 'no checkpoint'}"


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
        self.flags_file = self.path / "flags.yaml"
        self.table_file = self.path / "metrics.csv"
        self.result_file = self.path / "result.json"
        self.checkpoints = self.path / "checkpoints"
        self.averages = self.path / "averages"
        self.samples = self.path / "samples"
        self.figures = self.path / "figures"
        self.theory = self.path / "theory"
        self.data_file = self.path / "data.json"
        self.last = ""  # the name of the newest checkpoint that counts, where not all do

    def files(self) -> Iterator[Path]:
        """What a run writes in its first moments."""
        yield from (self.config_file, self.overrides_file, self.flags_file, self.table_file, self.result_file, self.data_file)
        yield self.path / "wandb.id"
        for folder in (self.samples, self.theory):
            yield from folder.glob("step-*.*")

    def create(
        self, config: dict[str, Any], overrides: list[str], flags: Mapping[str, str], data: Mapping[str, Any] | None = None
    ) -> None:
        """Lay out the directory of a run that is about to begin, or to go on. `flags` say where its configs come from, `data`
        is what `self.data` gives back."""
        for folder in (self.checkpoints, self.samples, self.figures):
            folder.mkdir(parents=True, exist_ok=True)
        remove_halves(self.path, self.checkpoints)
        write_whole(self.overrides_file, yaml.safe_dump(overrides, allow_unicode=True))
        if flags:
            write_whole(self.flags_file, yaml.safe_dump(dict(flags)))
        write_whole(self.config_file, yaml.safe_dump(config, sort_keys=False))
        if data is not None:
            write_whole(self.data_file, json.dumps(data, indent=2) + "\n")
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
        """The resolved config, plain values all of it; raises UserError where there is no run."""
        if not self.config_file.is_file():
            within = next((f"; {one.parent} is one" for one in sorted(self.path.glob("*/config.yaml"))), "")
            raise UserError(f"{self.path} is not a run directory: it has no config.yaml{within}")
        config = read_plain(self.config_file)
        if not isinstance(config, dict):
            raise UserError(f"{self.config_file} is damaged: it is not a yaml mapping")
        return migrated(config)

    @property
    def result(self) -> dict[str, Any] | None:
        """What result.json says; None while there is none. Raises UserError where it is damaged."""
        if not self.result_file.is_file():
            return None
        try:
            result = json_of(self.result_file.read_text())
            Status.of(result)
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{self.result_file} is damaged: resume={self.path} writes it anew") from error
        return scores(result)

    @property
    def status(self) -> Status:
        """How it ended; one whose result cannot be read is not over."""
        try:
            return Status.of(self.result)
        except UserError as error:
            log.warning("%s", error)
            return Status.UNFINISHED

    def adopt(self, checkpoint: Path) -> None:
        """Keep a copy of the checkpoint that a branch begins with, since a kill may come before its first own one, and of the
        snapshots of averages until there."""
        if checkpoint.parent.resolve() == self.checkpoints.resolve():
            return
        start = iteration_of(checkpoint)
        copies = {self.averages / old.name: old for at, old in snapshots(checkpoint.parent.parent / "averages") if at <= start}
        for new, old in {**copies, self.checkpoints / checkpoint_name(start): checkpoint}.items():
            new.parent.mkdir(parents=True, exist_ok=True)
            with replaced(new) as file, old.open("rb") as there:
                shutil.copyfileobj(there, file)

    @property
    def data(self) -> dict[str, Any]:
        """`fingerprint` of what the run was trained on, and `place`, where it lay; empty where nobody has written them down."""
        try:
            found = json_of(self.data_file.read_text())
        except (OSError, ValueError):
            found = None
        if not isinstance(found, dict):
            return {}
        place = found.get("place")
        whole = isinstance(place, dict) and all(isinstance(path, str) for path in place.values())
        return {"fingerprint": found.get("fingerprint"), "place": place} if whole else {}

    def write_result(self, result: dict[str, Any]) -> None:
        write_whole(self.result_file, json.dumps(result, indent=2, allow_nan=False) + "\n")

    def newest_checkpoint(self) -> Path | None:
        """The newest one that is whole, by its checksums; None if there never was one; UserError if all are damaged.

        A damaged one is renamed to `.corrupt`, so that it does not count among the newest that are kept.
        """
        found = [path for path in checkpoints(self.checkpoints) if not self.last or path.name <= self.last]
        for path in reversed(found):
            if (wrong := problem(path)) is None:
                return path
            log.warning("checkpoint %s is damaged (%s), trying the one before", path, wrong)
            with suppress(OSError):  # it may be gone, or nobody's to rename
                path.replace(path.with_suffix(".corrupt"))
        if found or any(self.checkpoints.glob("*.corrupt")):
            raise UserError(f"all checkpoints in {self.checkpoints} are damaged: start a new run")
        return None


def natural(path: Path) -> list[tuple[int, str]]:
    """A key to sort paths by: numbers by their value, so that job 10 comes after job 9."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", str(path))]


PLACE = ("source", "root")  # of data: where they lie today
NO_IDENTITY = (*PLACE, "max_megapixels")


def placeless(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A config without what may differ in data that are the same; their content has a fingerprint (`RunDirectory.data`)."""
    data = config.get("data")
    if not isinstance(data, Mapping):
        return config
    return {**config, "data": {key: value for key, value in data.items() if key not in NO_IDENTITY}}


def place_of(data: Any) -> dict[str, str]:
    """The paths in a data node, absolute."""
    known = data.items() if isinstance(data, Mapping) else ()
    return {key: os.path.realpath(Path(value).expanduser()) for key, value in known if key in PLACE and isinstance(value, str)}


FROM_DATA = ("shape", "z_dim", "classes")  # of a network: what data and prior say, where it does not say it itself


def differences(old: Mapping[str, Any], new: Mapping[str, Any], keys: tuple[str, ...] = GAME) -> list[str]:
    """`key: old -> new` for each value, however deep, in which two configs differ under these keys; where data lie is none. The
    game's own keys and the precision, where both configs have one, are the identity of a run."""
    found = []
    if keys is GAME:
        old, new = placeless(old), placeless(new)
        before, now = (_precision(config) for config in (old, new))
        found += [f"trainer.precision: {before} -> {now}"] if None not in (before, now) and before != now else []
    for key in keys:
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += [f"{key}.{line}" for line in differences(a, b, tuple(dict.fromkeys([*a, *b])))]
        elif a != b and not (key in FROM_DATA and keys is not GAME and None in (a, b)):
            found.append(f"{key}: {a} -> {b}")
    return found


def _precision(config: Mapping[str, Any]) -> str | None:
    trainer = config.get("trainer")
    given = trainer.get("precision") if isinstance(trainer, Mapping) else None
    return None if given is None else {"32": "32-true", "64": "64-true"}.get(str(given), str(given))


def _age(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:  # a link to nowhere
        return 0.0


def newest_like(config: dict[str, Any], runs: Path, fingerprint: Callable[[], str | None] = lambda: None) -> Path | None:
    """The newest run directory under `runs` that has a checkpoint and the identity of this config: its data lie at the same
    place, or have the same fingerprint, which is asked for only then."""
    place = place_of(config.get("data"))
    for file in sorted(runs.glob("**/config.yaml"), key=_age, reverse=True):
        run = RunDirectory(file.parent)
        try:
            if checkpoints(run.checkpoints) and not differences(run.config, config):
                known = run.data
                if place in (known.get("place"), place_of(run.config.get("data"))):
                    return run.path
                if known.get("fingerprint") is not None and known["fingerprint"] == fingerprint():
                    return run.path
        except UserError as error:
            log.warning("%s: not gone on with", error)
    return None


def starting_point(run: RunDirectory, resume: str | None, config: dict[str, Any], first: bool) -> Path | None:
    """The checkpoint to go on from: of this run directory, or one file that a new run branches off from. Raises UserError where
    there is nothing to go on from, or a run that was not to be gone on with; `first`: of several processes, the others of which
    find what it has begun."""
    if resume is None:
        if run.config_file.exists() and first:
            raise UserError(f"{run.path} has a run already: go on with resume={run.path}, or name another directory")
        return None
    if resume.endswith(".ckpt") and not (run.config_file.exists() and run.config.get("resume") == resume):
        if run.config_file.exists() and first:
            raise UserError(f"{run.path} has a run already, which did not begin with {resume}: name another directory")
        return _branching_point(Path(resume), config)
    if not run.config_file.exists():
        if resume == "auto":
            return None
        raise UserError(f"resume = {resume} is not a run directory: it has no config.yaml")
    if (newest := run.newest_checkpoint()) is not None:
        _refuse_other(run, config)
        return newest
    if run.status is Status.COMPLETED:
        raise UserError(f"resume = {run.path} is completed and has no checkpoint to go on from: start a new run")
    _refuse_other(run, config)
    origin = run.config.get("resume")  # of a branch of before, which has no copy of where it began
    return _branching_point(Path(origin), config) if isinstance(origin, str) and origin.endswith(".ckpt") else None


def _branching_point(checkpoint: Path, config: dict[str, Any]) -> Path:
    if not checkpoint.is_file():
        raise UserError(missing(checkpoint, f"resume = {checkpoint}"))
    if wrong := problem(checkpoint):
        raise UserError(f"resume = {checkpoint} cannot be used, {wrong}: take another one")
    _refuse_other(RunDirectory(checkpoint.parent.parent), config)
    return checkpoint


def _refuse_other(old: RunDirectory, config: dict[str, Any]) -> None:
    if changed := differences(old.config, config):
        more = f" and {len(changed) - 2} more" if len(changed) > 2 else ""
        raise UserError(
            f"resume = {old.path} was trained with another config ({'; '.join(changed[:2])}{more}): start a new run"
        )
