"""Discriminator rejection sampling (Azadi et al., 2018)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ganlab.errors import at_least_one
from ganlab.sampling.judged import Drawn, Judged


def log_acceptance(logit: Tensor, top: Tensor, shift: Tensor | float = 0.0) -> Tensor:
    """log of the probability [n] to keep samples of this logit [n] of D(x), the largest of which is `top`: log sigmoid(F -
    shift) with F = logit - top - log(1 - exp(logit - top)), section 3.2 of the paper with its gamma as `shift`.

    Without one it is logit - top, min(p_data / p_g) over the largest: what is kept then has the law p_data.
    """
    below = (logit - top).clamp(max=0.0)
    odds = below - torch.log(-torch.expm1(below))  # +inf at the top, which is kept
    return logsigmoid(odds - shift)


class Rejection:
    """Proposals are kept with `log_acceptance`, until there are n. The top is the largest logit of `burn_in` proposals, or of
    those since, if one was larger, as in the paper; `percentile` of F over the burn-in is the shift, null for none: a shift
    keeps more of them, and not quite in the proportions of p_data. ValueError where fewer than one in `most` is kept."""

    gradient = False

    def __init__(self, burn_in: int, percentile: float | None, most: int) -> None:
        at_least_one(burn_in=burn_in, most=most)
        if percentile is not None and not 0 <= percentile <= 100:
            raise ValueError(f"percentile must lie in 0..100, or be null, got {percentile}")
        self.burn_in, self.percentile, self.most = burn_in, percentile, most

    def __call__(self, judged: Judged, n: int, generator: torch.Generator) -> Drawn:
        first = judged.logit(*judged.propose(self.burn_in, generator))
        top = first.max()
        shift = self._shift(first, top)
        kept: list[tuple[Tensor, Tensor]] = []
        proposed, found, above = 0, 0, 0
        while found < n:
            if proposed >= self.most * n:
                raise ValueError(
                    f"kept {found:,} of {proposed:,} proposals: raise most={self.most}, give percentile=80, or take mh"
                )
            z, y = judged.propose(n, generator)
            logit = judged.logit(z, y)
            above += int((logit > top).sum())
            top = torch.maximum(top, logit.max())
            u = torch.rand(n, generator=generator, dtype=torch.float64).to(logit.device)
            keep = u.log() < log_acceptance(logit, top, shift)
            kept.append((z[keep], y[keep]))
            proposed, found = proposed + n, found + int(keep.sum())
        z, y = (torch.cat(parts)[:n] for parts in zip(*kept, strict=True))
        return Drawn(z, y, {"accepted": found / proposed, "above_top": above / proposed, "top": top.item()})

    def _shift(self, logit: Tensor, top: Tensor) -> float:
        if self.percentile is None:
            return 0.0
        below = logit[logit < top] - top
        if not len(below):
            return 0.0
        return torch.quantile(below - torch.log(-torch.expm1(below)), self.percentile / 100).item()
