"""Metropolis-Hastings GAN (Turner et al., 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from ganlab.errors import at_least_one
from ganlab.sampling.judged import Drawn, Judged


def moves(current: Tensor, proposed: Tensor, u: Tensor) -> Tensor:
    """Whether chains at these logits [n] of D(x) go to independent proposals of G with those, u [n] ~ U(0, 1): with probability
    min(1, (1 / D(x) - 1) / (1 / D(x') - 1)), under which p_data is invariant."""
    return u.log() < proposed - current


class Metropolis:
    """n chains of K proposals each, independent of each other; what a chain ends with is a sample. It begins at an unseen real
    example, which is where it should end; one that never moves has found nothing of G's, and is begun again at a sample of G,
    as in the paper."""

    gradient = False

    def __init__(self, K: int) -> None:
        at_least_one(K=K)
        self.K = K

    def __call__(self, judged: Judged, n: int, generator: torch.Generator) -> Drawn:
        at = judged.real[torch.randint(len(judged.real), (n,), generator=generator).to(judged.real.device)]
        z, y, moved, accepted = self._chains(judged, *judged.propose(n, generator), at, generator)
        stuck = ~moved
        if count := int(stuck.sum()):
            again = judged.propose(count, generator)
            z[stuck], y[stuck], *_ = self._chains(judged, *again, judged.logit(*again), generator)
        return Drawn(z, y, {"accepted": accepted, "never_moved": count / n})

    def _chains(
        self, judged: Judged, z: Tensor, y: Tensor, logit: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, float]:
        """z, y, whether it has moved, and the share of proposals that were taken; of chains that begin at these logits [n]."""
        n, taken = len(z), 0
        moved = torch.zeros(n, dtype=torch.bool, device=z.device)
        for _ in range(self.K):
            z_new, y_new = judged.propose(n, generator)
            proposed = judged.logit(z_new, y_new)
            u = torch.rand(n, generator=generator, dtype=torch.float64).to(proposed.device)
            goes = moves(logit, proposed, u)
            z, y = torch.where(goes[:, None], z_new, z), torch.where(goes, y_new, y)
            logit, moved, taken = torch.where(goes, proposed, logit), moved | goes, taken + int(goes.sum())
        return z, y, moved, taken / (n * self.K)
