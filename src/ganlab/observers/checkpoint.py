"""Checkpoints of a game that is well."""

from __future__ import annotations

from pathlib import Path

from ganlab.errors import at_least_one
from ganlab.files.run import checkpoint_name, checkpoints
from ganlab.observers.observer import Observer, View


class Checkpoint(Observer):
    """Every n iterations and after the last one, `step-000001200.ckpt`; the newest `keep` stay. Weights and
    BatchNorm statistics that are not finite are never written, so the newest checkpoint is always one to go on from."""

    everywhere = True  # a sharded state is saved by all ranks together

    def __init__(self, every: int, folder: Path, keep: int) -> None:
        super().__init__(every)
        at_least_one(keep=keep)
        self.folder, self.keep = folder, keep

    def observe(self, view: View) -> dict[str, float]:
        if all(bool(value.isfinite().all()) for value in view.game.state_dict().values()):
            view.save(self.folder / checkpoint_name(view.t))
            if view.game.global_rank == 0:
                for old in checkpoints(self.folder)[: -self.keep]:
                    old.unlink()
        return {}
