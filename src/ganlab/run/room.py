"""Whether there is room for a run."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from ganlab.errors import Storage
from ganlab.game.module import GAN

COPIES = 3  # of the weights in a checkpoint: they and Adam's two averages; G has a third of its own, which is less
LEAST = 2**20  # bytes for all that is not a checkpoint


def refuse_without_room(folder: Path, gan: GAN) -> None:
    """Raises Storage where not even two checkpoints fit beside each other, as they have to when one replaces another."""
    weights = sum(t.numel() * t.element_size() for t in gan.state_dict().values() if isinstance(t, torch.Tensor))
    needed = 2 * COPIES * weights + LEAST
    free = shutil.disk_usage(next(path for path in (folder, *folder.absolute().parents) if path.exists())).free
    if free < needed:
        raise Storage(f"{folder}: {free / 2**20:,.1f} MB are free and two checkpoints need {needed / 2**20:,.1f} MB: "
                      "make room, or name another place with runs=PATH")  # fmt: skip
