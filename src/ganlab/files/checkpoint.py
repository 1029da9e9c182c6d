"""What a checkpoint says of itself."""

from __future__ import annotations

from pathlib import Path

import torch


def iteration_of(checkpoint: Path) -> int:
    """The iteration of Algorithm 1 after which it was written."""
    return torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["global_step"]
