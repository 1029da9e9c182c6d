"""Mode coverage of a Gaussian mixture, by the definitions of PacGAN (Lin et al., 2018): a sample belongs to the mode nearest
in standard deviations of the direction (Mahalanobis), and is of high quality if it lies strictly within 3 of them."""

from __future__ import annotations

import math
from typing import Any

import scipy.special
import torch
from torch import Tensor

from ganlab.metrics.several import Several
from ganlab.theory.divergences import jsd
from ganlab.types import Modal, Source

WITHIN = 3.0  # standard deviations


def reach(d: int) -> float:
    """Standard deviations within which a sample in d dimensions is of high quality: 3 on the line and in the plane, beyond it
    as many as hold what 3 do in the plane, 1 - e^-4.5 = 98.9 % (in 20 dimensions, 3 would hold 2 %)."""
    return WITHIN if d <= 2 else math.sqrt(2 * scipy.special.gammaincinv(d / 2, -math.expm1(-(WITHIN**2) / 2)))


class ModeCounts(Several):
    """The scores below, of the counts of high-quality samples per mode. Real data are ignored: the mixture is known."""

    full_state_update = False
    least_real = 0
    counts: Tensor  # [K] high-quality samples
    n: Tensor  # all samples

    def __init__(self, source: Source, **kwargs: Any) -> None:
        super().__init__(sync_on_compute=False, **kwargs)
        if not isinstance(source, Modal):
            raise ValueError(f"{type(self).__name__} needs a mixture, and this data has no modes: try metrics=points")
        self.mixture: Modal = source
        self.within = reach(source.shape[0])
        self.add_state("counts", torch.zeros(source.classes), dist_reduce_fx="sum")
        self.add_state("n", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, x: Tensor, real: bool) -> None:
        if real:
            return
        self.mixture = self.mixture.to(x.device)
        nearest, mode = self.mixture.deviations(x).min(1)
        self.counts += torch.bincount(mode[nearest < self.within], minlength=len(self.counts))
        self.n += len(x)

    def scores(self) -> dict[str, Tensor]:
        share, weights = self.counts / self.counts.sum(), self.mixture.weights.to(self.counts)
        return {
            "modes": (self.counts > 0).sum().float(),
            "high_quality": self.counts.sum() / self.n,
            "reverse_kl": torch.where(share == 0, 0.0, share * (share / weights).log()).sum(),
            "mode_jsd": jsd(*(a.cpu().double().log() for a in (share, weights))),
        }


class Modes(ModeCounts, value="modes"):
    """Modes with at least one high-quality sample, 0 to K. Noise all over the plane reaches K: read it with HighQuality."""

    higher_is_better = True


class HighQuality(ModeCounts, value="high_quality"):
    """Share of samples within 3 standard deviations of a mode (`reach`); real data in the plane and beyond it have 1 - e^-4.5
    = 0.989, on the line 0.997."""

    higher_is_better = True


class ReverseKL(ModeCounts, value="reverse_kl"):
    """KL(p_hat || weights) in nats of the high-quality samples' modes, 0 to -log of the smallest weight (log K if all are
    equal); NaN without any. Of n samples of the data it is (K - 1) / 2n on average."""

    higher_is_better = False


class ModeJSD(ModeCounts, value="mode_jsd"):
    """JSD(p_hat, weights) in nats of the high-quality samples' modes, 0 to log 2; NaN without any."""

    higher_is_better = False


class ModeCells(ModeCounts):
    """Of the same counts, and of the samples that are of no mode; not one of the scores that all mixtures have. `within`: in
    place of 3, the standard deviations that make a sample one of a mode."""

    def __init__(self, source: Source, within: float | None = None, **kwargs: Any) -> None:
        super().__init__(source, **kwargs)
        if within is not None:
            if within <= 0:
                raise ValueError(f"within must be > 0 standard deviations, or null for 3, got {within}")
            self.within = within

    def scores(self) -> dict[str, Tensor]:
        weights = self.mixture.weights.to(self.counts).cpu().double()
        d, within = self.mixture.shape[0], self.within
        inside = scipy.special.gammainc(d / 2, within**2 / 2)  # the share of a Gaussian: chi-square's distribution function
        seen = torch.cat([self.counts, (self.n - self.counts.sum())[None]]).cpu().double() / self.n.cpu().double()
        true = torch.cat([weights / weights.sum() * inside, weights.new_tensor([1 - inside])])
        return {"cell_jsd": jsd(seen.log(), true.log())}


class CellJSD(ModeCells, value="cell_jsd"):
    """JSD in nats over K + 1 cells, the modes and none of them (as in Azadi et al., 2018, and Turner et al., 2019), 0 to log 2:
    it sees unequal modes and samples between them. Of n samples of the data it is K / 8n on average."""

    higher_is_better = False
