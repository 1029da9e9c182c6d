"""The theory, measured while it trains."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from ganlab.game.module import GAN
from ganlab.observers.observer import Clock, Observer, Scores, record
from ganlab.theory.reading import Frame, Probe, moments

log = logging.getLogger(__name__)

BEST = ("jsd", "kl", "reverse_kl", "total_variation", "w1", "sliced_w1", "ks", "inverse_cdf_error", "D_gap", "D_distance",
        "radius")  # fmt: skip  # the lower the better; the rest are not scores


class NotFinite(Exception):
    """A network gave a value that is not a number."""


class Measure(Observer):
    """Every n iterations, and before the first, what the instrument reads of G against D, as `theory/...`; where there is an
    average of G, also how far that is, as `theory/ema_...`. Frames for pictures are kept in `folder`.

    Both nets are in evaluation mode while they are measured; conditional ones are given y = 0.
    """

    def __init__(self, every: int, clock: Clock, instrument: Probe, folder: Path, frames: int, iterations: int) -> None:
        super().__init__(every, clock)
        self.instrument, self.folder = instrument, folder
        self.moments = moments(iterations, frames)
        self.warned = False
        self.scores = Scores(lower=[f"theory/{prefix}{name}" for name in BEST for prefix in ("", "ema_")])

    def due(self, t: int) -> bool:
        return t in self.moments or super().due(t)

    def on_train_start(self, trainer: pl.Trainer, gan: GAN) -> None:  # type: ignore[override]
        if trainer.is_global_zero:
            for path, _ in self._frames(after=gan.iteration):  # of a run that went further than the checkpoint
                path.unlink()
        if gan.iteration == 0:
            self.look(trainer, gan)

    def observe(self, trainer: pl.Trainer, gan: GAN) -> None:
        try:
            self._observe(trainer, gan)
        except NotFinite:
            if not self.warned:
                log.warning("iteration %d: a network gives values that are not finite: not measured", gan.iteration)
            self.warned = True

    def _observe(self, trainer: pl.Trainer, gan: GAN) -> None:
        t = gan.iteration
        values, frame = self.instrument.measure(function_of(gan.G, gan.device), function_of(gan.D, gan.device))
        if gan.ema_decay > 0 and (super().due(t) or t == trainer.max_steps):
            average = self.instrument.distances(function_of(gan.G_ema, gan.device))
            values |= {f"ema_{name}": value for name, value in average.items() if name in BEST}
        values = {f"theory/{name}": value for name, value in values.items()}
        self.scores.keep(values, t)
        record(trainer, gan, self.clock, values)
        if t in self.moments or t == trainer.max_steps:
            self.folder.mkdir(exist_ok=True)
            arrays: dict[str, Any] = {name: array.float().numpy() for name, array in frame.items()}
            np.savez_compressed(self.folder / f"step-{t:09d}.npz", **arrays)

    def frames(self) -> list[tuple[int, Frame]]:
        """What was kept, of this run and of those that it goes on from, in the order of iterations."""
        found: list[tuple[int, Frame]] = []
        for path, t in self._frames():
            with np.load(path) as arrays:
                found.append((t, {k: torch.from_numpy(arrays[k]) for k in arrays}))
        return found

    def _frames(self, after: int = -1) -> list[tuple[Path, int]]:
        all_of_them = [(path, int(path.stem.removeprefix("step-"))) for path in sorted(self.folder.glob("step-*.npz"))]
        return [(path, t) for path, t in all_of_them if t > after]

    def state_dict(self) -> dict[str, Any]:
        return {**self.scores.state_dict(), "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.scores.load_state_dict(state_dict)
        self.seconds = state_dict["seconds"]


def function_of(net: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The net as a function of its first argument, in evaluation mode, from and to the CPU."""

    @torch.no_grad()
    def function(x: Tensor) -> Tensor:
        training = net.training
        net.eval()
        y = torch.zeros(len(x), dtype=torch.long, device=device)
        out = net(x.to(device), y).float().cpu()
        net.train(training)
        if not out.isfinite().all():
            raise NotFinite
        return out

    return function
