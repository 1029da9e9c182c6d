"""Checkpoints that a killed process cannot damage."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from ganlab.errors import at_least_one
from ganlab.files.older import weights
from ganlab.files.run import checkpoints, name_of
from ganlab.game.module import GAN
from ganlab.observers.observer import Clock, Observer


class Checkpoint(Observer):
    """Every n iterations and after the last one, `step-000001200.ckpt`; the newest `keep` stay. Weights and
    BatchNorm statistics that are not finite are never written, so the newest checkpoint is always one to go on from."""

    rank_zero_only = False

    def __init__(self, every: int, clock: Clock, folder: Path, keep: int) -> None:
        super().__init__(every, clock)
        at_least_one(keep=keep)
        self.folder, self.keep = folder, keep

    def observe(self, trainer: pl.Trainer, gan: GAN) -> None:
        if not all(bool(value.isfinite().all()) for value in gan.state_dict().values()):
            return
        for logger in trainer.loggers:
            logger.save()  # the rows until here: whoever goes on from the checkpoint has them, even after SIGKILL
        trainer.save_checkpoint(self.folder / name_of(gan.iteration))
        if trainer.is_global_zero:
            for old in checkpoints(self.folder)[: -self.keep]:
                old.unlink()


def iteration_of(checkpoint: Path) -> int:
    """The iteration of Algorithm 1 after which it was written."""
    return torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["global_step"]


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, flushes to disk and renames: Lightning's own write copies across file systems, and a kill
    then leaves half a file under the final name."""

    def load_checkpoint(self, path: Any, *arguments: Any, **more: Any) -> dict[str, Any]:
        checkpoint = super().load_checkpoint(path, *arguments, **more)
        return {**checkpoint, "state_dict": weights(checkpoint["state_dict"])}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f"{path.name}.tmp{os.getpid()}")
        try:
            with half.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            half.replace(path)
        finally:
            half.unlink(missing_ok=True)
