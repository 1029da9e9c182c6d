"""The theory, measured while it trains."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganlab.metrics.cards import Card
from ganlab.observers.observer import Observer, View
from ganlab.observers.scores import Scores
from ganlab.precision import working
from ganlab.random import generator_of
from ganlab.theory.reading import Frame, Probe, frame_times
from ganlab.types import Source

log = logging.getLogger(__name__)

BEST = ("jsd", "kl", "reverse_kl", "total_variation", "w1", "sliced_w1", "ks", "inverse_cdf_error", "D_gap", "D_distance",
        "radius")  # fmt: skip  # the lower the better; the rest are not scores


CHUNK = 2000  # points that a net sees at once


class NotFinite(Exception):
    """A network gave a value that is not a number."""


class Measure(Observer):
    """Every n iterations, and before the first, what the instrument reads of G against D, as `theory/...`; where there is an
    average of G, also how far that is, as `theory/ema_...`. Frames for pictures are kept in `folder`.

    A G that is told y is given labels as the data have them, the same every time.
    """

    def __init__(
        self, every: int, instrument: Probe, folder: Path, frames: int, iterations: int, card: Card | None = None
    ) -> None:
        super().__init__(every)
        self.instrument, self.folder = instrument, folder
        self.frame_times = sorted(frame_times(iterations, frames))
        self.warned = False
        self.labels: Callable[[int], Tensor] | None = None
        self.card = card  # of all of its scores alike; those that begin with ema_ are of the average of G
        self.scores = Scores(
            lower=[f"theory/{prefix}{name}" for name in BEST for prefix in ("", "ema_")], card=lambda name: card
        )

    def next_due(self, t: int) -> int:
        later = bisect_right(self.frame_times, t)
        return min([super().next_due(t), *self.frame_times[later : later + 1]])

    def begin(self, t: int) -> None:
        for path, _ in self._frames(after=t):  # of a run that went further than the checkpoint
            path.unlink()

    def at_start(self, t: int) -> bool:
        return t == 0

    def observe(self, view: View) -> dict[str, float]:
        try:
            return self._observe(view)
        except NotFinite:
            if not self.warned:
                log.warning("iteration %d: a network gives values that are not finite: not measured", view.t)
            self.warned = True
            return {}

    def _observe(self, view: View) -> dict[str, float]:
        t, gan = view.t, view.game
        if self.labels is None:
            self.labels = labels_of(view.source, view.device)
        G, G_ema, D = (function_of(net, view.device, self.labels) for net in (gan.G, gan.G_ema, gan.D))
        values, frame = self.instrument.measure(G, D)
        if gan.average.on and (t % self.every == 0 or view.last):
            average = self.instrument.distances(G_ema)
            values |= {f"ema_{name}": value for name, value in average.items() if name in BEST}
        values = {f"theory/{name}": value for name, value in values.items()}
        self.scores.keep(values, t)
        if t in self.frame_times or view.last:
            self.folder.mkdir(exist_ok=True)
            arrays: dict[str, Any] = {name: array.float().numpy() for name, array in frame.items()}
            np.savez_compressed(self.folder / f"step-{t:09d}.npz", **arrays)
        return values

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
        return self.scores.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.scores.load_state_dict(state)


def labels_of(source: Source, device: torch.device) -> Callable[[int], Tensor]:
    """n -> y [n] as the data have them, the same every time."""

    @cache
    def labels(n: int) -> Tensor:
        return source.sample(n, generator_of(0, "theory labels", device=device))[1]

    return labels


def function_of(net: nn.Module, device: torch.device, labels: Callable[[int], Tensor]) -> Callable[[Tensor], Tensor]:
    """The net as a function of its first argument, in the mode that it is in, from and to the CPU; in parts that fit into a
    processor's cache, which takes half the time."""

    @torch.no_grad()
    def function(x: Tensor) -> Tensor:
        parts = zip(x.to(device).split(CHUNK), labels(len(x)).split(CHUNK), strict=True)
        out = working(torch.cat([net(*part) for part in parts])).cpu()
        if not out.isfinite().all():
            raise NotFinite
        return out

    return function
