"""The scores of one G: the same samples and the same real examples for each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from ganlab.metrics.cards import Card
from ganlab.metrics.samples import keeping
from ganlab.metrics.several import kinds, named
from ganlab.precision import working
from ganlab.random import generator_of
from ganlab.types import Prior

CHUNK = 500  # examples that are generated, and seen by an extractor, at once


def conditional(metric: Metric) -> bool:
    """Whether it wants to be told what was asked for: its `update` takes y [n] as well."""
    return getattr(metric, "conditional", False)


def feed(metric: Metric, x: Tensor, y: Tensor, real: bool) -> None:
    metric.update(x, real, **({"y": y} if conditional(metric) else {}))


def _silent(stage: str, count: int) -> None: ...


class Scorer:
    """Metrics of n samples of G against real examples x [n_real, *S] with labels y, which are those asked of G as well; z is
    the same every time.

    A metric gives one score under its own name, or several under theirs. `cards` say how each is obtained, `higher_is_better`
    which end of it is better, None where neither is. `stages` is what `advance` has been told of when the first evaluation
    ends.
    """

    def __init__(
        self, metrics: Mapping[str, Metric], cards: Mapping[str, Card], x: Tensor, y: Tensor, n: int, seed: int
    ) -> None:
        self.metrics, self.cards, self.n, self.seed = dict(metrics), dict(cards), n, seed
        self.real, self.y = x, y
        every = [kinds(name, metric) for name, metric in self.metrics.items()]
        self.higher_is_better = {score: kind.higher_is_better for kinds in every for score, kind in kinds.items()}
        self.stages = {"real and generated": len(x) + n, "scores": len(self.metrics)}
        self.samples = x[:0]  # the first ones of the newest evaluation
        self._seen_real = False

    @torch.no_grad()
    def __call__(
        self,
        G: Callable[[Tensor, Tensor], Tensor],
        prior: Prior,
        device: torch.device,
        advance: Callable[[str, int], None] = _silent,
    ) -> dict[str, float]:
        """G: (z [n, Z], y [n]) -> x [n, *S], on the device, in evaluation mode."""
        for metric in self.metrics.values():
            metric.to(device).reset()
        if not self._seen_real:  # the metrics keep what they have seen of it
            with keeping(*self.metrics.values()):
                for x, y in zip(self.real.split(CHUNK), self.y.split(CHUNK), strict=True):
                    self._update(x.to(device), y.to(device), real=True)
                    advance("real and generated", len(x))
            self._seen_real = True
        z = prior.sample(self.n, generator_of(self.seed, "evaluation")).to(device)  # the same on every device
        y = self.y.repeat(-(-self.n // len(self.y)))[: self.n].to(device)
        for i, part in enumerate(zip(z.split(CHUNK), y.split(CHUNK), strict=True)):
            x = working(G(*part))
            self.samples = self.samples if i else x
            self._update(x, part[1], real=False)
            advance("real and generated", len(x))
        for metric in self.metrics.values():
            invert = getattr(metric, "invert", None)  # of one that asks G for more than samples
            if callable(invert):
                invert(lambda z, y: working(G(z.to(device), y.to(device))), prior, self.real, self.y)
        values = dict[str, float]()
        for name, metric in self.metrics.items():
            values.update(named(name, metric.compute()))
            advance("scores", 1)
        return values

    def details(self) -> dict[str, dict[str, Any]]:
        """What some scores have to say beside their value, as the width of a Parzen window, or the FID to be
        expected of a perfect G."""
        return {
            score: details
            for name, metric in self.metrics.items()
            if isinstance(details := getattr(metric, "details", None), dict)
            for score in kinds(name, metric)
        }

    def _update(self, x: Tensor, y: Tensor, real: bool) -> None:
        for metric in self.metrics.values():
            feed(metric, x, y, real)
