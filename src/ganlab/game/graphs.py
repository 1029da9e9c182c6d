"""Iterations as graphs of all their operations: seen by doing one, compared with it, and done in its place."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.optim import Optimizer
from torch.utils._pytree import tree_flatten, tree_unflatten

from ganlab.game.players import Terms
from ganlab.game.traced import Recorder, Step
from ganlab.game.written import Written, states_of
from ganlab.types import Batch

log = logging.getLogger(__name__)
Body = Callable[[Batch], None]
Made = Callable[[fx.GraphModule, list[Tensor]], Callable[..., Any]]  # what does the operations of a module, for such tensors
HOST = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)


class Graphs:
    """The iterations of a game. The first of a kind is done as it is written, and says what is drawn; the second is, and is
    looked at; the third is done both ways, and what comes of them compared; those after it are the graph's. Where there is no
    graph of an iteration, the reason is told and all goes on as it is written."""

    def __init__(self, gan: Any, made: Made) -> None:
        self.gan, self._made = gan, made
        self._next: dict[Hashable, Body] = {}
        self.refused = ""

    def __call__(self, batch: Batch) -> None:
        body = self.gan.body if self.refused else self._next.get(self.gan.now.due, self._first)
        body(batch)

    def _first(self, batch: Batch) -> None:
        self._then(self._second)
        self.gan.body(batch)

    def _second(self, batch: Batch) -> None:
        kept = [(each, each.detach().clone()) for each in _kept(self.gan)]
        try:
            graph = Graph(self.gan, batch)
        except Exception as error:  # of a part that cannot be looked at so; any other mistake is told by the body itself
            for each, before in kept:
                each.detach().copy_(before)
            self.gan.prepare(self.gan.t)
            self._refuse(_first_line(error))
            return self.gan.body(batch)
        if graph.doubt:
            return self._refuse(graph.doubt)
        try:
            with torch.no_grad(), torch.autocast(self.gan.device.type, enabled=False):
                graph.operations = self._made(graph.module, graph.given(batch))
        except Exception as error:
            return self._refuse(_first_line(error))
        self._then(lambda batch: self._third(graph, batch))

    def _third(self, graph: Graph, batch: Batch) -> None:
        if graph.agrees(batch):
            self._then(graph)
        else:
            self._refuse("an iteration that was compiled does not come to what it comes to as it is written")

    def _then(self, body: Body) -> None:
        self._next[self.gan.now.due] = body

    def _refuse(self, why: str) -> None:
        log.warning("compile: %s; it goes on as with compile=none", why)
        self.refused = why


class Graph:
    """The operations of one kind of iteration, seen by doing it: `doubt` says why they are no function of tensors alone."""

    operations: Callable[..., Any]

    def __init__(self, gan: Any, batch: Batch) -> None:
        self.gan, self.doubt = gan, ""
        self._written = {"G": Written("G", gan.opt_G), "D": Written("D", gan.opt_D)}
        before, now = _kept(gan), gan.now
        recorder = _Strict(self._drawn(batch))
        counts = Step(now.D_steps), Step(now.G_steps)
        now.D_steps, now.G_steps = counts
        looked_at, now.looked_at = now.looked_at, True
        penalties, norms = dict(now.penalties), dict(now.gradient_norms)
        with recorder, _stepped_by(gan, self._written):
            gan.play(batch)
        found: dict[str, Any] = {"norms": _new(now.gradient_norms, norms), "penalties": _new(now.penalties, penalties)}
        found |= {name: _said(getattr(now, name)) for name in ("D_terms", "G_terms")}
        leaves, self._spec = tree_flatten(found)
        self.module, known = recorder.closed(leaves)
        self._known, trained = [each.detach() for each in known], {id(w) for w in (*gan.weights_G, *gan.weights_D)}
        self._weights = [i for i, each in enumerate(known, len(self._drawn(batch))) if id(each) in trained]
        now.looked_at = looked_at
        now.D_steps, now.G_steps = (count.number for count in counts)
        self._after()
        if recorder.doubts:
            self.doubt = recorder.doubts[0]
        elif any(count.read for count in counts):
            self.doubt = "a part asks for the number of the step"
        elif any(mine is not its for mine, its in zip(before, _kept(gan), strict=False)) or len(before) != len(_kept(gan)):
            self.doubt = "a part keeps its state in tensors that are new after each iteration"

    def __call__(self, batch: Batch) -> None:
        now = self.gan.now
        self._publish(self._done(self.given(batch)))
        now.D_steps, now.G_steps = now.D_steps + self.gan.k, now.G_steps + self.gan.updates.g_steps
        self._after()

    def given(self, batch: Batch) -> list[Tensor]:
        for written in self._written.values():
            written.fill()
        return [*self._drawn(batch), *self._known]

    def agrees(self, batch: Batch) -> bool:
        """Do the iteration as it is written: whether the graph, on copies, comes to the same but for rounding."""
        drawn = self.given(batch)
        copies = [each.clone() for each in drawn]

        def weights(given: list[Tensor]) -> Tensor:
            return torch.cat([given[i].flatten() for i in self._weights])

        before = weights(drawn)
        self._done(copies)
        self.gan.body(batch)
        mine, its = weights(copies), weights(drawn)
        return bool((mine - its).norm() <= 1e-2 * (its - before).norm() + 1e-6 * its.norm())

    def _drawn(self, batch: Batch) -> list[Tensor]:
        return [batch.x, batch.y, *self.gan.drawn()]

    @torch.no_grad()
    def _done(self, given: list[Tensor]) -> Any:
        return tree_unflatten(self.operations(*given), self._spec)

    def _publish(self, found: Mapping[str, Any]) -> None:
        now = self.gan.now
        now.gradient_norms |= found["norms"]
        now.penalties |= found["penalties"]
        for name in ("D_terms", "G_terms"):
            loss, penalties, said, seen = found[name]
            setattr(now, name, Terms(loss, penalties, SimpleNamespace(**seen), said))

    def _after(self) -> None:
        for written in self._written.values():
            written.count()
        self.gan.follow()


class _Strict(Recorder):
    """Notes what would be another thing in each iteration, and here is the same in all."""

    def __init__(self, given: list[Tensor]) -> None:
        super().__init__(fx.Graph(), given)
        self.doubts: list[str] = []

    def noted(self, func: Any) -> None:
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.doubts.append(
                f"a part draws from torch's own generators ({func.overloadpacket.__name__}), and not by ganlab.random"
            )
        elif any(tag in func.tags for tag in HOST):
            self.doubts.append(f"a part asks for a value on the host ({func.overloadpacket.__name__})")

    def closed(self, leaves: list[Any]) -> tuple[fx.GraphModule, list[Tensor]]:
        """The graph with all tensors that it knows given to it, after those it was begun with; and these tensors."""
        graph, nodes = self.graph, [self.node(each) for each in leaves]
        graph.output(nodes)
        last = [node for node in graph.nodes if node.op == "placeholder"][-1]
        known = list[Tensor]()
        for node in [node for node in graph.nodes if node.op == "get_attr"]:
            with graph.inserting_after(last):
                last = graph.placeholder(node.target)
            node.replace_all_uses_with(last)
            graph.erase_node(node)
            known.append(self.constants[node.target])
        return fx.GraphModule(nn.Module(), graph), known


def _said(terms: Terms) -> Any:
    seen = {side: getattr(terms.seen, side) for side in ("on_x", "on_fake") if hasattr(terms.seen, side)}
    return terms.loss, dict(terms.penalties), dict(terms.said), seen


def _new(after: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> dict[str, Any]:
    return {name: value for name, value in after.items() if before.get(name) is not value}


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"


def _kept(gan: Any) -> list[Tensor]:
    """All that is there before and after an iteration."""
    return [*gan.parameters(), *gan.buffers(), *states_of(gan.opt_G), *states_of(gan.opt_D)]


@contextmanager
def _stepped_by(gan: Any, written: Mapping[str, Written]) -> Iterator[None]:
    optimizers: list[tuple[Optimizer, Written]] = [(gan.opt_G, written["G"]), (gan.opt_D, written["D"])]
    own = [optimizer.__dict__.get("step") for optimizer, _ in optimizers]
    for optimizer, its in optimizers:
        optimizer.step = its  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        for (optimizer, _), step in zip(optimizers, own, strict=True):
            if step is None:
                del optimizer.step
            else:
                optimizer.step = step  # type: ignore[method-assign]
