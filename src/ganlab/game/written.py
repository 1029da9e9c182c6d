"""Adam's step in plain operations, for a graph that is compiled: what moves from step to step lies in tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer
from torch.utils._python_dispatch import _disable_current_modes

from ganlab.game.quick import SWITCHES, decoupled


class Written:
    """The next steps of an Adam or AdamW, in the order of torch's fused kernel, each as operations that change weights and
    moments in place. `fill` writes what the host has to say of the steps of an iteration into the tensors that they read, from
    the rates of the moment and the number of steps done; `count` tells the optimizer that they have been done.

    Raises ValueError for another optimizer.
    """

    def __init__(self, name: str, optimizer: Optimizer) -> None:
        if type(optimizer) not in (Adam, AdamW) or any(
            group[switch] for group in optimizer.param_groups for switch in SWITCHES
        ):
            raise ValueError(
                f"only Adam and AdamW without {' or '.join(SWITCHES)} are compiled, and optim.{name} is "
                f"{type(optimizer).__name__}{', with one of them' * (type(optimizer) in (Adam, AdamW))}: use optim=adam"
            )
        self.optimizer = optimizer
        self._steps: list[list[tuple[dict[str, Any], list[Tensor], Tensor]]] = []  # of each: (group, weights, numbers [3])

    @property
    def numbers(self) -> list[Tensor]:
        return [numbers for step in self._steps for _, _, numbers in step]

    @torch.no_grad()
    def __call__(self, closure: Callable[[], Any] | None = None) -> None:
        """One more step."""
        groups = [(group, [p for p in group["params"] if p.grad is not None]) for group in self.optimizer.param_groups]
        with _disable_current_modes():  # the numbers are given to the operations, and none of them
            step = [(group, weights, torch.zeros(3, dtype=weights[0].dtype)) for group, weights in groups if weights]
            self._steps.append(step)
            self._fill(len(self._steps) - 1)
        for group, weights, numbers in step:
            size, root, kept = numbers.unbind()
            beta1, beta2 = group["betas"]
            for w in weights:
                m, v, g = self.optimizer.state[w]["exp_avg"], self.optimizer.state[w]["exp_avg_sq"], w.grad
                assert g is not None
                if group["weight_decay"] and decoupled(self.optimizer, group):
                    w.mul_(kept)
                elif group["weight_decay"]:
                    g = g + group["weight_decay"] * w
                m.lerp_(g, 1 - beta1)
                v.mul_(beta2).add_((1 - beta2) * g * g)
                w.sub_(size * m / (v.sqrt() / root + group["eps"]))

    def fill(self) -> None:
        for i in range(len(self._steps)):
            self._fill(i)

    def _fill(self, i: int) -> None:
        for group, weights, numbers in self._steps[i]:
            (beta1, beta2), rate = group["betas"], group["lr"]
            t = int(self.optimizer.state[weights[0]]["step"]) + i + 1
            corrected = rate / (1 - beta1**t), math.sqrt(1 - beta2**t), 1 - rate * group["weight_decay"]
            numbers.copy_(torch.tensor(corrected, dtype=numbers.dtype))

    def count(self) -> None:
        for step in self._steps:
            for _, weights, _ in step:
                torch._foreach_add_([self.optimizer.state[w]["step"] for w in weights], 1)


def states_of(optimizer: Optimizer) -> Iterator[Tensor]:
    """All tensors that an optimizer keeps."""
    for state in optimizer.state.values():
        yield from (value for value in state.values() if isinstance(value, Tensor))
