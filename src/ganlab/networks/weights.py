"""What is done with all weights of a net at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def trained_by(optimizer: Optimizer) -> list[Tensor]:
    """The weights that it steps, without those that are held fast."""
    return [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]


def gradient_norm(net: nn.Module) -> Tensor:
    """The Euclidean norm of all gradients of a net, a scalar on its device."""
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    return torch.stack(torch._foreach_norm(gradients)).norm()


@contextmanager
def frozen(*nets: nn.Module) -> Iterator[None]:
    """Gradients flow through the nets and not into them (DDP needs their weights out of the graph, not only ungraded)."""
    trained = [p for net in nets for p in net.parameters() if p.requires_grad]
    for p in trained:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trained:
            p.requires_grad_(True)


def follower(average: nn.Module, net: nn.Module) -> Callable[[float], None]:
    """share -> None: average <- average + share * (net - average); buffers (BatchNorm statistics) are copied.

    torch's AveragedModel asks a tensor whether this is its first update, which waits for the GPU in every iteration.
    """
    averages: list[Tensor] = list(average.parameters())
    weights: list[Tensor] = list(net.parameters())
    buffers = list(zip(average.buffers(), net.buffers(), strict=True))

    @torch.no_grad()
    def follow(share: float) -> None:
        torch._foreach_lerp_(averages, weights, share)
        for mine, its in buffers:
            mine.copy_(its)

    return follow
