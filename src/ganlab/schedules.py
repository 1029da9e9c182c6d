"""Learning rates over a run: factors on the optimizer's own rate, pure functions of the iteration with no state to save."""

from __future__ import annotations

import math

from ganlab.errors import at_least_one


class Constant:
    """The optimizer's rate throughout."""

    def __call__(self, t: int) -> float:
        return 1.0


class Cosine:
    """Half a cosine from 1 at the first iteration to `floor` after `iterations` (Loshchilov and Hutter, 2017)."""

    def __init__(self, iterations: int, floor: float = 0.0) -> None:
        at_least_one(iterations=iterations)
        if not 0 <= floor <= 1:
            raise ValueError(f"floor must lie in 0..1, got {floor}")
        self.iterations, self.floor = iterations, floor

    def __call__(self, t: int) -> float:
        share = min(t / self.iterations, 1.0)
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * share)) / 2
