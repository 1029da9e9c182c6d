"""Unrolled GANs (Metz et al., 2017): G descends its loss at a D that has answered it already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import SGD, Adam, AdamW, Optimizer

from ganlab.errors import at_least_one
from ganlab.game.consensus import third_derivatives
from ganlab.game.players import Players, Terms
from ganlab.game.updates import Alternating
from ganlab.types import Batch

State = dict[str, Tensor]
Rule = Callable[[Tensor, Tensor, State, Mapping[str, Any]], tuple[Tensor, State]]


class Unrolled(Alternating):
    """As alternating, but G's loss is taken at the D that `steps` further steps lead to, and G's gradient flows through these
    steps and D's optimizer (equations 7 to 10). D itself moves by its own steps alone.

    The steps ahead see the data of D's last step and the noise of G's, as the authors' code does; each draws its own dropout
    and the like. What a term does after a step, as clipping, is not done to a D that is looked ahead. With several processes
    each looks ahead on its share. A step of G costs as many more of D, with second derivatives. Of D's: SGD, Adam, AdamW.
    """

    stacks = False

    def __init__(self, steps: int, g_steps: int = 1) -> None:
        super().__init__(g_steps)
        at_least_one(steps=steps)
        self.steps = self.ahead = steps

    def fits(self, k: int, opt_D: Optimizer) -> None:
        rule_of(opt_D)

    def doubts(self, play: Players) -> Iterator[str]:
        third_derivatives(play, "unrolled")
        yield from ()

    def __call__(self, game: Any, batch: Batch) -> None:
        for x, y in zip(batch.x, batch.y, strict=True):
            game.D_gradient(x, y, game.noise())
            game.D_step()
        for _ in range(self.g_steps):
            done = game.now.D_steps, game.now.G_steps
            terms = unrolled(game.players, game.opt_D, x, y, game.noise(), done, self.steps)
            game.backward_to(terms.loss, inputs=game.weights_G)
            game.now.G_terms = terms
            game.G_step()


def unrolled(play: Players, opt_D: Optimizer, x: Tensor, y: Tensor, z: Tensor, done: tuple[int, int], steps: int) -> Terms:
    """What G descends at the D, and at the weights of the objective, that so many steps of opt_D lead to; a function of G's
    weights through all of them. `done`: the steps of D and of G so far. D, its buffers and its optimizer stay as they are."""
    rule = rule_of(opt_D)
    inner = _Within(play.D, play.objective)
    names = {id(p): name for name, p in inner.named_parameters()}
    groups = [(group, p) for group in opt_D.param_groups for p in group["params"] if p.requires_grad]
    weights = {names[id(p)]: p.detach().clone().requires_grad_(True) for _, p in groups}
    buffers = {name: buffer.clone() for name, buffer in inner.named_buffers()}  # of BatchNorm, which a pass moves
    states = [dict(opt_D.state.get(p, {})) for _, p in groups]
    play = play._replace(through=True)

    def terms(player: str, step: int) -> Terms:
        found: Terms = functional_call(
            inner, {**weights, **buffers}, (lambda: getattr(play.objective, player)(play, x, y, z, step),)
        )
        return found

    for j in range(steps):
        loss = terms("D", done[0] + j).loss
        gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True, materialize_grads=True)
        moved = [rule(w, g, s, group) for w, g, s, (group, _) in zip(weights.values(), gradients, states, groups, strict=True)]
        weights = dict(zip(weights, (w for w, _ in moved), strict=True))
        states = [state for _, state in moved]
    return terms("G", done[1])


class _Within(nn.Module):
    """D and the objective, whose weights functional_call exchanges for as long as a function runs."""

    def __init__(self, D: Any, objective: Any) -> None:
        super().__init__()
        self.D, self.objective = D, objective

    def forward(self, function: Callable[[], Any]) -> Any:
        return function()


def rule_of(optimizer: Optimizer) -> Rule:
    """(weight, gradient, state, parameter group) -> the next weight and state, differentiable. ValueError for an optimizer that
    has none here."""
    if isinstance(optimizer, SGD):
        rule: Rule = sgd
    elif isinstance(optimizer, AdamW | Adam) and not any(group["amsgrad"] for group in optimizer.param_groups):
        rule = adam
    else:
        raise ValueError(f"unrolled goes through SGD and Adam without amsgrad, not {type(optimizer).__name__}: try optim=adam")
    if any(group["maximize"] for group in optimizer.param_groups):
        raise ValueError("unrolled goes through optimizers that descend: leave maximize out")
    return rule


def sgd(weight: Tensor, gradient: Tensor, state: State, group: Mapping[str, Any]) -> tuple[Tensor, State]:
    """torch.optim.SGD: momentum, dampening, Nesterov, weight decay."""
    gradient = gradient + group["weight_decay"] * weight
    if group["momentum"]:
        before = state.get("momentum_buffer")
        kept = gradient if before is None else group["momentum"] * before + (1 - group["dampening"]) * gradient
        state = {"momentum_buffer": kept}
        gradient = gradient + group["momentum"] * kept if group["nesterov"] else kept
    return weight - group["lr"] * gradient, state


def adam(weight: Tensor, gradient: Tensor, state: State, group: Mapping[str, Any]) -> tuple[Tensor, State]:
    """torch.optim.Adam, or AdamW where the group's weight decay is decoupled."""
    (beta1, beta2), decay, lr = group["betas"], group["weight_decay"], group["lr"]
    if group.get("decoupled_weight_decay"):
        weight = weight * (1 - lr * decay)
    else:
        gradient = gradient + decay * weight
    zero = torch.zeros_like(weight)
    step = state.get("step", zero.new_zeros((), dtype=torch.float32)) + 1
    m = torch.lerp(gradient, state.get("exp_avg", zero), beta1)
    v = beta2 * state.get("exp_avg_sq", zero) + (1 - beta2) * gradient.square()
    step = step.to(weight)
    # the root has no derivative at 0, where a weight that has no part in the loss stays
    root = torch.where(v > 0, v, 1.0).sqrt() * (v > 0) / (1 - beta2**step).sqrt()
    weight = weight - lr / (1 - beta1**step) * m / (root + group["eps"])
    return weight, {"step": step, "exp_avg": m, "exp_avg_sq": v}
