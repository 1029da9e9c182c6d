"""How an iteration is computed: as it is written, or as one graph of all its operations, optimizers' included.

What a graph is made of is seen by doing an iteration, below autograd: second derivatives are operations as all others, and none
of torch.compile's forms of a gradient in a gradient is needed. Data, noise and what layers draw are given to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from ganlab.game.graphs import Body, Graphs
from ganlab.game.numbers import InOptimizer
from ganlab.game.written import Written


class AsWritten:
    """Operation by operation."""

    told: tuple[str, ...] = ()  # what is said before training
    stacks = True  # whether the game may be one of many that are played at once

    def fits(self, gan: Any, device: torch.device, processes: int, precision: str) -> None:
        """Raises ValueError for a game, or a place, where it cannot be computed so."""

    def of(self, gan: Any) -> Body:
        """What does an iteration that has been prepared."""
        body: Body = gan.body
        return body


class InOneGraph(AsWritten):
    """The operations of an iteration without the Python around them. Where lazy terms are due there is a graph of its own."""

    stacks = False

    def fits(self, gan: Any, device: torch.device, processes: int, precision: str) -> None:
        if device.type != "cpu":
            raise ValueError(f"it is of a CPU, and this run is on {device.type}: use compile=none, or trainer=cpu")
        if processes > 1:
            raise ValueError(f"it is of one process, and these are {processes}: use compile=none")
        if "mixed" in precision:
            raise ValueError(f"trainer.precision = {precision} casts as it goes: use compile=none, or 32-true")
        for name, optimizer in (("G", gan.opt_G), ("D", gan.opt_D)):
            Written(name, optimizer)
        if moved := [key for key, slot in gan.numbers.slots.items() if isinstance(slot, InOptimizer)]:
            raise ValueError(f"schedule.numbers.{moved[0]} is a part of what is compiled, and cannot move: use compile=none")

    def of(self, gan: Any) -> Body:
        return Graphs(gan, self.made)

    def made(self, module: fx.GraphModule, given: list[Tensor]) -> Callable[..., Any]:
        """What does the operations of the module, for tensors as these."""
        return module.forward


class Inductor(InOneGraph):
    """The same in C++, fused and compiled."""

    told = (
        "compile = inductor: the first iterations take some 25 CPU seconds longer, or 5 where the same was compiled before, "
        "and once more where a lazy term is due; that pays after 20,000 iterations of a toy, or 4,000",
    )

    def fits(self, gan: Any, device: torch.device, processes: int, precision: str) -> None:
        super().fits(gan, device, processes, precision)
        from torch._inductor.cpp_builder import get_cpp_compiler
        from torch._inductor.exc import InvalidCxxCompiler

        try:
            get_cpp_compiler()
        except InvalidCxxCompiler:
            raise ValueError(
                "inductor needs a C++ compiler, and there is no g++: install one, name it in CXX, or use compile=none"
            ) from None

    def made(self, module: fx.GraphModule, given: list[Tensor]) -> Callable[..., Any]:
        import torch._inductor

        # in this process: others would have to import torch first, and stay beside the run
        compiled: Callable[..., Any] = torch._inductor.compile(module, [*given], options={"compile_threads": 1})
        return compiled
