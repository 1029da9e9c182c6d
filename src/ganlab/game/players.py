"""One step of D and one of G as pure functions of the players, and what each has computed, for terms that want to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm

from ganlab.game.traced import Step
from ganlab.types import Loss

Map = Callable[[Tensor], Tensor]
Back = Callable[[], Tensor]  # -> the gradient of the logits' sum by the input


def by_leaf(D: Callable[[Tensor], tuple[Tensor, Any]], x: Tensor) -> tuple[Tensor, Any, Back]:
    """D(x), and how to come by its gradient by x: x becomes a leaf of the graph, unless it is in one already."""
    x = x if x.requires_grad else x.detach().requires_grad_(True)
    logit, features = D(x)
    return logit, features, lambda: torch.autograd.grad(logit.sum(), x, create_graph=True)[0]


def by_vjp(D: Callable[[Tensor], tuple[Tensor, Any]], x: Tensor) -> tuple[Tensor, Any, Back]:
    """The same where a leaf cannot be made, within torch.func.vmap."""
    logit, pull, features = torch.func.vjp(D, x, has_aux=True)  # type: ignore[misc]
    return logit, features, lambda: pull(torch.ones_like(logit))[0]


@dataclass
class Look:
    """What one step of D has computed; logits are in the graph, and in at least float32."""

    D: Map  # x [B, *S] -> logit [B], as D is shown x: augmented
    D_plain: Map  # without augmentation
    G: Map  # z [B, Z] -> x [B, *S]
    x: Tensor  # [B, *S]
    fake: Tensor  # [B, *S]
    y: Tensor  # [B]
    z: Tensor  # [B, Z]
    on_x: Tensor  # [B], of a D that sees packs of m samples [B / m]
    on_fake: Tensor
    step: int  # of D, from 0
    slope: Map  # x [B, *S] -> the gradient of D there, in a pass of its own and in at least float32
    features: Mapping[str, Any] = field(default_factory=dict)  # "x", "fake": [B, F] before D's head, for an objective that asks
    backs: Mapping[str, Back] = field(default_factory=dict)
    found: dict[str, Tensor] = field(default_factory=dict)
    kept: dict[Any, Tensor] = field(default_factory=dict)  # what a term wants to know again after the step

    def plain(self, side: str) -> Tensor:
        """D's logits on "x" or "fake" without augmentation: those of the loss where there is none."""
        if self.D is self.D_plain:
            return self.on_x if side == "x" else self.on_fake
        return self.D_plain(getattr(self, side))

    def gradient(self, side: str) -> Tensor:
        """Of D by its input "x" or "fake", a row for each logit: [B, prod S], computed once. A term that names the side in its
        `gradients` shares the pass of the loss."""
        if side not in self.found:
            self.found[side] = self.rows(self.backs[side]() if side in self.backs else self.slope(getattr(self, side)))
        return self.found[side]

    def rows(self, gradient: Tensor) -> Tensor:
        return gradient.reshape(len(self.on_x), -1)


@dataclass
class GLook:
    """What one step of G has computed."""

    G: Map  # z [B, Z] -> x [B, *S]
    D: Map
    z: Tensor  # [B, Z]
    y: Tensor  # [B]
    fake: Tensor  # [B, *S], in the graph
    on_fake: Tensor  # [B], in the graph
    real: Back  # -> D's logits [B] on the data of D's last step, without a graph
    step: int  # of G, from 0
    pull: Map  # v [B, *S] -> the product of v with G's Jacobian by z, [B, Z], in a pass of its own and in at least float32
    features: Any = ()
    kept: dict[Any, Tensor] = field(default_factory=dict)


_NOTHING: Mapping[str, Tensor] = {}


class Terms(NamedTuple):
    """What a player descends, and out of what: scalars, and logits [B]."""

    loss: Tensor  # penalties included
    penalties: Mapping[str, Tensor]  # of the terms that were due, each as of one step
    seen: Any  # Look or GLook
    said: Mapping[str, Tensor] = _NOTHING  # scalars that an objective wants logged, as train/NAME

    def plus(self, more: Tensor, **said: Tensor) -> Terms:
        return self._replace(loss=self.loss + more, said={**self.said, **said})


class Players(NamedTuple):
    """Everything that the loss of a player is a function of, but for data, noise and the step. `terms` are those of both."""

    G: Callable[[Tensor, Tensor], Tensor]
    D: Any  # (x, y) -> logit, in two halves where an objective asks for features
    loss: Loss
    terms: Mapping[str, Any]
    augment: Any
    objective: Any
    differentiate: Callable[..., tuple[Tensor, Any, Back]] = by_leaf
    through: bool = False  # whether D's loss is to be a function of G's weights, too

    def due(self, player: str, step: int | Step) -> dict[str, Any]:
        """The terms that a step of this player takes into its loss: known on the host."""
        number = step.number if isinstance(step, Step) else step  # what has to be known of a step that is traced, and no more
        return {name: term for name, term in self.terms.items() if term.of == player and number % term.every == 0}

    def bounded(self) -> bool:
        """Whether a term holds the slope of D."""
        return any(getattr(term, "bounds", False) for term in self.terms.values() if term.of == "D")

    def on(self, x: Tensor, y: Tensor, augmented: bool = True) -> tuple[Tensor, Any]:
        """D's logits [B] on x [B, *S], in at least float32 (bf16 knows log 4 to two digits), and its features if asked for."""
        x = self.augment(x) if augmented else x
        features = self.D.trunk(x) if self.objective.features else ()
        logit = self.D.head(features, y) if self.objective.features else self.D(x, y)
        return logit.to(torch.promote_types(logit.dtype, torch.float32)), features

    def look(self, x: Tensor, y: Tensor, z: Tensor, step: int) -> Look:
        """The passes of one step of D: x [B, *S], y [B], z [B, Z]."""
        with torch.set_grad_enabled(self.through):
            fake = self.G(z, y)

        def D(x: Tensor) -> tuple[Tensor, Any]:
            return self.on(x, y)

        def slope(x: Tensor) -> Tensor:
            with torch.autocast(x.device.type, enabled=False):
                _, _, back = self.differentiate(D, x.detach().to(torch.promote_types(x.dtype, torch.float32)))
                return back()

        # under autocast a gradient that is differentiated again takes its own pass, in float32
        shares = not torch.is_autocast_enabled(x.device.type)
        wanted = {side for term in self.due("D", step).values() for side in term.gradients} if shares else set()
        wanted -= {"fake"} if self.through else set()  # a term is a function of G's weights in no case
        logits, features, backs = {}, {}, {}
        # two passes: in one, D's BatchNorm would see real and fake together and tell them apart by the batch's statistics
        for side, points in (("x", x), ("fake", fake)):
            if side in wanted:
                logits[side], features[side], backs[side] = self.differentiate(D, points)
            else:
                logits[side], features[side] = D(points)

        def shown(x: Tensor) -> Tensor:
            return D(x)[0]

        plain = shown if self.augment.neutral else lambda x: self.on(x, y, augmented=False)[0]

        def G(z: Tensor) -> Tensor:
            return self.G(z, y)

        return Look(shown, plain, G, x, fake, y, z, logits["x"], logits["fake"], step, slope, features, backs)

    def glance(self, x: Tensor, y: Tensor, z: Tensor, step: int) -> GLook:
        """The passes of one step of G; x [B, *S] are the data of D's last step."""
        fake = self.G(z, y)
        on_fake, features = self.on(fake, y)

        def real() -> Tensor:
            with torch.set_grad_enabled(self.through):  # a D that has answered G is a function of it on data, too
                return self.on(x, y)[0]

        def pull(v: Tensor) -> Tensor:
            def along(z: Tensor) -> tuple[Tensor, Any]:
                return (self.G(z, y) * v).flatten(1).sum(1), ()

            with torch.autocast(z.device.type, enabled=False):
                return self.differentiate(along, z.detach().to(torch.promote_types(z.dtype, torch.float32)))[2]()

        def G(z: Tensor) -> Tensor:
            return self.G(z, y)

        return GLook(G, lambda x: self.on(x, y)[0], z, y, fake, on_fake, real, step, pull, features)

    def descended(self, player: str, seen: Look | GLook, loss: Tensor) -> Terms:
        """The loss and the terms that are due; a lazy one with the weight of the steps that it stands for."""
        due = self.due(player, seen.step)
        penalties = {name: term(seen) for name, term in due.items()}
        for name, value in penalties.items():
            loss = loss + value * due[name].every
        return Terms(loss, penalties, seen)


class Stackable(nn.Module):
    """A player's loss as a function of all weights and buffers, for torch.func.functional_call and torch.func.vmap.

    Raises ValueError, by its name, for a layer that cannot be stacked.
    """

    def __init__(self, players: Players) -> None:
        super().__init__()
        self.players = players._replace(differentiate=by_vjp)
        for name, part in players._asdict().items():
            if isinstance(part, nn.Module):
                self.add_module(name, part)
        for name, layer in self.named_modules():
            normed = isinstance(layer, nn.modules.batchnorm._NormBase) and layer.track_running_stats
            if normed or getattr(layer, "keeps_statistics", False):
                raise ValueError(
                    f"{name} is a {type(layer).__name__}, whose running statistics cannot be kept for many replicas at once: "
                    "use a network without it"
                )
            if type(layer) is _SpectralNorm:
                raise ValueError(
                    f"{name.partition('.parametrizations')[0]} has torch's own spectral norm, which writes into its buffers: "
                    "take penalty=spectral_norm"
                )
        self._in_place: list[Any] = [layer for layer in self.modules() if hasattr(layer, "replaced")]

    def forward(self, player: str, x: Tensor, y: Tensor, z: Tensor, step: int) -> Tensor:
        return self.descended(player, x, y, z, step)[0].loss

    def descended(self, player: str, x: Tensor, y: Tensor, z: Tensor, step: int) -> tuple[Terms, dict[str, Tensor]]:
        """And the buffers that this has changed, by their names: new ones, as nothing is written to in here."""
        before = dict(self.named_buffers())
        for layer in self._in_place:
            layer.replaced = True
        try:
            terms = getattr(self.players.objective, player)(self.players, x, y, z, step)
            return terms, {name: value for name, value in self.named_buffers() if value is not before[name]}
        finally:
            for layer in self._in_place:
                layer.replaced = False
