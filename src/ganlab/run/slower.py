"""What is left of the learning rates of a run that has diverged and goes on from before."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ganlab.files.checkpoint import read_checkpoint


class Slower(NamedTuple):
    """`factor` is that on the rates which the checkpoint has that the run goes on from; `times` how often it was slowed in all.
    The checkpoint holds the product so far, so that an iteration stays a function of it."""

    factor: float = 1.0
    times: int = 0

    @classmethod
    def of(cls, checkpoint: Path | None) -> Slower:
        """A run that goes on as it was."""
        return cls() if checkpoint is None else cls(1.0, int(read_checkpoint(checkpoint).get("slowed", 0)))

    def once_more(self, kept: Slower, factor: float) -> Slower:
        """After another divergence, from a checkpoint that was slowed `kept.times` times itself."""
        return Slower(factor ** (self.times + 1 - kept.times), self.times + 1)
