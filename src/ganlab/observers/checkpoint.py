"""Checkpoints of a game that is well."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from ganlab.errors import at_least_one
from ganlab.files.run import checkpoint_name, checkpoints
from ganlab.game.module import GAN
from ganlab.observers.observer import Observer, View

log = logging.getLogger(__name__)


class Checkpoint(Observer):
    """Every n iterations, after the last one and where a signal has ended the run, `step-000001200.ckpt`; the newest `keep`
    stay. Weights, BatchNorm statistics and optimizer states that are not finite are never written, so the newest checkpoint is
    always one to go on from.

    Where the disk is full, all but the newest make room and training goes on; `problem` says why the last one is not there.
    """

    everywhere = True  # a sharded state is saved by all ranks together
    again, parting = False, True

    def __init__(self, every: int, folder: Path, keep: int) -> None:
        super().__init__(every)
        at_least_one(keep=keep)
        self.folder, self.keep = folder, keep
        self.problem: OSError | None = None

    def observe(self, view: View) -> dict[str, float]:
        if not _finite(view.game):
            return {}
        path, first = self.folder / checkpoint_name(view.t), view.game.global_rank == 0
        self.problem = view.save(path)
        if self.problem and first:
            self._prune(1)
            if view.game.trainer.world_size == 1:
                self.problem = view.save(path)
        if self.problem:
            kept = checkpoints(self.folder)
            log.warning("NO CHECKPOINT of iteration %d could be written (%s): training goes on, and all after %s is lost if it "
                        "ends; make room", view.t, self.problem.strerror, kept[-1].name if kept else "the start")  # fmt: skip
        elif first:
            self._prune(self.keep)
        return {}

    def _prune(self, keep: int) -> None:
        for old in checkpoints(self.folder)[:-keep]:
            old.unlink(missing_ok=True)


def _finite(gan: GAN) -> bool:
    """Whether it is one to go on from."""
    states = [value for optimizer in (gan.opt_G, gan.opt_D) for state in optimizer.state.values() for value in state.values()]
    tensors = [*gan.state_dict().values(), *(value for value in states if isinstance(value, torch.Tensor))]
    return all(bool(value.isfinite().all()) for value in tensors)
