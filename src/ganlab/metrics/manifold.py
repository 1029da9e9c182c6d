"""Precision and recall against a manifold that is known (Lucic et al., 2018): by the distance of samples to it, and by that of
its pictures to the range of G."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from ganlab.errors import at_least_one
from ganlab.metrics.samples import TwoSamples, finite, float64, nan
from ganlab.metrics.several import Several
from ganlab.pixels import to_unit
from ganlab.random import generator_of
from ganlab.types import OnManifold, Prior, Source

LIBRARY = 2048  # samples of G among which the starts of an inversion are found
RATE = 0.05  # of Adam on z
CHUNK = 100  # pictures that are inverted at once


class ManifoldScores(Several, TwoSamples):
    """All three, of the first `most` samples and real examples. A sample is precise if its squared distance to the manifold, a
    sum over pixels in greys from 0 to 1, is below `threshold`; a real example is recalled if that to some G(z) is.

    Both distances are found by searches from the `starts` nearest of some thousand candidates: on the manifold over the angles
    of the vertices, in the range of G over z, which stays in the support of the prior, by `steps` of Adam. They are local and
    so from above: precision and recall are from below. NaN where a sample is not finite.
    """

    def __init__(
        self, source: Source, threshold: float = 0.75, most: int = 256, starts: int = 3, steps: int = 100, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(source, OnManifold):
            raise ValueError(f"{type(self).__name__} needs data whose manifold is known: use data=triangles or data=polygons")
        if not threshold > 0:
            raise ValueError(f"threshold must be > 0, got {threshold}")
        at_least_one(most=most, starts=starts, steps=steps)
        self.source, self.threshold, self.most, self.starts, self.steps = source, threshold, most, starts, steps
        self.to_G: Tensor | None = None  # [most] squared distances of real examples to the range of G
        self.to_data: Tensor | None = None  # [most] of samples to the manifold

    def update(self, x: Tensor, real: bool) -> None:
        if not real and sum(map(len, self.fake)) < self.most:
            super().update(x, real)

    def reset(self) -> None:
        super().reset()
        self.to_G = self.to_data = None

    def invert(self, G: Callable[[Tensor, Tensor], Tensor], prior: Prior, real: Tensor, y: Tensor) -> None:
        """Search for real examples [n, C, H, W] with labels y in the range of G, which is differentiable in z."""
        if self.value == "manifold_precision":
            return
        z = prior.sample(LIBRARY, generator_of(0, "inversion"))
        labels = torch.arange(LIBRARY) % self.source.classes
        with torch.no_grad():
            known = torch.cat([_flat(G(*part)).cpu() for part in zip(z.split(500), labels.split(500), strict=True)])
        parts = zip(real[: self.most].split(CHUNK), y[: self.most].split(CHUNK), strict=True)
        self.to_G = torch.cat([self._inverted(G, prior, x, label, z, labels, known) for x, label in parts])

    def _inverted(
        self,
        G: Callable[[Tensor, Tensor], Tensor],
        prior: Prior,
        x: Tensor,
        y: Tensor,
        z: Tensor,
        labels: Tensor,
        known: Tensor,
    ) -> Tensor:
        far = torch.where(y[:, None] == labels, torch.cdist(_flat(x).cpu(), known), torch.inf)  # [n, LIBRARY]
        starts = far.topk(self.starts, largest=False).indices.flatten()
        target, label = x.repeat_interleave(self.starts, 0), y.repeat_interleave(self.starts)
        support = prior.coordinate.support
        low, high = (float(getattr(support, f"{end}_bound", sign * torch.inf)) for end, sign in (("lower", -1), ("upper", 1)))
        with torch.enable_grad():
            guess = z[starts].clone().requires_grad_(True)
            optimizer, least = torch.optim.Adam([guess], RATE), torch.full((len(guess),), torch.inf)
            for _ in range(self.steps + 1):
                made = G(guess, label)
                squared = (_flat(made) - _flat(target).to(made.device)).square().sum(1).cpu()  # [n starts]
                least = torch.minimum(least, squared.detach())
                (guess.grad,) = torch.autograd.grad(squared.sum(), guess)
                optimizer.step()
                with torch.no_grad():
                    guess.clamp_(low, high)
        return least.view(-1, self.starts).amin(1)

    def scores(self) -> dict[str, Tensor]:
        if not finite(self.fake):
            return dict.fromkeys(self.values, nan())
        precision = recall = nan()
        if self.value != "manifold_recall":
            fake = dim_zero_cat(self.fake)[: self.most].view(-1, *self.source.shape)
            self.to_data = self.source.squared_distance(float64(fake), self.starts)
            precision = (self.to_data < self.threshold).double().mean().cpu()
        if self.to_G is not None:
            recall = (self.to_G < self.threshold).double().mean()
        both = precision + recall
        f1 = torch.where(both == 0, 0.0, 2 * precision * recall / both)
        return {"manifold_precision": precision, "manifold_recall": recall, "manifold_f1": f1}

    @property
    def details(self) -> dict[str, float]:
        """The median squared distances, NaN where there are none yet."""
        known = (("to_manifold", self.to_data), ("to_G", self.to_G))
        return {name: torch.nan if found is None else found.median().item() for name, found in known}


def _flat(x: Tensor) -> Tensor:
    return to_unit(x).flatten(1)


class ManifoldPrecision(ManifoldScores, value="manifold_precision"):
    """Share of samples that are polygons, 0 to 1; real data have 1."""

    higher_is_better = True
    least_real = 0


class ManifoldRecall(ManifoldScores, value="manifold_recall"):
    """Share of real examples that G can make, 0 to 1."""

    higher_is_better = True


class ManifoldF1(ManifoldScores, value="manifold_f1"):
    """2 precision recall / (precision + recall), 0 to 1."""

    higher_is_better = True
