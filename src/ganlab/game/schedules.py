"""Learning rates and momentum over a run: pure functions of the iteration with no state to save. Rates are factors on the
optimizer's own."""

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


class Exponential:
    """decay^-t, but never below `floor`: the 2014 code divides the rate by 1.000004 at each update, down to 1e-6."""

    def __init__(self, decay: float, floor: float) -> None:
        if not decay >= 1:
            raise ValueError(f"decay must be >= 1, got {decay}: the rate is divided by it")
        if not 0 <= floor <= 1:
            raise ValueError(f"floor must lie in 0..1, got {floor}")
        self.decay, self.floor = decay, floor

    def __call__(self, t: int) -> float:
        return max(self.decay**-t, self.floor)


class Ramp:
    """A value for the momentum: `start` in the first epoch of `epoch` iterations, then in equal steps to `end` in epoch `last`
    (counted from 1), where it stays, as in the 2014 code (pylearn2's MomentumAdjustor)."""

    def __init__(self, start: float, end: float, last: int, epoch: int) -> None:
        at_least_one(epoch=epoch)
        if last < 2:
            raise ValueError(f"last must be >= 2, got {last}")
        if not (0 <= start < 1 and 0 <= end < 1):
            raise ValueError(f"momentum lies in 0..1, got start={start} and end={end}")
        self.start, self.end, self.last, self.epoch = start, end, last, epoch

    def __call__(self, t: int) -> float:
        share = min((t // self.epoch) / (self.last - 1), 1.0)
        return self.start + share * (self.end - self.start)
