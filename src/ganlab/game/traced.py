"""A function of tensors as the operations that it comes to: looked at once, then done without the Python, vmap and autograd
that are around them, which for small nets take longer than the operations."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from operator import getitem
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

aten = torch.ops.aten
VIEWS = (aten.alias.default, aten.detach.default, aten.expand.default, aten.view.default, aten._unsafe_view.default)


class Step:
    """The number of a step, which notes whether anybody reads it: what comes of that is no function of tensors alone."""

    def __init__(self, number: int) -> None:
        self.number, self.read = number, False

    __hash__: Any

    def __iadd__(self, more: int) -> Step:
        """Counts on, which is no reading of it."""
        self.number += more
        return self


def _noting(operation: Callable[..., Any]) -> Callable[..., Any]:
    def noted(self: Step, *others: Any) -> Any:
        self.read = True
        return operation(self.number, *others)

    return noted


def _turned(operation: Callable[..., Any]) -> Callable[..., Any]:
    return lambda number, other: operation(other, number)


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    setattr(Step, f"__{_name}__", _noting(getattr(operator, _name)))
    setattr(Step, f"__r{_name}__", _noting(_turned(getattr(operator, _name))))
for _name in ("neg", "lt", "le", "gt", "ge", "eq", "ne", "index"):
    setattr(Step, f"__{_name}__", _noting(getattr(operator, _name)))
for _name in ("bool", "int", "float", "hash", "format", "str"):
    setattr(Step, f"__{_name}__", _noting(getattr(int, f"__{_name}__")))


def traced_or_not(function: Callable[..., Any], step: int, *given: Any) -> Callable[..., Any]:
    """`function(step, *given)`: traced, where it is the same for all steps, otherwise itself."""
    number = Step(step)
    try:
        traced = Traced(partial(function, number), *given)
    except Exception:  # the number was asked for as only an int can be; any other mistake is told by the function itself
        return function
    return function if number.read else lambda step, *given: traced(*given)


class Traced:
    """What `function(*given)` does, for tensors of these shapes in lists and dicts as these: of a function that depends on
    nothing else, but for tensors that are filled in place, and changes nothing. What it gives has no graph and may not be
    written to: it may be a tensor that was given."""

    def __init__(self, function: Callable[..., Any], *given: Any) -> None:
        graph, leaves = fx.Graph(), tree_flatten(given)[0]
        recorder = Recorder(graph, leaves)
        with recorder:
            found, self._spec = tree_flatten(function(*given))
        graph.output([recorder.node(each) for each in found])
        module = fx.GraphModule(recorder.constants, graph)
        if not any(_writes(node) for node in graph.nodes):
            _simplify(graph, _Forms(module).of(leaves))
            module.recompile()
            _spare_copies(graph, _Forms(module).of(leaves))
        module.recompile()
        self._operations, self._device = module.forward, leaves[0].device.type

    @torch.no_grad()
    def __call__(self, *given: Any) -> Any:
        with torch.autocast(self._device, enabled=False):  # casts are among the operations
            return tree_unflatten(self._operations(*tree_flatten(given)[0]), self._spec)


class Recorder(TorchDispatchMode):
    """Below vmap and autograd: each operation is a node of the graph, each tensor of which nothing is known a constant."""

    def __init__(self, graph: fx.Graph, given: list[Tensor]) -> None:
        super().__init__()
        self.graph, self.constants = graph, dict[str, Tensor]()
        self._nodes: dict[int, fx.Node] = {}
        self._alive: list[Tensor] = []  # so that no two tensors have the same id
        for i, each in enumerate(given):
            self._know(each, graph.placeholder(f"given_{i}"))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self.noted(func)
        if not any(isinstance(each, Tensor) for each in tree_flatten(found)[0]) and not func._schema.is_mutable:
            return found  # of a question, as for a dtype
        node = self.graph.call_function(func, tree_map(self.node, args), tree_map(self.node, kwargs or {}))
        if isinstance(found, Tensor):
            self._know(found, node)
        elif found is not None:
            for i, each in enumerate(found):
                if isinstance(each, Tensor):
                    self._know(each, self.graph.call_function(getitem, (node, i)))
        return found

    def noted(self, func: Any) -> None:
        """Called with each operation, for whoever wants to know of some."""

    def node(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if id(value) not in self._nodes:
            name = f"constant_{len(self.constants)}"
            self.constants[name] = value
            self._know(value, self.graph.get_attr(name))
        return self._nodes[id(value)]

    def _know(self, tensor: Tensor, node: fx.Node) -> None:
        self._alive.append(tensor)
        self._nodes[id(tensor)] = node


class _Form(NamedTuple):
    shape: torch.Size
    dtype: torch.dtype
    strides: tuple[int, ...]


class _Forms(fx.Interpreter):
    """What each node gives, without its numbers."""

    def of(self, given: list[Tensor]) -> dict[fx.Node, _Form]:
        self.found = dict[fx.Node, _Form]()
        with torch.no_grad():
            self.run(*given)
        return self.found

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.found[n] = _Form(value.shape, value.dtype, value.stride())
        return value


def _writes(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _simplify(graph: fx.Graph, forms: dict[fx.Node, _Form]) -> None:
    """Leave out what changes nothing, and have transposed products made as they are wanted."""
    for node in list(graph.nodes):
        before: Any = node.args[0] if node.args else None
        once = node.target in (aten.mul.Scalar, aten.mul.Tensor) and node.args[1] == 1
        if (once or node.target in VIEWS) and _alike(forms[node], forms[before]):
            node.replace_all_uses_with(before)
        elif _turns(node) and _turns(before):
            node.replace_all_uses_with(before.args[0])  # A^T^T = A
        elif _turns(node) and before.target is aten.bmm.default and len(before.users) == 1:
            with graph.inserting_before(before):  # (A B)^T = B^T A^T, in whose memory row follows row as in that of a weight
                A, B = (graph.call_function(aten.transpose.int, (factor, 1, 2)) for factor in before.args)
                product = graph.call_function(aten.bmm.default, (B, A))
            node.replace_all_uses_with(product)
            forms[product] = forms[node]
        elif node.target is aten.view.default:
            node.target = aten.reshape.default  # what it looks at may lie otherwise in memory now
    graph.eliminate_dead_code()


def _turns(node: fx.Node) -> bool:
    return node.target is aten.transpose.int and node.args[1:] in ((1, 2), (2, 1))


def _spare_copies(graph: fx.Graph, forms: dict[fx.Node, _Form]) -> None:
    for node in list(graph.nodes):
        before: Any = node.args[0] if node.args else None
        if node.target is aten.clone.default and before.op == "call_function" and forms[node] == forms[before]:
            node.replace_all_uses_with(before)
    graph.eliminate_dead_code()


def _alike(a: _Form, b: _Form) -> bool:
    return a[:2] == b[:2]
