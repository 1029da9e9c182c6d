"""Snapshots of the averages of G, out of which others are made after training."""

from __future__ import annotations

from pathlib import Path

import torch

from ganlab.errors import at_least_one
from ganlab.files.atomic import replaced
from ganlab.files.run import snapshot_name, snapshots
from ganlab.observers.observer import Observer, View


class Snapshots(Observer):
    """Every n iterations, `step-000000250.pt`: the weights of each average that is kept, without buffers. All of them stay, but
    for those of a run that went further than the checkpoint that is gone on from."""

    def __init__(self, every: int, folder: Path) -> None:
        at_least_one(every=every)
        super().__init__(every)
        self.folder = folder

    def begin(self, t: int) -> None:
        for iteration, path in snapshots(self.folder):
            if iteration > t:
                path.unlink()

    def observe(self, view: View) -> dict[str, float]:
        self.folder.mkdir(exist_ok=True)
        weights = [{name: p.detach().cpu() for name, p in net.named_parameters()} for net in view.game.averages]
        with replaced(self.folder / snapshot_name(view.t)) as file:
            torch.save({"iteration": view.t, "stds": list(view.game.average.stds), "weights": weights}, file)
        return {}
