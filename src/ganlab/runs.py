"""The run directory: where its parts lie, what identifies a run, and which checkpoint to go on from (docs/runs.md)."""

from __future__ import annotations

import json
import logging
import zipfile
from pathlib import Path
from typing import Any

import yaml

from ganlab.callbacks.checkpoint import checkpoints
from ganlab.errors import UserError

log = logging.getLogger(__name__)

# what decides every iteration; the rest of the config may differ between a run and its continuation
IDENTITY = ("seed", "k", "batch_size", "ema_decay", "shape", "data", "model", "prior", "loss", "penalty", "updates", "optim")


class RunDirectory:
    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.yaml"
        self.overrides_file = self.path / "overrides.yaml"
        self.table_file = self.path / "metrics.csv"
        self.result_file = self.path / "result.json"
        self.checkpoints = self.path / "checkpoints"
        self.samples = self.path / "samples"
        self.figures = self.path / "figures"

    def create(self, config: dict[str, Any], overrides: list[str]) -> None:
        """Lay out the directory of a run that is about to begin, or to go on."""
        for folder in (self.checkpoints, self.samples, self.figures):
            folder.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text(yaml.safe_dump(config, sort_keys=False))
        self.overrides_file.write_text(yaml.safe_dump(overrides))
        self.result_file.unlink(missing_ok=True)

    @property
    def config(self) -> dict[str, Any]:
        """The resolved config; raises UserError where there is no run."""
        if not self.config_file.is_file():
            raise UserError(f"{self.path} is not a run directory: it has no config.yaml")
        return yaml.safe_load(self.config_file.read_text())

    @property
    def result(self) -> dict[str, Any] | None:
        return json.loads(self.result_file.read_text()) if self.result_file.is_file() else None

    def write_result(self, result: dict[str, Any]) -> None:
        half = self.result_file.with_suffix(".json.tmp")
        half.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n")
        half.replace(self.result_file)

    def newest_checkpoint(self) -> Path | None:
        """The newest one that is whole, by its checksums; None if there never was one; UserError if all are damaged."""
        found = checkpoints(self.checkpoints)
        for path in reversed(found):
            if _whole(path):
                return path
            log.warning("checkpoint %s is damaged, trying the one before", path)
        if found:
            raise UserError(f"all {len(found)} checkpoints in {self.checkpoints} are damaged: start a new run without resume")
        return None


def differences(old: dict[str, Any], new: dict[str, Any], keys: tuple[str, ...] = IDENTITY) -> list[str]:
    """`key: old -> new` for each value, however deep, in which two configs differ under these keys."""
    found = []
    for key in keys:
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += [f"{key}.{line}" for line in differences(a, b, tuple(dict.fromkeys([*a, *b])))]
        elif a != b:
            found.append(f"{key}: {a} -> {b}")
    return found


def newest_like(config: dict[str, Any], runs: Path) -> Path | None:
    """The newest run directory under `runs` that has a checkpoint and the identity of this config."""
    for file in sorted(runs.glob("**/config.yaml"), key=lambda f: f.stat().st_mtime, reverse=True):
        run = RunDirectory(file.parent)
        if checkpoints(run.checkpoints) and not differences(run.config, config):
            return run.path
    return None


def _whole(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False
