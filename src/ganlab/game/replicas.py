"""Several games of one setting, played at once: their weights are rows of the same tensors.

Iteration t of each is what it is when it is played alone, a function of its own weights, optimizer state, seed and t. To all
that looks at it, a game stays as it is: its nets, averages, buffers and optimizers hold views of their rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.utils._pytree import tree_map

from ganlab.game.module import GAN
from ganlab.game.players import Terms
from ganlab.game.quick import forget
from ganlab.game.rows import Optimizers, kind_of, stacked
from ganlab.game.stacked import Body, refuse_alone
from ganlab.game.traced import traced_or_not
from ganlab.random import Given, Request, handed, seed_of
from ganlab.types import Batch, Source


class _Asked:
    """Draws from anywhere, and keeps what was asked for."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def take(self, request: Request) -> Tensor:
        self.requests.append(request)
        return request.drawn(torch.Generator(getattr(request, "device", "cpu")))


class Replicas:
    """Games of one setting that differ in their seeds and in numbers of their optimizers, all after the same iteration. To
    `updates` it is a game, with a first dimension R before all others. Raises ValueError where they cannot be stacked."""

    def __init__(self, games: Sequence[GAN], sources: Source) -> None:
        refuse_alone(games[0])
        games = sorted(games, key=kind_of)  # those alike are neighbours
        self.games, self.source, first = games, sources, games[0]
        if len({game.t for game in games}) > 1:
            raise ValueError("games are played at once from the same iteration on")
        self.body, bodies = Body(first), [Body(game) for game in games]
        self.weights = stacked([dict(body.named_parameters()) for body in bodies])
        self.buffers = stacked([dict(body.named_buffers()) for body in bodies])
        of = {id(p): w for p, w in zip(self.body.parameters(), self.weights.values(), strict=True)}
        self.weights_G, self.weights_D = ([of[id(p)] for p in each] for each in (first.weights_G, first.weights_D))
        self.net_G, self.net_D = ([of[id(p)] for p in net.parameters()] for net in (first.G, first.D))
        own = {id(b): s for b, s in zip(self.body.buffers(), self.buffers.values(), strict=True)}
        self._G_buffers = [own[id(b)] for b in first.G.buffers()]
        self._averages = [
            (
                stacked([dict(game.averages[i].named_parameters()) for game in games]),
                stacked([dict(game.averages[i].named_buffers()) for game in games]),
            )
            for i in range(len(first.averages))
        ]
        self.opt_G, self.opt_D = Optimizers(games, "G", of, self.weights_G), Optimizers(games, "D", of, self.weights_D)
        self.updates, self.now = first.updates, SimpleNamespace(D_steps=0, G_steps=0)
        self._layers, self._noise = ([torch.Generator(first.device) for _ in games] for _ in "12")
        self._t, self._seeded = first.t, False  # whether what layers draw in this iteration has been seeded
        self._plans: dict[tuple[str, ...], list[Request]] = {}  # what a step of a player with these terms draws
        self._steps: dict[tuple[str, ...], Callable[..., Any]] = {}  # and does
        self._seen: dict[str, dict[str, Any]] = {}
        self._penalties: dict[str, Tensor] = {}

    def play(self, until: int, stop: Callable[[], bool] = lambda: False) -> None:
        """Iterations of Algorithm 1 until then, or until one after which `stop` says so."""
        first = self.games[0].now
        begun = first.t
        while first.t < until:
            for game in self.games:
                game.now.looked_at = first.t + 1 == until
            self.iteration(first.t)
            for game in self.games:
                game.now.t += 1
            if stop():
                break
        if first.t > begun:
            self._publish(first.t - 1)
        for game in self.games:
            game.advance(first.t - begun)

    def iteration(self, t: int) -> None:
        """Of Algorithm 1, in all games."""
        self._prepare(t)
        self.updates(self, self._minibatches(t))
        self._follow(t)

    def _prepare(self, t: int) -> None:
        first = self.games[0]
        for game in self.games if first.numbers.at else ():
            game.numbers.write(t)
        for part in self.opt_G.parts:  # those of D are of the same games
            part.games[0]._set_rates(t)
        self.opt_G.follow()
        self.opt_D.follow()
        self.now.D_steps, self.now.G_steps = first.k * t, self.updates.g_steps * t
        self._t, self._seeded = t, False
        for game, generator in zip(self.games, self._noise, strict=True):
            generator.manual_seed(seed_of(game.seed, "noise", t))

    def _minibatches(self, t: int) -> Batch:
        """x [k, R, B, *S], y [k, R, B]."""
        k, B, seeds = self.games[0].k, self.games[0].batch_size, [game.seed for game in self.games]
        if hasattr(self.source, "minibatches_of"):
            return self.source.minibatches_of(t, k, B, seeds)
        every = [self.source.minibatches(t, k, B, seed, slice(0, B)) for seed in seeds]
        return Batch(*(torch.stack(each, 1) for each in zip(*every, strict=True)))

    def noise(self) -> Tensor:
        """The next minibatches of z, [R, B, Z]."""
        first = self.games[0]
        return torch.stack([first.prior.sample(first.batch_size, generator) for generator in self._noise])

    def D_gradient(self, x: Tensor, y: Tensor, z: Tensor) -> None:
        self._descend("D", x, y, z, self.now.D_steps, self.weights_D)

    def G_gradient(self, x: Tensor, y: Tensor, z: Tensor) -> None:
        self._descend("G", x, y, z, self.now.G_steps, self.weights_G)

    def _descend(self, player: str, x: Tensor, y: Tensor, z: Tensor, step: int, weights: list[nn.Parameter]) -> None:
        kind = (player, *self.body.players.due(player, step))
        draws = self._draws(kind, x, y, z, step)
        given = (self.weights, self.buffers, draws, x, y, z)
        if kind not in self._steps:
            self._steps[kind] = traced_or_not(partial(self._gradients, player, weights), step, *given)
        gradients, found = self._steps[kind](step, *given)
        for w, gradient in zip(weights, gradients, strict=True):
            w.grad = gradient
        for name, value in found["buffers"].items():
            self.buffers[name].copy_(value)
        self._seen[player] = found

    def _gradients(
        self,
        player: str,
        own: list[nn.Parameter],
        step: int,
        weights: Mapping[str, Tensor],
        buffers: Mapping[str, Tensor],
        *given: Any,
    ) -> tuple[list[Tensor | None], dict[str, Any]]:
        """Of the sum of all games' losses by `own`, the weights of the player among all; and what else there is to be known,
        without a graph."""

        def one(everything: dict[str, Tensor], draws: list[Tensor], *given: Tensor) -> Any:
            with handed(Given(draws)):
                return functional_call(self.body, everything, (player, *given, step))

        found = vmap(one)({**weights, **buffers}, *given)
        gradients = torch.autograd.grad(found["loss"].sum(), own, allow_unused=True)
        laid_out: list[Tensor | None] = [
            g if g is None else g.contiguous() for g in gradients
        ]  # as weights are, which fused optimizers rely on
        return laid_out, tree_map(Tensor.detach, found)

    def _draws(self, kind: tuple[str, ...], x: Tensor, y: Tensor, z: Tensor, step: int) -> list[Tensor]:
        """What a step draws, [R, ...] each: of each game from its own generator, in the order in which it would be asked for.
        The first step of a kind is taken once more, by one game, to see what that is."""
        if kind not in self._plans:
            asked = _Asked()
            row = {name: each[0] for name, each in {**self.weights, **self.buffers}.items()}
            with handed(asked):
                functional_call(self.body, row, (kind[0], x[0], y[0], z[0], step))
            self._plans[kind] = asked.requests
        if self._plans[kind] and not self._seeded:
            for game, generator in zip(self.games, self._layers, strict=True):
                generator.manual_seed(seed_of(game.seed, f"layers/{game.global_rank}", self._t))
            self._seeded = True
        return [torch.stack([request.drawn(generator) for generator in self._layers]) for request in self._plans[kind]]

    def D_step(self) -> None:
        self._step("D", self.weights_D, self.net_D)
        self.now.D_steps += 1

    def G_step(self) -> None:
        self._step("G", self.weights_G, self.net_G)
        self.now.G_steps += 1

    def _step(self, player: str, weights: list[nn.Parameter], net: list[nn.Parameter]) -> None:
        if self.games[0].now.looked_at:
            norms = _norms([w.grad for w in net if w.grad is not None])
            for game, norm in zip(self.games, norms, strict=True):
                game.now.gradient_norms[player] = norm
        (self.opt_G if player == "G" else self.opt_D).step(self.updates.step)
        forget(weights)
        for term in (term for term in self.games[0].players.terms.values() if term.of == player and term.stacks):
            term.after_step(nn.ParameterList(net), None)
        self._penalties |= {name: value.detach() for name, value in self._seen[player]["penalties"].items()}

    @torch.no_grad()
    def _follow(self, t: int) -> None:
        for (weights, buffers), share in zip(self._averages, self.games[0].average.shares(t), strict=True):
            torch._foreach_lerp_(list(weights.values()), self.net_G, share)
            for mine, its in zip(buffers.values(), self._G_buffers, strict=True):
                mine.copy_(its)

    def _publish(self, t: int) -> None:
        """What each game would know of itself after iteration t, had it been played alone."""
        now = self.now
        for i, game in enumerate(self.games):
            game._set_rates(t)
            game.now.D_steps, game.now.G_steps = now.D_steps, now.G_steps
            game.now.penalties |= {name: value[i] for name, value in self._penalties.items()}
            game.now.D_terms, game.now.G_terms = (_terms_of(self._seen[player], i) for player in "DG")
        self.opt_G.publish()
        self.opt_D.publish()


def _norms(gradients: Iterable[Tensor]) -> Tensor:
    """The Euclidean norm of all gradients of each game, [R]."""
    return torch.stack([g.reshape(len(g), -1).norm(dim=1) for g in gradients]).norm(dim=0)


def _terms_of(found: Mapping[str, Any], i: int) -> Terms:
    seen = SimpleNamespace(**{name: value[i].detach() for name, value in found["seen"].items()})
    rest = [{name: value[i].detach() for name, value in found[part].items()} for part in ("penalties", "said")]
    return Terms(found["loss"][i].detach(), rest[0], seen, rest[1])
