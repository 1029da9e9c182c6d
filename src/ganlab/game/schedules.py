"""What moves over a run: pure functions of the iteration with no state to save. On learning rates they are factors on the
optimizer's own; a momentum, and each of `schedule.numbers`, they give itself."""

from __future__ import annotations

import math

from ganlab.errors import at_least_one

LOOKS = 1000


def looked_at(iterations: int) -> list[int]:
    """Iterations of a run, the first and the last and some LOOKS between, at which a schedule is tried before training."""
    last = iterations - 1
    return [*range(0, last, max(1, last // LOOKS)), last]


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


class Linear:
    """From `start` to `end` on a straight line, in `iterations` that begin `after` others: a rate that falls to 0 (1 -> 0), a
    warm-up (0 -> 1), noise that goes away."""

    def __init__(self, start: float, end: float, iterations: int, after: int = 0) -> None:
        at_least_one(iterations=iterations)
        if after < 0:
            raise ValueError(f"after must be >= 0, got {after}")
        self.start, self.end, self.iterations, self.after = start, end, iterations, after

    def __call__(self, t: int) -> float:
        share = min(max(t - self.after, 0) / self.iterations, 1.0)
        return self.end if share == 1 else self.start + share * (self.end - self.start)


class HalfCosine(Linear):
    """The same along half a cosine, as gamma and beta2 go in R3GAN (Huang et al., 2024, appendix D)."""

    def __call__(self, t: int) -> float:
        share = min(max(t - self.after, 0) / self.iterations, 1.0)
        return self.end if share == 1 else self.end + (self.start - self.end) * (1 + math.cos(math.pi * share)) / 2


class Steps:
    """`values[0]` at first, and values[i + 1] from iteration at[i] on."""

    def __init__(self, values: list[float], at: list[int]) -> None:
        if len(values) != len(at) + 1 or at != sorted(set(at)):
            raise ValueError(f"steps need one value more than ascending iterations, got values={values} and at={at}")
        self.values, self.at = values, at

    def __call__(self, t: int) -> float:
        return self.values[sum(t >= at for at in self.at)]


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
