"""The two lines of Algorithm 1 (Goodfellow et al., 2014) as pure functions: what D descends, and what G descends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ganlab.types import Discriminator, Generator, Loss, Penalty


class DTerms(NamedTuple):
    loss: Tensor  # scalar, penalty included
    penalty: Tensor  # scalar
    real: Tensor  # logits [B] on data
    fake: Tensor  # logits [B] on G(z)


class GTerms(NamedTuple):
    loss: Tensor  # scalar
    fake: Tensor  # logits [B] on G(z)


def packed(x: Tensor, m: int) -> Tensor:
    """x [B, *S] -> [B / m, m S_1, *S_2...]: m samples that follow each other become one input of D (PacGAN: Lin et al., 2018),
    images as channels, so that D can see what they have in common."""
    return x.reshape(len(x) // m, m * x.shape[1], *x.shape[2:])


def discriminator_objective(
    D: Discriminator, G: Generator, loss: Loss, penalty: Penalty, x: Tensor, y: Tensor, z: Tensor
) -> DTerms:
    """What one step of D descends: x [B, *S], y [B], z [B, Z]. Nothing flows into G."""
    with torch.no_grad():
        fake = G(z, y)
    # two passes: in one, D's BatchNorm would see real and fake together and tell them apart by the batch's statistics
    real_logit, fake_logit = _full(D(x, y)), _full(D(fake, y))  # [B], [B]
    term = penalty(lambda x: D(x, y), x, fake)
    return DTerms(loss.d(real_logit, fake_logit) + term, term, real_logit, fake_logit)


def generator_objective(D: Discriminator, G: Generator, loss: Loss, y: Tensor, z: Tensor) -> GTerms:
    """What one step of G descends: y [B], z [B, Z]."""
    fake_logit = _full(D(G(z, y), y))  # [B]
    return GTerms(loss.g(fake_logit), fake_logit)


def consensus_gradient(
    D: Discriminator, G: Generator, loss: Loss, penalty: Penalty, x: Tensor, y: Tensor, z: Tensor, w_D: Sequence[Tensor],
    w_G: Sequence[Tensor], gamma: float,
) -> tuple[DTerms, GTerms, list[Tensor]]:  # fmt: skip
    """Numerics of GANs (Mescheder et al., 2017): with v the gradients of both players' losses by their own weights, both also
    descend gamma/2 |v|^2. Returns what was played, and the gradients by [*w_D, *w_G]."""
    fake = G(z, y)
    real_logit, fake_logit = _full(D(x, y)), _full(D(fake, y))
    term = penalty(lambda x: D(x, y), x, fake)
    d, g = loss.d(real_logit, fake_logit) + term, loss.g(fake_logit)
    v = [*torch.autograd.grad(d, w_D, create_graph=True), *torch.autograd.grad(g, w_G, create_graph=True)]
    size = gamma / 2 * torch.stack([part.square().sum() for part in v]).sum()
    pull = torch.autograd.grad(size, [*w_D, *w_G], materialize_grads=True)
    return (
        DTerms(d, term, real_logit, fake_logit),
        GTerms(g, fake_logit),
        [(a + b).detach() for a, b in zip(v, pull, strict=True)],
    )


def _full(logit: Tensor) -> Tensor:
    """Losses are computed in at least fp32: bf16 knows log 4 to two digits."""
    return logit.to(torch.promote_types(logit.dtype, torch.float32))
