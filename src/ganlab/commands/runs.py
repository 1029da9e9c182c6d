"""`ganlab runs`: what has been trained, how it ended, what it scored; and what of it may go."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ganlab.errors import Locked, UserError, did_you_mean
from ganlab.files.elapsed import largest_unit
from ganlab.files.run import RunDirectory, natural
from ganlab.files.saved import read_plain
from ganlab.files.status import Status
from ganlab.report.names import MAIN
from ganlab.report.read import Notes, few, found

RUNNING = "running"
STATES = (RUNNING, *(state.value for state in Status if state not in (Status.WAITING, Status.KILLED)))
LONG = 20  # rows, beyond which the headings are repeated below
QUIET = 600.0  # seconds without a change, after which a run without result is believed not to train on another machine
OWN = {"config.yaml", "overrides.yaml", "flags.yaml", "data.json", "metrics.csv", "metrics.csv.corrupt", "result.json",
       "run.log", "wandb.id", ".lock", "checkpoints", "averages", "samples", "figures", "theory", "generated", "evaluations",
       "compare", ".hydra"}  # fmt: skip  # of a run directory; what else lies in one is somebody's


@dataclass(frozen=True)
class Listed:
    """A run as a list has it."""

    path: Path
    name: str  # its path, from the folder that was given
    state: str
    verdict: str
    score: str  # the main one and its last value
    changed: float  # seconds since the epoch

    @property
    def folder(self) -> str:
        return "" if (parent := str(Path(self.name).parent)) == "." else parent

    @property
    def age(self) -> str:
        return largest_unit(time.time() - self.changed)


def runs(
    folders: Sequence[Path], states: Sequence[str] = (), where: Sequence[str] = (), remove: bool = False, yes: bool = False,
    ask: Callable[[str], str] = input,
) -> None:  # fmt: skip
    """Print the runs below the folders that are in one of the states and have all KEY=VALUE; with `remove`, delete them once
    it was confirmed. Raises UserError where there is none, or a state or key that none has."""
    for state in states:
        if state not in STATES:
            raise UserError(f"--state {state}: there is no such state{did_you_mean(state, STATES)}")
    notes, kept = Notes(), []
    paths = found(folders, notes)
    if not paths:
        raise UserError(f"no runs to list: {'; '.join(notes.sentences()) or 'no folder was given'}")
    wanted = matching(paths, where)
    for path in sorted(wanted, key=natural):
        if not states or state_of(RunDirectory(path)) in states:
            kept.append(listed(path, folders))
    show_runs(kept, len(paths), remove)
    if remove and kept:
        removed(kept, yes, ask)


def listed(path: Path, folders: Sequence[Path]) -> Listed:
    run = RunDirectory(path)
    try:
        result = run.result or {}
    except UserError:
        result = {}
    home = next((folder for folder in folders if path.is_relative_to(folder)), path.parent)
    name = str(path.relative_to(home)) if path != home else path.resolve().name
    verdict = result.get("verdict") or {}
    times = [_changed(file) for file in (run.result_file, run.table_file, run.config_file, run.overrides_file)]
    return Listed(path, name, state_of(run), str(verdict.get("state", "")), main_of(result), max(times))


def state_of(run: RunDirectory) -> str:
    """`running` while a process of this machine holds it, otherwise how it ended."""
    lock = run.path / ".lock"
    if lock.is_file():
        try:
            with FileLock(lock, timeout=0):
                pass
        except Timeout:
            return RUNNING
        except OSError:  # a directory that is only to be read
            pass
    try:
        return Status.of(run.result).value
    except UserError:
        return Status.UNFINISHED.value


def main_of(result: Mapping[str, Any]) -> str:
    """`fid 12.3`: the first of MAIN, or of all scores."""
    final = result.get("final") or {}
    name = next((name for name in (*MAIN, *final) if name in final), None)
    value = final[name].get("value") if name is not None else None
    return f"{name.removeprefix('theory/')} {value:.4g}" if name is not None and value is not None else ""


def matching(paths: Sequence[Path], where: Sequence[str]) -> list[Path]:
    """Those whose overrides, or else whose configs, have each KEY=VALUE. A part of the config that is built has the name of its
    class: loss=hinge is that of Hinge."""
    pairs = [line.partition("=") for line in where]
    if bad := [line for line, (_, sign, _) in zip(where, pairs, strict=True) if not sign]:
        raise UserError(f"--where {bad[0]}: it is KEY=VALUE, as in --where k=2")
    if not pairs:
        return [*paths]
    known: dict[str, set[str]] = {key: set() for key, _, _ in pairs}
    keys: dict[str, None] = {}
    kept = []
    for path in paths:
        overrides, config = _plain(path / "overrides.yaml", []), _plain(path / "config.yaml", {})
        given = dict(line.lstrip("+").split("=", 1) for line in map(str, overrides) if "=" in line)
        keys |= dict.fromkeys([*given, *config])
        values = {key: [given[key]] if key in given else _values(config, key) for key in known}
        for key, found_here in values.items():
            known[key].update(found_here)
        if all(any(_same(value, one) for one in values[key]) for key, _, value in pairs):
            kept.append(path)
    for key, own in known.items():
        if not own:
            raise UserError(f"--where {key}=...: no run has such a key{did_you_mean(key, keys)}")
    return kept


def removed(kept: Sequence[Listed], yes: bool, ask: Callable[[str], str]) -> None:
    """Delete run directories, none that is at work and none that holds anything else. Each is locked while it goes."""
    if not yes:
        try:
            answer = ask(
                f"remove {'this run directory' if len(kept) == 1 else f'these {len(kept)} run directories'} for good? [y/N] "
            )
        except EOFError:
            print()  # what was asked has no end of its line
            raise UserError("--remove asks, and nobody is there to answer: add --yes") from None
        if answer.strip().lower() not in ("y", "yes"):
            print("nothing was removed")
            return
    gone = 0
    for one in kept:
        if why := _kept_because(one):
            print(f"kept       {one.name}: {why}")
            continue
        try:
            with RunDirectory(one.path).locked():
                shutil.rmtree(one.path)
            gone += 1
        except Locked:
            print(f"kept       {one.name}: it is running")
        except OSError as error:
            print(f"kept       {one.name}: {error.strerror}")
    print(f"removed    {gone} of {len(kept)}")


def _kept_because(one: Listed) -> str:
    """Why a run is not to be removed; empty if it may be."""
    if one.state == RUNNING:
        return "it is running"
    if one.path.is_symlink():
        return "it is a link: remove it by hand"
    if strangers := sorted({path.name for path in one.path.iterdir()} - OWN):
        return f"it also holds {few(strangers)}: remove it by hand"
    if one.state == Status.UNFINISHED and time.time() - one.changed < QUIET:
        return f"it changed {one.age} ago and has no result, so it may train on another machine: wait {QUIET / 60:.0f} minutes"
    return ""


def show_runs(kept: Sequence[Listed], of: int, remove: bool) -> None:
    console = Console()
    for folder in dict.fromkeys(one.folder for one in kept):  # once, so that there is room for names
        own = [one for one in kept if one.folder == folder]
        table = Table(title=Text(folder, "bold") if folder else None, title_justify="left", show_footer=len(own) > LONG)
        for heading in ("run", "state", "verdict", "score", "age"):
            table.add_column(heading, heading, overflow="fold", no_wrap=heading == "age")
        for one in own:
            table.add_row(Text(Path(one.name).name), one.state, Text(one.verdict or "-"), Text(one.score or "-"), one.age)
        console.print(table)
    console.print(f"runs       {len(kept)} of {of}{' to be removed' * remove}", highlight=False)


def _changed(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _plain(file: Path, otherwise: Any) -> Any:
    try:
        value = read_plain(file, resolved=False)
    except UserError:
        return otherwise
    return value if isinstance(value, type(otherwise)) else otherwise


def _values(config: Mapping[str, Any], key: str) -> list[str]:
    """What a config has under a dotted key: a value, the class of a node, or the names of several parts."""
    value: Any = config
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return []
        value = value[part]
    if not isinstance(value, Mapping):
        return [str(value)]
    target = str(value.get("path") or value.get("_target_") or "")
    return [target.rpartition(".")[2]] if target else [str(name) for name in value] or ["none"]


def _same(asked: str, found: str) -> bool:
    """Whatever the case, with or without underscores: the class of `loss=least_squares` is LeastSquares."""
    return re.sub(r"[\W_]+", "", asked).lower() == re.sub(r"[\W_]+", "", found).lower() if _letters(asked) else asked == found


def _letters(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z][\w ]*", text))
