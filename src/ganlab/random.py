"""Seeds. Iteration t draws from generators seeded by (seed, stream, t): there is no random state to save.

What an iteration draws is handed to it: a layer or term that wants random numbers asks `uniform`, `normal` or `bernoulli` here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

_ODD = 0x9E3779B97F4A7C15  # odd, so that t -> t * _ODD is a bijection modulo 2^32 and 2^64


@lru_cache(maxsize=256)
def _key(seed: int, stream: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=8).digest(), "big")


def seed_of(seed: int, stream: str, t: int = 0) -> int:
    """The 64-bit seed of a stream's t-th draw.

    Torch's CPU generator keeps the low 32 bits only, so hashing t as well would repeat seeds within a long run; here
    no two t < 2^32 of one (seed, stream) share them.
    """
    return (_key(seed, stream) + t * _ODD) % 2**64


def generator_of(seed: int, stream: str, t: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed_of(seed, stream, t))


def seed_foreign_layers(seed: int, rank: int, t: int, device: torch.device) -> None:
    """Seed the default generators, from which layers draw that know nothing of `Draws`, as torch's own dropout."""
    value = seed_of(seed, f"foreign/{rank}", t)
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(value)
    elif device.type == "mps":
        torch.mps.manual_seed(value)


class Request(Protocol):
    """A draw that is wanted; hashable and comparable, so that two iterations can be seen to draw the same."""

    def drawn(self, generator: torch.Generator | None) -> Tensor: ...


class _Numbers(NamedTuple):
    kind: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    p: float = 0.0

    def drawn(self, generator: torch.Generator | None) -> Tensor:
        empty = torch.empty(self.shape, dtype=self.dtype, device=self.device)
        if self.kind == "uniform":
            return empty.uniform_(generator=generator)
        return empty.normal_(generator=generator) if self.kind == "normal" else empty.bernoulli_(self.p, generator=generator)


class Draws:
    """The random numbers of one iteration, in the order in which they are asked for.

    The first iteration of a kind (of the same lazy terms) draws as it goes and writes down what. `prepare` then draws all of it
    before each further one, from the same generator in the same order, so that the body of an iteration has no generator in it:
    it can be captured in a graph, or be given the draws of many replicas. What is drawn must not depend on the data.
    """

    def __init__(self, device: torch.device) -> None:
        self._generator = torch.Generator(device)
        self._plans: dict[Hashable, list[Request]] = {}
        self._plan: list[Request] = []
        self._known, self.ready, self._next = True, list[Tensor](), 0

    def prepare(self, seed: int, kind: Hashable = None) -> None:
        self._generator.manual_seed(seed)
        self._known = kind in self._plans
        self._plan = self._plans.setdefault(kind, [])
        self.ready, self._next = [request.drawn(self._generator) for request in self._plan], 0

    def take(self, request: Request) -> Tensor:
        if not self._known:
            self._plan.append(request)
            return request.drawn(self._generator)
        if self._next >= len(self._plan) or self._plan[self._next] != request:
            wanted = self._plan[self._next] if self._next < len(self._plan) else "nothing more"
            raise RuntimeError(f"an iteration draws {request} where iterations of its kind draw {wanted}")
        self._next += 1
        return self.ready[self._next - 1]

    def finish(self) -> None:
        """Raises RuntimeError where an iteration has drawn less than those of its kind do."""
        if self._known and self._next < len(self._plan):
            raise RuntimeError(f"an iteration does not draw {self._plan[self._next]} as iterations of its kind do")


class Given:
    """Draws that somebody else has made, as those of a replica."""

    def __init__(self, draws: Sequence[Tensor]) -> None:
        self._draws = iter(draws)

    def take(self, request: Request) -> Tensor:
        return next(self._draws)


class Recorded:
    """Draws from a generator, and keeps what it has drawn."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator, self.draws = generator, list[Tensor]()

    def take(self, request: Request) -> Tensor:
        self.draws.append(request.drawn(self.generator))
        return self.draws[-1]


class Taken(Protocol):
    """Where draws are taken from."""

    def take(self, request: Request) -> Tensor: ...


_handed: list[Taken] = []


@contextmanager
def handed(draws: Taken) -> Iterator[None]:
    """Within it, what layers and terms draw is taken from there; outside of any, torch's default generator is."""
    _handed.append(draws)
    try:
        yield
    finally:
        _handed.pop()


def _taken(request: Request) -> Tensor:
    return _handed[-1].take(request) if _handed else request.drawn(None)


def uniform(shape: Sequence[int], like: Tensor) -> Tensor:
    """U(0, 1), of the dtype and on the device of `like`."""
    return _taken(_Numbers("uniform", tuple(shape), like.dtype, like.device))


def normal(shape: Sequence[int], like: Tensor) -> Tensor:
    """N(0, 1), of the dtype and on the device of `like`."""
    return _taken(_Numbers("normal", tuple(shape), like.dtype, like.device))


def bernoulli(p: float, shape: Sequence[int], like: Tensor) -> Tensor:
    """1 with probability p, otherwise 0; of the dtype and on the device of `like`."""
    return _taken(_Numbers("bernoulli", tuple(shape), like.dtype, like.device, p))
