"""Run directories as a comparison sees them: finished, half-written or damaged, each with a sentence about what is wrong."""

from __future__ import annotations

import csv
import io
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.progress import track

from ganlab.errors import UserError
from ganlab.files.older import migrated
from ganlab.files.run import RunDirectory, natural
from ganlab.files.saved import loaded
from ganlab.files.status import Status
from ganlab.metrics.cards import Card, name_of

Columns = dict[str, np.ndarray]  # of metrics.csv: each [rows], nan where nothing was measured, inf where that was not finite

LAST, BEST, MEAN = KINDS = ("last", "best", "mean")  # which value of a score: keys of Run.scores
COUNTERS = ("iterations", "d_steps", "images", "seconds")
STRANGERS = ("wandb", "checkpoints", "samples", "figures", "theory", "generated", "evaluations")  # folders without runs


class Notes:
    """What a reader has to know, one sentence each; the same about many runs is said once, with their names."""

    def __init__(self) -> None:
        self._about: dict[str, list[str]] = defaultdict(list)

    def add(self, sentence: str, *names: str) -> None:
        self._about[sentence].extend(names)

    def sentences(self) -> list[str]:
        return [
            f"{few(names, separator=' · ' if any(', ' in name for name in names) else ', ')}: {sentence}" if names else sentence
            for sentence, names in self._about.items()
        ]


def few(names: Sequence[str], most: int = 3, separator: str = ", ") -> str:
    """The first names, whole (what would be cut off may be what tells two apart), and how many more there are."""
    shown = separator.join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


@dataclass(frozen=True, eq=False)
class Run:
    """One run: `scores[kind][name]` and `iterations_of[name]` (of the last value) have finite values only."""

    path: Path
    name: str
    config: dict[str, Any]
    overrides: list[str] | None
    columns: Columns
    status: Status
    verdict: str = ""
    scores: dict[str, dict[str, float]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    iterations_of: dict[str, int] = field(default_factory=dict)
    undirected: frozenset[str] = frozenset()  # scores of which there is no best
    cards: dict[str, Card] = field(default_factory=dict)
    counters: dict[str, float] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)  # command, commit, device, finished

    @property
    def seed(self) -> int:
        return int(self.config["seed"])

    @property
    def counts(self) -> bool:
        return self.status.counts

    def card(self, score: str) -> Card | None:
        return self.cards.get("theory" if score.startswith("theory/") else score)


def found(folders: Iterable[Path], notes: Notes) -> list[Path]:
    """The run directories among or below the folders, each once, in natural order within a folder."""
    paths: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            notes.add("there is no such folder", str(folder))
            continue
        before = len(paths)
        own = sorted(_below(folder), key=natural)
        for path in own:
            paths.setdefault(path.resolve(), path)
        if not own:
            notes.add("no run directory (config.yaml with overrides.yaml, metrics.csv or result.json) lies there", str(folder))
        elif len(paths) == before:
            notes.add("its runs were given already", str(folder))
    return list(paths.values())


def _of_runs(folder: Path, inner: Iterable[str]) -> bool:
    """Whether it is a group's, whose overrides are those of the runs within."""
    return any((folder / name / "config.yaml").is_file() for name in inner)


def _below(folder: Path) -> Iterable[Path]:
    seen, top = set[str](), Path(os.path.realpath(folder))  # links are followed, each folder once, and none to one above
    for here, inner, files in os.walk(folder, followlinks=True):
        if (place := os.path.realpath(here)) in seen:
            inner.clear()
            continue
        seen.add(place)
        if "config.yaml" in files and {"overrides.yaml", "metrics.csv", "result.json"} & {*files}:
            inner.clear()
            yield Path(here)
        elif {"overrides.yaml", "metrics.csv", "result.json"} & {*files} and not _of_runs(Path(here), inner):
            inner.clear()
            yield Path(here)  # told later: it has no config.yaml
        inner[:] = sorted(name for name in inner if name not in STRANGERS and not name.startswith("."))
        links = {name for name in inner if (Path(here) / name).is_symlink()}
        inner[:] = [one for one in inner if one not in links or not top.is_relative_to(os.path.realpath(Path(here) / one))]


def read_runs(folders: Sequence[Path], notes: Notes, progress: bool = True) -> list[Run]:
    """All runs that can be told apart by a config; raises UserError where there is none."""
    paths = found(folders, notes)
    names = _short(paths)
    console = Console(stderr=True)
    bar = track(paths, "reading runs", console=console, transient=True, disable=not progress or console.is_jupyter)
    runs = [run for path, name in zip(bar, names, strict=True) if (run := _read(path, name, notes)) is not None]
    if not runs:
        raise UserError(f"nothing to compare: {'; '.join(notes.sentences()) or 'no folder was given'}")
    return runs


def _short(paths: Sequence[Path]) -> list[str]:
    """The paths from their common folder on."""
    if not paths:
        return []
    common = os.path.commonpath([path.resolve().parent for path in paths])
    return [os.path.relpath(path.resolve(), common) for path in paths]


def _read(path: Path, name: str, notes: Notes) -> Run | None:
    directory = RunDirectory(path)
    config, overrides = _yaml(directory.config_file), _yaml(directory.overrides_file)
    if not isinstance(config, dict) or not isinstance(config.get("seed"), int):
        notes.add("left out, as there is no config.yaml, or a damaged one", name)
        return None
    config, columns = migrated(config), _columns(directory.table_file, name, notes)
    own: dict[str, Any] = {"path": path, "name": name, "config": config, "columns": columns,
                           "overrides": [str(line) for line in overrides] if isinstance(overrides, list) else None}  # fmt: skip
    last = {key: _last(columns, key.replace("iterations", "iteration")) for key in COUNTERS}
    unfinished = Run(**own, status=Status.UNFINISHED, counters=last)
    try:
        result = directory.result
        if result is None:
            notes.add("no result.json: the run is not over or was killed, and counts as unfinished", name)
            return unfinished
        run = Run(**own, **_result(result, config))
    except (UserError, OSError, ValueError, TypeError, KeyError, AttributeError):
        notes.add("result.json is damaged: the run counts as unfinished", name)
        return unfinished
    if not run.counts:
        notes.add(f"{run.status}: counted, but without scores", name)
    return run


def _result(result: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {kind: result[key] for kind, key in ((LAST, "final"), (BEST, "best"), (MEAN, "mean"))}
    cards = dict(result["cards"])
    if "theory" in cards and "data" in config:  # it names p_data only as such
        cards["theory"] = {**cards["theory"], "reference": name_of(config["data"], None)}
    plain = {name for name in kinds[LAST] if name not in kinds[BEST]}
    return {
        "status": Status(result["status"]),
        "verdict": str(result["verdict"]["state"]),
        "scores": {
            kind: {
                str(name): float(entry["value"])
                for name, entry in values.items()
                if entry["value"] is not None and math.isfinite(entry["value"]) and not (name in plain and "theory/" in name)
            }
            for kind, values in kinds.items()
        },
        "iterations_of": {str(name): int(entry["iteration"]) for name, entry in kinds[LAST].items()},
        "undirected": frozenset(name for name in plain if not name.startswith("theory/")),
        "cards": cards,
        "counters": {key: float(result[key]) for key in COUNTERS},
        "origin": {key: str(result.get(key) or "") for key in ("command", "commit", "device", "finished")},
    }


def _yaml(path: Path) -> Any:
    """None where it cannot be read."""
    try:
        return loaded(path.read_text())
    except (OSError, yaml.YAMLError, ValueError, RecursionError, OverflowError):
        return None


def _columns(path: Path, name: str, notes: Notes) -> Columns:
    """A half-written last row is dropped; a file that is no table gives nothing. Both are told."""
    try:
        text = path.read_text()
        whole = text[: text.rfind("\n") + 1]
        header, *rows = csv.reader(io.StringIO(whole))
        if len(whole) < len(text) or (rows and len(rows[-1]) != len(header)):
            notes.add("metrics.csv ends within a row: the row is left out", name)
            rows = [row for row in rows if len(row) == len(header)]
        table = np.array([[_number(value) for value in row] for row in rows]).reshape(len(rows), len(header))
        if "iteration" not in header or not (np.diff(table[:, header.index("iteration")]) > 0).all():
            raise ValueError
    except OSError:
        notes.add("no metrics.csv: there are no curves of it", name)
    except (ValueError, csv.Error):
        notes.add("metrics.csv is damaged: there are no curves of it", name)
    else:
        return dict(zip(header, table.T, strict=True))
    return {}


def _number(text: str) -> float:
    if not text:
        return math.nan
    return math.inf if math.isnan(value := float(text)) else value


def _last(columns: Columns, name: str) -> float:
    return float(columns[name][-1]) if len(columns.get(name, ())) else math.nan
