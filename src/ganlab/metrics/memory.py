"""Does G make its training images again? Scores of samples against the images that G is trained on (the real ones of the other
scores) and against as good ones that it has never seen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.cluster.vq
import scipy.stats
import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from ganlab.errors import at_least_one
from ganlab.metrics.cards import fingerprint
from ganlab.metrics.samples import TwoFeatures, finite, float64, keeping, nan
from ganlab.types import Extractor

CHUNK = 500  # held-out examples that an extractor sees at once
BLOCK = 2**24  # distances that are held at once
DIMENSIONS = 64  # of the principal components in which distances are taken, as in the code of Meehan et al.
RESTARTS = 10  # of k-means, the best of which is taken


class WithHeldOut(TwoFeatures):
    """Also has the features of held-out examples [m, *S]: what samples of p_data that were not trained on look like."""

    higher_is_better: Any = None  # what is best lies in between

    def __init__(self, extractor: Extractor, held_out: Tensor, **kwargs: Any) -> None:
        super().__init__(extractor, **kwargs)
        self._held_out, self.held_out_sha256 = held_out, fingerprint(held_out)
        self._seen: Tensor | None = None

    def held_out(self, device: torch.device) -> Tensor:
        """Their features [m, d], looked at once."""
        if self._seen is None:
            with keeping(self):
                parts = (self.extractor(part.to(device)).features.flatten(1) for part in self._held_out.split(CHUNK))
                self._seen = torch.cat([*parts])
        return self._seen.to(device)

    def compute(self) -> Tensor:
        if not finite(self.real, self.fake):
            return nan()
        train, fake = (float64(dim_zero_cat(part)) for part in (self.real, self.fake))
        return self.of(train, float64(self.held_out(train.device)).to(train.device), fake)

    def of(self, train: Tensor, unseen: Tensor, fake: Tensor) -> Tensor:
        """The score of features [n, d], [m, d] and [k, d]."""
        raise NotImplementedError


def nearest_of(a: Tensor, b: Tensor, itself: bool = False) -> tuple[Tensor, Tensor]:
    """The distance of each of a [n, d] to the nearest of b [m, d], and which that is, [n]; `itself`: a is b, and nobody counts
    as its own neighbour. Both in float64, of which matrix products leave a copy at about 1e-7."""
    size, found = max(1, BLOCK // len(b)), []
    for start in range(0, len(a), size):
        distance = torch.cdist(a[start : start + size], b)
        if itself:
            distance.diagonal(start).fill_(torch.inf)
        found.append(distance.min(1))
    return torch.cat([each.values for each in found]), torch.cat([each.indices for each in found])


class Authenticity(WithHeldOut):
    """Share of samples that are farther from their nearest training image than that is from its own nearest other (Alaa et al.,
    2022; AuthPct / 100 of dgm-eval): 0 of copies. `details` has that of the held-out examples, which is what a G of p_data
    gets: less than 1 by as many as are each other's nearest. Above it lies a G whose samples are far from all data."""

    version = 1
    least_real = 2

    def of(self, train: Tensor, unseen: Tensor, fake: Tensor) -> Tensor:
        own = self.of_real(_own_distances).to(train.device)
        self.of_unseen = _authentic(train, unseen, own)
        return torch.tensor(_authentic(train, fake, own), dtype=torch.float64)

    of_unseen = math.nan

    @property
    def details(self) -> dict[str, float]:
        return {"held_out": self.of_unseen}


def _own_distances(train: Tensor) -> Tensor:
    return nearest_of(float64(train), float64(train), itself=True)[0]


def _authentic(train: Tensor, x: Tensor, own: Tensor) -> float:
    distance, index = nearest_of(x, train)
    return (distance > own[index]).double().mean().item()


class DataCopying(WithHeldOut):
    """C_T (Meehan et al., 2020): are samples nearer to the training images than held-out examples are? In each of `cells` parts
    of the space (k-means of the training images, on their first 64 principal components) the Z of Mann and Whitney's test that
    they are not, and the mean over these, weighted by their shares of the held-out examples; cells of at most `fewest` samples
    are left out. Far below 0 (-3, say) they are copies, about 0 of p_data itself, far above they are far from all data. It
    grows as the root of the numbers of samples and held-out examples."""

    version = 1
    least = 1

    def __init__(self, extractor: Extractor, held_out: Tensor, cells: int = 3, fewest: int = 20, **kwargs: Any) -> None:
        super().__init__(extractor, held_out, **kwargs)
        at_least_one(cells=cells)
        self.cells, self.fewest = cells, fewest
        self.least, self.least_real = fewest + 1, cells

    def of(self, train: Tensor, unseen: Tensor, fake: Tensor) -> Tensor:
        train, unseen, fake = principal(train, unseen, fake)
        centres = k_means(train, self.cells)
        in_train, in_unseen, in_fake = (torch.cdist(part, centres).argmin(1) for part in (train, unseen, fake))
        total = weight = 0.0
        for cell in range(len(centres)):
            t, p, q = train[in_train == cell], unseen[in_unseen == cell], fake[in_fake == cell]
            if len(q) > self.fewest and len(p) and len(t):
                z = mann_whitney_z(nearest_of(q, t)[0], nearest_of(p, t)[0])
                total, weight = total + len(p) * z, weight + len(p)
        return torch.tensor(total / weight if weight else math.nan, dtype=torch.float64)


def mann_whitney_z(a: Tensor, b: Tensor) -> float:
    """U of a [n] over b [m], less its mean and over its standard deviation where both are of one law: negative where a is the
    smaller. The half of the continuity correction is added as in the code of Meehan et al."""
    n, m = len(a), len(b)
    U = scipy.stats.mannwhitneyu(a.cpu().numpy(), b.cpu().numpy(), alternative="less").statistic
    return float((U - n * m / 2 + 0.5) / math.sqrt(n * m * (n + m + 1) / 12))


def principal(train: Tensor, *others: Tensor) -> list[Tensor]:
    """All in the first `DIMENSIONS` principal components of the first, if they have more dimensions than these."""
    if train.shape[1] <= DIMENSIONS:
        return [train, *others]
    mean = train.mean(0)
    _, vectors = torch.linalg.eigh(torch.cov((train - mean).T))  # ascending
    return [(part - mean) @ vectors[:, -DIMENSIONS:] for part in (train, *others)]


def k_means(x: Tensor, k: int) -> Tensor:
    """Centres [k, d] of x [n, d], the best of several starts; always the same."""
    data, best = x.cpu().numpy(), (math.inf, np.zeros(()))
    for seed in range(RESTARTS):
        centres, label = scipy.cluster.vq.kmeans2(data, k, minit="++", rng=np.random.default_rng(seed), missing="warn")
        best = min(best, (float(((data - centres[label]) ** 2).sum()), centres), key=lambda pair: pair[0])
    return torch.from_numpy(best[1]).to(x)


class Vendi(TwoFeatures):
    """exp of the entropy of the eigenvalues of K / n, where K is the cosine of features (Friedman and Dieng, 2023): the number
    of different samples, as it were, 1 to n. It knows nothing of data: noise scores high, and `details` has that of the real
    examples beside it (the whole of them, whose number matters little once it is many times the score)."""

    higher_is_better = True
    version = 1

    def compute(self) -> Tensor:
        if not finite(self.real, self.fake):
            return nan()
        return torch.tensor(vendi(dim_zero_cat(self.fake)), dtype=torch.float64)

    @property
    def details(self) -> dict[str, float]:
        return {"real": self.of_real(vendi) if self.real and finite(self.real) else math.nan}


def vendi(x: Tensor) -> float:
    """Of features [n, d], by the smaller of the two matrices with the same eigenvalues."""
    x = float64(x)
    x = x / x.norm(dim=1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)
    gram = x @ x.T if len(x) <= x.shape[1] else x.T @ x
    share = torch.linalg.eigvalsh(gram / len(x)).clamp(min=0)
    return torch.special.entr(share).sum().exp().item()
