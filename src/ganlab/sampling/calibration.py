"""From D's output to a probability that can be believed: D(x) = P(x is real), of as many real ones as samples.

Sampling with D weighs samples by odds, D / (1 - D), where a D that orders them well and is twice too sure is wrong by a square.
So its output is mapped, monotonically, to what it is worth on examples that it was not trained on (Turner et al., 2019).
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import numpy as np
import scipy.optimize
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

STEPS = 100  # of Newton's method, which takes about ten
CONVERGED = 1e-12  # nats per example: what a step of it still gains


@runtime_checkable
class Calibration(Protocol):
    smooth: bool  # whether its slope says where the odds rise

    def fit(self, real: Tensor, fake: Tensor) -> None:
        """From D's outputs on real ones [n] and on samples [m]; classes of unequal size weigh the same."""
        ...

    def __call__(self, output: Tensor) -> Tensor:
        """D's output [n] -> the logit of a calibrated D(x) [n], float64."""
        ...


class AsIs:
    """The output is taken for the logit of D(x)."""

    smooth = True

    def fit(self, real: Tensor, fake: Tensor) -> None: ...

    def __call__(self, output: Tensor) -> Tensor:
        return output.double()


class Logistic:
    """logit = a output + b with the greatest likelihood (Platt, 1999), with his targets (n + 1) / (n + 2) and 1 / (m + 2) in
    place of 1 and 0, so that outputs that tell all apart have a finite a as well."""

    smooth = True

    def __init__(self) -> None:
        self.a, self.b = 1.0, 0.0

    def fit(self, real: Tensor, fake: Tensor) -> None:
        n, m = len(real), len(fake)
        output = torch.cat([real, fake]).double()
        target = torch.cat([output.new_full((n,), (n + 1) / (n + 2)), output.new_full((m,), 1 / (m + 2))])
        weight = torch.cat([output.new_full((n,), 0.5 / n), output.new_full((m,), 0.5 / m)])
        middle, scale = output.mean(), output.std().clamp(min=torch.finfo(output.dtype).tiny)
        X = torch.stack([(output - middle) / scale, torch.ones_like(output)], 1)  # [n + m, 2]
        theta = X.new_zeros(2)

        def nll(theta: Tensor) -> Tensor:
            return binary_cross_entropy_with_logits(X @ theta, target, weight, reduction="sum")

        for _ in range(STEPS):
            p = torch.sigmoid(X @ theta)
            slope, curve = X.T @ (weight * (p - target)), (X.T * (weight * p * (1 - p))) @ X
            step = torch.linalg.solve(curve + 1e-12 * torch.eye(2, dtype=X.dtype), slope)
            before = nll(theta)
            while nll(theta - step) > before and step.abs().max() > CONVERGED:  # far from the optimum it goes too far
                step = step / 2
            theta = theta - step
            if before - nll(theta) < CONVERGED:
                break
        self.a, self.b = (theta[0] / scale).item(), (theta[1] - theta[0] * middle / scale).item()

    def __call__(self, output: Tensor) -> Tensor:
        return self.a * output.double() + self.b


class Isotonic:
    """The monotone function with the least squared error (Zadrozny and Elkan, 2002), linear between the outputs that it was
    fitted to, as scikit-learn has it. No n examples can say that odds are more than n to one: there it ends."""

    smooth = False

    def __init__(self) -> None:
        self.at, self.p = np.zeros(1), np.full(1, 0.5)

    def fit(self, real: Tensor, fake: Tensor) -> None:
        n, m = len(real), len(fake)
        output = torch.cat([real, fake]).double().cpu().numpy()
        target, weight = np.repeat([1.0, 0.0], [n, m]), np.repeat([0.5 / n, 0.5 / m], [n, m])
        self.at, where = np.unique(output, return_inverse=True)  # equal outputs are one point
        total = np.bincount(where, weight)
        mean = np.bincount(where, weight * target) / total
        p = scipy.optimize.isotonic_regression(mean, weights=total).x
        self.p = np.clip(p, 1 / (min(n, m) + 1), min(n, m) / (min(n, m) + 1))

    def __call__(self, output: Tensor) -> Tensor:
        p = np.interp(output.detach().double().cpu().numpy(), self.at, self.p)
        return torch.from_numpy(np.log(p) - np.log1p(-p)).to(output.device)


def brier(real: Tensor, fake: Tensor) -> float:
    """Mean squared error of D(x), of logits on real ones [n] and on samples [m] with equal weight; 0 to 1, 1/4 of D = 1/2."""
    return 0.5 * (torch.sigmoid(-real).square().mean() + torch.sigmoid(fake).square().mean()).item()


def log_loss(real: Tensor, fake: Tensor) -> float:
    """Mean of -log of what D gives to the truth, in nats, likewise; log 2 of D = 1/2."""
    return -0.5 * (logsigmoid(real).mean() + logsigmoid(-fake).mean()).item()


def dawid_z(real: Tensor, fake: Tensor) -> float:
    """Z = sum(y_i - D_i) / sqrt(sum D_i (1 - D_i)) (Dawid, 1997; Turner et al., 2019), of logits on as many real ones (y = 1)
    as samples (y = 0): N(0, 1) of a calibrated D where a coin is tossed for each y, narrower of equal counts; above 0
    where it says real too seldom. It sees the mean only, which D = 1/2 has as well."""
    p = torch.sigmoid(torch.cat([real, fake]).double())
    spread = math.sqrt((p * (1 - p)).sum().item())
    return (len(real) - p.sum().item()) / spread if spread > 0 else math.nan


def bins_z(real: Tensor, fake: Tensor, bins: int = 10) -> float:
    """The largest |Z| of groups of equal size by D(x), which sees what the mean of all hides; up to about 3 of a calibrated D
    and 10 groups, 4 where as few examples have calibrated it. Equal D(x) are in one group."""
    logit, y = torch.cat([real, fake]).double(), torch.cat([torch.ones(len(real)), torch.zeros(len(fake))])
    edges = torch.quantile(logit, torch.linspace(0, 1, bins + 1, dtype=torch.float64)[1:-1]).unique()
    group = torch.bucketize(logit, edges)
    found = (dawid_z(logit[(group == g) & (y == 1)], logit[(group == g) & (y == 0)]) for g in group.unique())
    return max((abs(z) for z in found if not math.isnan(z)), default=math.nan)


def measures(real: Tensor, fake: Tensor) -> dict[str, float]:
    """All of them, of logits on equally many real ones and samples, which no calibration was fitted to."""
    real, fake = real.double(), fake.double()
    found = {"brier": brier(real, fake), "log_loss": log_loss(real, fake), "z": dawid_z(real, fake)}
    return {**found, "z_of_tenths": bins_z(real, fake)}
