"""The only LightningModule: two networks, one game."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ganlab.game.objectives import DTerms, GTerms, consensus_gradient, discriminator_objective, generator_objective, packed
from ganlab.random import seed_layers, seed_of
from ganlab.types import Batch, Loss, Penalty, Prior


class GAN(pl.LightningModule):
    """G against D. One training step is one iteration of Algorithm 1, a pure function of (weights, seed, rank, t).

    `G_ema`, the exponential moving average of G, is what the algorithm puts out: samples, scores and pictures use it.
    `D_terms` and `G_terms` hold what the newest step of each net saw, on the device, for whoever wants to look; so does
    `gradient_norms`, of the newest step of each net that was taken while the game was `watched`.
    """

    D_terms: DTerms
    G_terms: GTerms

    def __init__(
        self,
        G: nn.Module,
        D: nn.Module,
        *,
        prior: Prior,
        loss: Loss,
        penalty: Penalty,
        augment: Callable[[Tensor], Tensor],
        updates: Callable[[Any, Batch], None],
        opt_G: Optimizer,
        opt_D: Optimizer,
        schedule_G: Callable[[int], float],
        schedule_D: Callable[[int], float],
        momentum: Callable[[int], float] | None,
        k: int,
        pack: int,
        batch_size: int,
        ema_decay: float,
        ema_ramp: float,
        seed: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.G, self.D, self.G_ema = G, D, copy.deepcopy(G).requires_grad_(False)
        self.prior, self.loss, self.penalty, self.augment, self.updates = prior, loss, penalty, augment, updates
        self._optimizers, self._schedules = (opt_G, opt_D), (schedule_G, schedule_D)
        self._momentum = momentum
        self._rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in self._optimizers]
        self.watched, self.gradient_norms = False, dict[str, Tensor]()
        self.next_look: Callable[[int], int] = lambda t: t + 1  # the first iteration after t that somebody looks at
        self.k, self.pack, self.batch_size, self.seed = k, pack, batch_size, seed
        self.ema_decay, self.ema_ramp = ema_decay, ema_ramp

    def start_at(self, mean: Callable[[], Tensor]) -> None:
        """Tell a G that wants to know it the mean image of the data."""
        if callable(start := getattr(self.G, "start_at", None)):
            start(mean())
            self.G_ema.load_state_dict(self.G.state_dict())

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Iteration t: k steps of D and one of G in the order of `updates`; batch.x is [k, B, *S]."""
        t = self.iteration
        self.watched = self.next_look(t) == t + 1
        self._set_rates(t)
        seed_layers(self.seed, self.global_rank, t, self.device)
        self._noise.manual_seed(seed_of(self.seed, "noise", t))
        self.updates(self, batch)
        # the ramp forgets the initial weights: of a limit r, iteration t has a weight that grows as t^(r - 2)
        self._average(min(self.ema_decay, (1 + t) / (self.ema_ramp + t)))

    def noise(self) -> Tensor:
        """The next minibatch of z [B, Z]: this rank's share of one draw for all ranks, so they see different noise and
        together the same noise as one process would."""
        share = self.batch_size // self.trainer.world_size
        return self.prior.sample(self.batch_size, self._noise)[self.global_rank * share :][:share]

    def D_gradient(self, x: Tensor, y: Tensor, z: Tensor) -> None:
        terms = discriminator_objective(self.sees, self.deals, self.loss, self.penalty, packed(x, self.pack), y, z)
        self.manual_backward(terms.loss)
        self.D_terms = DTerms(*(term.detach() for term in terms))

    def G_gradient(self, y: Tensor, z: Tensor) -> None:
        with frozen(self.D):
            terms = generator_objective(self.sees, self.deals, self.loss, y, z)
            self.manual_backward(terms.loss)
        self.G_terms = GTerms(*(term.detach() for term in terms))

    def consensus_gradient(self, x: Tensor, y: Tensor, z: Tensor, gamma: float) -> None:
        w_D, w_G = list(self.D.parameters()), list(self.G.parameters())
        played = self.sees, self.deals, self.loss, self.penalty
        D_terms, G_terms, gradients = consensus_gradient(*played, packed(x, self.pack), y, z, w_D, w_G, gamma)
        # a sum whose gradients these are: backward through it tells DDP of them, which averages them over processes
        self.manual_backward(torch.stack([(w * g).sum() for w, g in zip([*w_D, *w_G], gradients, strict=True)]).sum())
        self.D_terms = DTerms(*(term.detach() for term in D_terms))
        self.G_terms = GTerms(*(term.detach() for term in G_terms))

    def deals(self, z: Tensor, y: Tensor) -> Tensor:
        """G(z), in the packs that D is given."""
        return packed(self.G(z, y), self.pack)

    def sees(self, x: Tensor, y: Tensor) -> Tensor:
        """D's logits [B] on what it is shown of x [B, *S], where B and S are those of packs."""
        return self.D(self.augment(x), y[:: self.pack])

    def D_step(self) -> None:
        if self.watched:
            self.gradient_norms["D"] = gradient_norm(self.D)
        self._opt_D.step()
        self._opt_D.zero_grad()
        self.penalty.project(self.D)

    def G_step(self) -> None:
        if self.watched:
            self.gradient_norms["G"] = gradient_norm(self.G)
        self._opt_G.step()
        self._opt_G.zero_grad()

    def _set_rates(self, t: int) -> None:
        """Afresh from the config's rates: a checkpoint holds those of its own iteration."""
        for optimizer, rates, schedule in zip(self._optimizers, self._rates, self._schedules, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * schedule(t)
                if self._momentum is not None:
                    group["momentum"] = self._momentum(t)

    @property
    def rates(self) -> tuple[float, float]:
        """The learning rates of G and of D in the newest iteration (of their first parameter groups)."""
        G, D = (optimizer.param_groups[0]["lr"] for optimizer in self._optimizers)
        return G, D

    @property
    def iteration(self) -> int:
        """Iterations of Algorithm 1 done so far."""
        return self.trainer.global_step

    def counters(self) -> dict[str, int]:
        """What the run has cost so far; images are real ones that D has seen, over all ranks."""
        t = self.iteration
        return {"iteration": t, "d_steps": self.k * t, "images": self.k * self.batch_size * t}

    @torch.no_grad()
    def generate(self, z: Tensor, y: Tensor, chunk: int = 1000) -> Tensor:
        """G_ema(z) [n, *S] in evaluation mode, for z [n, Z] and y [n]."""
        self.G_ema.eval()
        return torch.cat([self.G_ema(*part).float() for part in zip(z.split(chunk), y.split(chunk), strict=True)])

    def configure_optimizers(self) -> list[Optimizer]:
        return list(self._optimizers)

    def on_train_start(self) -> None:
        # D through its raw optimizer: Lightning counts the steps of its wrappers in global_step, which is then the
        # iteration of Algorithm 1 for every k
        self._opt_G = self.optimizers()[0]  # type: ignore[index]
        self._opt_D = self.optimizers(use_pl_optimizer=False)[1]  # type: ignore[index]
        self._noise = torch.Generator(self.device)
        self._average = follower(self.G_ema, self.G)


def gradient_norm(net: nn.Module) -> Tensor:
    """The Euclidean norm of all gradients of a net, a scalar on its device."""
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    return torch.stack(torch._foreach_norm(gradients)).norm()


@contextmanager
def frozen(net: nn.Module) -> Iterator[None]:
    """Gradients flow through the net and not into it (DDP needs its weights out of the graph, not only ungraded)."""
    trained = [p for p in net.parameters() if p.requires_grad]
    for p in trained:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trained:
            p.requires_grad_(True)


def follower(average: nn.Module, net: nn.Module) -> Callable[[float], None]:
    """decay -> None: average <- decay * average + (1 - decay) * net; buffers (BatchNorm statistics) are copied.

    torch's AveragedModel asks a tensor whether this is its first update, which waits for the GPU in every iteration.
    """
    averages: list[Tensor] = list(average.parameters())
    weights: list[Tensor] = list(net.parameters())
    buffers = list(zip(average.buffers(), net.buffers(), strict=True))

    @torch.no_grad()
    def follow(decay: float) -> None:
        torch._foreach_lerp_(averages, weights, 1 - decay)
        for mine, its in buffers:
            mine.copy_(its)

    return follow
