"""G as a calibrated D sees it: what all ways of sampling with D start from."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor


class Judged(NamedTuple):
    """Proposals of G and what D makes of them. The calibrated logit of D(x) is log p_data(x) - log p_g(x): of the optimal D for
    any G, it is exact."""

    propose: Callable[[int, torch.Generator], tuple[Tensor, Tensor]]  # z [n, Z] of p_z, and y [n] as the data have it
    logit: Callable[[Tensor, Tensor], Tensor]  # (z [n, Z], y [n]) -> [n] float64, differentiable in z if the calibration is
    log_prior: Callable[[Tensor], Tensor]  # z [n, Z] -> log p_z(z) [n] float64, -inf outside of its support
    real: Tensor  # [N] float64: the same logit on data that D has not seen


class Drawn(NamedTuple):
    """Samples, as what G makes them of, and how they were come by."""

    z: Tensor  # [n, Z]
    y: Tensor  # [n]
    about: dict[str, float]  # shares of what was accepted, and the like


@runtime_checkable
class Sampler(Protocol):
    gradient: bool  # whether it climbs the logit, which then has to be smooth

    def __call__(self, judged: Judged, n: int, generator: torch.Generator) -> Drawn:
        """n samples; a pure function of the arguments and the generator's seed. ValueError where there are none to be had."""
        ...
