"""Whether a G that is told y makes what it is asked for. These metrics are shown y as well, and left out of G that is told
nothing: update(x [n, *S], real, y [n])."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from ganlab.metrics.frechet import Moments, between_halves, brought_to, frechet_distance, moments
from ganlab.metrics.samples import TwoFeatures, finite, nan
from ganlab.types import Extractor, Modal, Source


class Accuracy(Metric):
    """The share of samples that are seen to be what was asked for, by a `verdict`; real ones are ignored. `details` has the
    share of each class, NaN of those that were not asked for."""

    full_state_update = False
    conditional = higher_is_better = True
    version = 1
    least = 1
    least_real = 0
    right: Tensor  # [K] samples of each class that were asked for and made
    asked: Tensor  # [K]

    def __init__(self, source: Source, **kwargs: Any) -> None:
        super().__init__(sync_on_compute=False, **kwargs)
        self.classes = source.classes
        for name in ("right", "asked"):
            self.add_state(name, torch.zeros(self.classes, dtype=torch.long), dist_reduce_fx="sum")

    def verdict(self, x: Tensor) -> Tensor:
        """The class of each of x [n, *S], [n] long."""
        raise NotImplementedError

    def update(self, x: Tensor, real: bool, y: Tensor) -> None:
        if real:
            return
        self.right += torch.bincount(y[self.verdict(x) == y], minlength=self.classes).to(self.right.device)
        self.asked += torch.bincount(y, minlength=self.classes).to(self.asked.device)

    def compute(self) -> Tensor:
        return self.right.sum() / self.asked.sum()

    @property
    def details(self) -> dict[str, list[float]]:
        return {"classes": (self.right / self.asked).tolist()}


class ComponentAccuracy(Accuracy):
    """Of a mixture: the share of samples whose nearest component, in standard deviations, is the one asked for, 0 to 1; 1 of
    data whose components do not overlap, and 1/K of a G that does not listen. A sample may lie far from all of them: read it
    with HighQuality."""

    def __init__(self, source: Source, **kwargs: Any) -> None:
        super().__init__(source, **kwargs)
        if not isinstance(source, Modal):
            raise ValueError(f"{type(self).__name__} needs a mixture, and this data has no components: leave it out")
        self.mixture: Modal = source

    def verdict(self, x: Tensor) -> Tensor:
        self.mixture = self.mixture.to(x.device)
        return self.mixture.deviations(x).argmin(1).where(x.isfinite().all(1), -1)


class ClassAccuracy(Accuracy):
    """Of images: the share of samples that a classifier of these data takes for the class asked for, 0 to 1. Real ones have the
    classifier's own accuracy, and a G that shows one good image of each class all the same 1."""

    def __init__(self, extractor: Extractor, source: Source, **kwargs: Any) -> None:
        super().__init__(source, **kwargs)
        self.extractor = extractor

    def verdict(self, x: Tensor) -> Tensor:
        if self.extractor.classes != self.classes:
            raise ValueError(
                f"its classifier knows {self.extractor.classes} classes and the data {self.classes}: give features= of them"
            )
        logits = self.extractor(x).logits  # [n, K]
        return logits.argmax(1).where(logits.isfinite().all(1), -1)


class ClassFrechetDistance(TwoFeatures):
    """The mean over classes of the FID between samples that were asked for a class and real ones of it (intra FID: Miyato and
    Koyama, 2018): 0 upwards. It sees modes that are missing within a class, and classes that are mixed up. `details` has that
    of each class, and the bias that is to be expected, which is that of FID on n / K examples. NaN where a sample is not
    finite, or a class has fewer than 2 of either."""

    conditional = True
    higher_is_better = False
    real_y: list[Tensor]
    fake_y: list[Tensor]

    def __init__(self, extractor: Extractor, source: Source, **kwargs: Any) -> None:
        super().__init__(extractor, **kwargs)
        self.classes, self.least, self.least_real = source.classes, 2 * source.classes, 2 * source.classes
        for name in ("real_y", "fake_y"):
            self.add_state(name, [], dist_reduce_fx="cat")
        self.of_class: list[float] = []

    def update(self, x: Tensor, real: bool, y: Tensor) -> None:  # type: ignore[override]
        super().update(x, real)
        (self.real_y if real else self.fake_y).append(y)

    def reset(self) -> None:
        real = list(self.real_y)
        super().reset()
        self.real_y = real

    def compute(self) -> Tensor:
        self.of_class = []
        if not finite(self.real, self.fake):
            return nan()
        fakes = [moments(part) if len(part) > 1 else None for part in self._parts(dim_zero_cat(self.fake), self.fake_y)]
        pairs = zip(self.of_real(self._real_moments), fakes, strict=True)
        self.of_class = [frechet_distance(*a, *b).item() if a and b else math.nan for a, b in pairs]
        return torch.tensor(self.of_class, dtype=torch.float64).mean()

    @property
    def details(self) -> dict[str, Any]:
        return {"classes": self.of_class, "expected_bias": self.expected_bias()}

    def expected_bias(self) -> float:
        """The mean over classes of `FrechetDistance.expected_bias`; NaN where a class has fewer than 4 real ones."""
        if not self.fake or not finite(self.real):
            return math.nan
        asked = [len(part) for part in self._parts(dim_zero_cat(self.fake), self.fake_y)]
        found = [
            brought_to(between, n, m) if m else math.nan
            for (between, n), m in zip(self.of_real(self._halves), asked, strict=True)
        ]
        return sum(found) / self.classes

    def _parts(self, features: Tensor, y: list[Tensor]) -> list[Tensor]:
        """Features [n, d] by their classes, K times [n_c, d]."""
        label = dim_zero_cat(y).to(features.device)
        return [features[label == c] for c in range(self.classes)]

    def _real_moments(self, features: Tensor) -> list[Moments | None]:
        return [moments(part) if len(part) > 1 else None for part in self._parts(features, self.real_y)]

    def _halves(self, features: Tensor) -> list[tuple[float, int]]:
        parts = self._parts(features, self.real_y)
        return [(between_halves(part) if len(part) > 3 else math.nan, len(part)) for part in parts]
