"""Which classes samples show, by an extractor's verdict: dropped and unequal classes, and the 1,000 modes of stacked MNIST."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ganlab.metrics.several import Several
from ganlab.types import Extractor

PSEUDO = 0.5  # of a count, added to each class of the real ones, so that KL stays finite (Krichevsky and Trofimov, 1981)


def entropy(counts: Tensor) -> Tensor:
    """In nats, of the shares that counts [K] have."""
    share = counts.double() / counts.sum()
    return -torch.xlogy(share, share).sum()


class ClassCounts(Several):
    """Classes and their KL, of the counts of classes among samples and real ones. NaN where logits were not finite, or there
    are no samples. `reset` forgets the samples only."""

    full_state_update = False
    version = 1
    least = least_real = 1
    real: Tensor  # [K] counts
    fake: Tensor  # [K]
    unclear: Tensor  # [] samples and real ones whose logits are not finite

    def __init__(self, extractor: Extractor, **kwargs: Any) -> None:
        super().__init__(sync_on_compute=False, **kwargs)
        self.extractor, self.classes = extractor, self._count(extractor)
        for name, shape in (("real", [self.classes]), ("fake", [self.classes]), ("unclear", [])):
            self.add_state(name, torch.zeros(shape, dtype=torch.long), dist_reduce_fx="sum")

    @staticmethod
    def _count(extractor: Extractor) -> int:
        return extractor.classes

    def verdict(self, x: Tensor) -> Tensor:
        """The class of each of x [n, *S], [n] long; -1 where it is unclear."""
        logits = self.extractor(x).logits  # [n, K]
        return logits.argmax(1).where(logits.isfinite().all(1), -1)

    def update(self, x: Tensor, real: bool) -> None:
        verdict = self.verdict(x)
        clear = verdict >= 0
        counts = torch.bincount(verdict[clear], minlength=self.classes).to(self.fake.device)
        if real:
            self.real += counts
        else:
            self.fake += counts
        self.unclear += (~clear).sum().to(self.unclear.device)

    def reset(self) -> None:
        real = self.real
        super().reset()
        self.real = real

    def histogram(self, real: bool = False) -> Tensor:
        """How many there are of each class, [K] long."""
        return self.real if real else self.fake

    @property
    def details(self) -> dict[str, list[int]]:
        return {"samples": self.histogram().tolist(), "real": self.histogram(real=True).tolist()}

    def scores(self) -> dict[str, Tensor]:
        unknown = (self.unclear > 0) | (self.fake.sum() == 0)
        return {name: value.double().where(~unknown, math.nan) for name, value in self.of_counts().items()}

    def of_counts(self) -> dict[str, Tensor]:
        real, fake = self.real.double() + PSEUDO, self.fake.double()
        kl = torch.xlogy(fake / fake.sum(), (fake / fake.sum()) / (real / real.sum())).sum()
        return {"classes": (self.fake > 0).sum(), "class_kl": kl}


class Classes(ClassCounts, value="classes"):
    """Classes with at least one sample, 0 to K. Noise may be taken for any class: read it with ClassKL."""

    higher_is_better = True
    least_real = 0


class ClassKL(ClassCounts, value="class_kl"):
    """KL(classes of samples || classes of real ones) in nats: 0 upwards, log K for one of K equal classes. Half a count is
    added to each class of the real ones.

    Its mean on equal laws is not 0 but about (K - 1) (1/n + 1/m) / 2 for n samples and m real ones; what the extractor mistakes
    it mistakes in both.
    """

    higher_is_better = False


class Stacked(ClassCounts):
    """Counts of the K^3 modes of x [n, 3, H, W], by an extractor of one channel and K classes that judges each on its own
    (stacked MNIST: Metz et al., 2017; Lin et al., 2018). Real ones are counted and not compared with."""

    least_real = 0

    @property
    def details(self) -> dict[str, list[int]]:
        return {}  # a thousand numbers that nobody reads

    @staticmethod
    def _count(extractor: Extractor) -> int:
        return extractor.classes**3

    def verdict(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.shape[1] != 3:
            raise ValueError(f"{type(self).__name__} needs images (3, H, W), a digit in each channel, got {list(x.shape[1:])}")
        channels = self.extractor(x.flatten(0, 1)[:, None]).logits.unflatten(0, (-1, 3))  # [n, 3, K]
        digit, K = channels.argmax(2), self.extractor.classes
        mode = (digit[:, 0] * K + digit[:, 1]) * K + digit[:, 2]
        return mode.where(channels.isfinite().flatten(1).all(1), -1)

    def of_counts(self) -> dict[str, Tensor]:
        kl = 3 * math.log(self.extractor.classes) - entropy(self.fake)
        return {"modes": (self.fake > 0).sum(), "kl": kl}


class StackedModes(Stacked, value="modes"):
    """Triples of digits with at least one sample, 0 to K^3 (no threshold on the extractor's confidence). A uniform sampler
    reaches all 1,000 at n = 26,000."""

    higher_is_better = True


class StackedKL(Stacked, value="kl"):
    """KL(p_hat || uniform) over the K^3 triples in nats, 0 to log K^3 = 6.908. Of a perfect uniform sampler it is about
    (K^3 - 1) / 2n: 0.0193 for n = 26,000, where real stacked MNIST, whose digits are not equally frequent, has 0.0236."""

    higher_is_better = False
