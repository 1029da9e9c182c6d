"""Feature likelihood (Jiralerspong et al., 2023): samples as the centres of Gaussians, and how likely those make the data."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ganlab.errors import at_least_one
from ganlab.metrics.memory import WithHeldOut
from ganlab.random import generator_of
from ganlab.types import Extractor

STEPS, LR = 50, 0.5  # of Adam on the logs of the variances, as in the authors' code
NEAR = 1e-3  # added to a squared distance: what a variance begins with at a copy
LIMITS = (-40.0, 20.0)  # of a log of a variance
ORIGIN = 0.81  # of the squared distance to the mean of the data, in the component that gives each of them some likelihood


class GeneralisationGap(WithHeldOut):
    """FLD's gap: 100 times the mean negative log-likelihood per dimension of training images less that of held-out ones, under
    Gaussians at the samples whose variances are fitted to the training images. About 0 where G makes p_data, below it where
    samples are nearer to what was trained on, hundreds below for copies. Features are scaled to mean 0 and variance 1 of the
    held-out ones; those that do not vary are left out. At most `most` samples and training images take part."""

    version = 1
    least_real = 2

    def __init__(self, extractor: Extractor, held_out: Tensor, most: int = 2000, **kwargs: Any) -> None:
        super().__init__(extractor, held_out, **kwargs)
        at_least_one(most=most)
        self.most = most

    def of(self, train: Tensor, unseen: Tensor, fake: Tensor) -> Tensor:
        mean, std = unseen.mean(0), unseen.std(0)
        varies = std > 0
        train, unseen, fake = ((part[:, varies] - mean[varies]) / std[varies] for part in (train, unseen, fake))
        train, fake = some(train, self.most), some(fake, self.most)
        log_var = fitted(fake, train)
        return 100 * (nll(fake, log_var, train) - nll(fake, log_var, unseen))


def some(x: Tensor, most: int) -> Tensor:
    """At most so many of x [n, d], always the same ones."""
    order = torch.randperm(len(x), generator=generator_of(0, "some"))[:most]
    return x if len(x) <= most else x[order.to(x.device)]


def nll(centres: Tensor, log_var: Tensor, x: Tensor) -> Tensor:
    """Mean over x [n, d] of -log of the density, per dimension in nats, of equally many Gaussians at centres [m, d] with
    isotropic variances exp(log_var [m])."""
    density = _log_densities(_squared(x, centres), log_var, x.shape[1]) - math.log(len(centres))
    return -density.logsumexp(1).mean() / x.shape[1]


def fitted(centres: Tensor, x: Tensor) -> Tensor:
    """log_var [m] that make x [n, d] likely, by `STEPS` of Adam from the squared distance to the nearest of them. While it is
    fitted there is one Gaussian more, around the mean of x, so that nobody has to be wide for the sake of what is far off."""
    d = x.shape[1]
    squared = _squared(x, centres)  # [n, m]
    around = ORIGIN * (x - x.mean(0)).square().sum(1, keepdim=True)  # [n, 1]
    logs = torch.cat([((squared.amin(0) + NEAR) / d).log(), squared.new_zeros(1)])  # [m + 1]
    adam = torch.optim.Adam([logs], lr=LR)
    squared = torch.cat([squared, around], 1)  # [n, m + 1]
    weight = torch.cat([squared.new_full((len(centres),), -math.log(len(centres))), squared.new_zeros(1)])
    for _ in range(STEPS):
        share = torch.softmax(_log_densities(squared, logs, d) + weight, 1)  # of each Gaussian in each x
        logs.grad = (share * (d - squared / logs.exp())).mean(0) / (2 * d)  # of the mean nll per dimension
        adam.step()
        logs.clamp_(*LIMITS)
    return logs[:-1]


def _log_densities(squared: Tensor, log_var: Tensor, d: int) -> Tensor:
    return -0.5 * (squared / log_var.exp() + d * (log_var + math.log(2 * math.pi)))


def _squared(a: Tensor, b: Tensor) -> Tensor:
    return torch.cdist(a, b).square()
