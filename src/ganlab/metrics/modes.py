"""Mode coverage of a Gaussian mixture, by the definitions of PacGAN (Lin et al., 2018): a sample belongs to the mode nearest
in standard deviations, and is of high quality if it lies strictly within 3 of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ganlab.metrics.several import Several
from ganlab.types import Source


class ModeCounts(Several):
    """The three scores below, of the counts of high-quality samples per mode. Real data are ignored: the mixture is known."""

    full_state_update = False
    least_real = 0
    means: Tensor  # [K, d]
    stds: Tensor  # [K, d]
    weights: Tensor  # [K]
    counts: Tensor  # [K] high-quality samples
    n: Tensor  # all samples

    def __init__(self, source: Source, **kwargs: Any) -> None:
        super().__init__(sync_on_compute=False, **kwargs)
        for name in ("means", "stds", "weights"):
            if not hasattr(source, name):
                raise ValueError(f"{type(self).__name__} needs a mixture, and this data has no modes: try metrics=points")
            self.register_buffer(name, getattr(source, name).clone())
        self.add_state("counts", torch.zeros(source.classes), dist_reduce_fx="sum")
        self.add_state("n", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, x: Tensor, real: bool) -> None:
        if real:
            return
        distance = ((x[:, None] - self.means) / self.stds).square().sum(2).sqrt()  # [n, K]
        nearest, mode = distance.min(1)
        self.counts += torch.bincount(mode[nearest < 3], minlength=len(self.counts))
        self.n += len(x)

    def scores(self) -> dict[str, Tensor]:
        share = self.counts / self.counts.sum()
        return {
            "modes": (self.counts > 0).sum().float(),
            "high_quality": self.counts.sum() / self.n,
            "reverse_kl": torch.where(share == 0, 0.0, share * (share / self.weights).log()).sum(),
        }


class Modes(ModeCounts, value="modes"):
    """Modes with at least one high-quality sample, 0 to K. Noise all over the plane reaches K: read it with HighQuality."""

    higher_is_better = True


class HighQuality(ModeCounts, value="high_quality"):
    """Share of samples within 3 standard deviations of a mode; real data in the plane have 1 - e^-4.5 = 0.989."""

    higher_is_better = True


class ReverseKL(ModeCounts, value="reverse_kl"):
    """KL(p_hat || weights) in nats of the high-quality samples' modes, 0 to log K for equal modes; NaN without any."""

    higher_is_better = False
