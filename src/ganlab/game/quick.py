"""torch's fused Adam without the Python around it, which on a toy takes longer than the step itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer

SWITCHES = ("amsgrad", "maximize", "capturable", "differentiable")  # none of which the direct call knows


def quicken(optimizer: Optimizer) -> None:
    """From now on the optimizer's `step` calls the fused kernel itself: the same bits, the same state. One that is no fused
    Adam keeps its own, as all do where torch has no such kernel to call."""
    fused = all(group.get("fused") and not any(group.get(name) for name in SWITCHES) for group in optimizer.param_groups)
    if type(optimizer) in (Adam, AdamW) and fused and hasattr(torch, "_fused_adam_") and hasattr(torch, "_fused_adamw_"):
        optimizer.step = _Direct(optimizer)  # type: ignore[method-assign]


def lay_out(optimizer: Optimizer) -> None:
    """Have what is kept of each weight lie in memory as the weight does. torch's fused kernels go through both in their order:
    a state that was saved when its weight was not yet in channels_last is taken for that of other weights, without a word."""
    for p, state in optimizer.state.items():
        for name, value in state.items():
            if torch.is_tensor(value) and value.shape == p.shape and value.stride() != p.stride():
                state[name] = torch.empty_like(p, dtype=value.dtype).copy_(value)


class _Direct:
    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer, self.whole = optimizer, type(optimizer).step

    @torch.no_grad()
    def __call__(self, closure: Any = None) -> Any:
        optimizer, state = self.optimizer, self.optimizer.state
        hooked = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
        groups = [(group, [p for p in group["params"] if p.grad is not None]) for group in optimizer.param_groups]
        if closure is not None or hooked or not all(p in state for _, weights in groups for p in weights):
            return self.whole(optimizer, closure)  # the first step makes the state
        for group, weights in groups:
            if not weights:
                continue
            states: list[dict[str, Tensor]] = [state[p] for p in weights]
            steps = [one["step"] for one in states]
            torch._foreach_add_(steps, 1)
            kernel = torch._fused_adamw_ if decoupled(optimizer, group) else torch._fused_adam_
            beta1, beta2 = group["betas"]
            kernel(
                weights,
                [p.grad for p in weights],
                [one["exp_avg"] for one in states],
                [one["exp_avg_sq"] for one in states],
                [],
                steps,
                lr=group["lr"],
                beta1=beta1,
                beta2=beta2,
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )
        return None


def decoupled(optimizer: Optimizer, group: dict[str, Any]) -> bool:
    """Whether the weight decay of a group is AdamW's."""
    return bool(group.get("decoupled_weight_decay", isinstance(optimizer, AdamW)))


def forget(weights: Sequence[Tensor]) -> None:
    """Their gradients."""
    for w in weights:
        w.grad = None
