"""The only LightningModule: two networks, one game."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ganlab.game.augment import Augment
from ganlab.game.averages import Average
from ganlab.game.compiled import AsWritten
from ganlab.game.numbers import Numbers
from ganlab.game.players import Players, Terms
from ganlab.game.quick import forget, lay_out, quicken
from ganlab.game.terms import Term
from ganlab.networks.weights import follower, frozen, gradient_norm, trained_by
from ganlab.precision import working
from ganlab.random import Draws, handed, seed_foreign_layers, seed_of
from ganlab.types import Batch, Loss, Prior

PATIENCE = 0.2  # seconds after which Lightning is given the word, so that a signal is obeyed


class Rates(NamedTuple):
    """What is scheduled: factors on the optimizers' own learning rates, and their momentum; functions of the iteration."""

    G: Callable[[int], float]
    D: Callable[[int], float]
    momentum: Callable[[int], float] | None


class Now:
    """Where the game is. A plain object: a module looks twice at each attribute that it is given, 25 times in an iteration."""

    t = 0  # iterations of Algorithm 1 done
    D_steps = G_steps = 0  # done
    D_terms: Terms  # what the newest step saw, on the device, for whoever wants to look
    G_terms: Terms
    shares: tuple[float, ...] = (1.0,)  # of G in the averages that are next
    due: Hashable = ()  # which terms are, in each step of the iteration that is next: all that sets its operations apart
    looked_at = False  # whether somebody wants to look after this iteration

    def __init__(self) -> None:
        self.gradient_norms: dict[str, Tensor] = {}  # of the newest iteration that somebody wanted to look at
        self.penalties: dict[str, Tensor] = {}  # the newest value of each term, which a lazy one keeps until it is due again


class GAN(pl.LightningModule):
    """G against D. An iteration of Algorithm 1 is a pure function of (weights, state of optimizers and terms, seed, rank, t).

    `G_ema`, the moving average of G, is what the algorithm puts out: samples, scores and pictures use it. `averages` has it and
    those that are kept beside it.
    """

    def __init__(
        self,
        G: nn.Module,
        D: nn.Module,
        *,
        prior: Prior,
        loss: Loss,
        terms: Mapping[str, Term],
        augment: Augment,
        objective: Any,
        updates: Any,
        opt_G: Optimizer,
        opt_D: Optimizer,
        rates: Rates,
        numbers: Numbers,
        average: Average,
        k: int,
        batch_size: int,
        seed: int,
        at_once: int | None = None,
        way: AsWritten | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.G, self.D, self.G_ema = G, D, copy.deepcopy(G).requires_grad_(False)
        self.G_others = nn.ModuleList(copy.deepcopy(self.G_ema) for _ in average.shares(0)[1:])
        self.terms, self.augment, self.objective = nn.ModuleDict(terms), augment, objective
        self.prior, self.loss, self.updates = prior, loss, updates
        self.players = Players(self.G, self.D, loss, dict(terms), augment, objective)
        self.opt_G, self.opt_D, self._schedule = opt_G, opt_D, rates
        self.numbers, self.average = numbers, average
        self._rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in (opt_G, opt_D)]
        self.weights_G, self.weights_D = (trained_by(optimizer) for optimizer in (opt_G, opt_D))
        self.k, self.batch_size, self.seed = k, batch_size, seed
        self.at_once, self.way = at_once or 10**9, way or AsWritten()
        self.slower, self.slowed = 1.0, 0  # a factor on all rates; how often it was made smaller, after a divergence
        self.now = Now()
        self.next_look: Callable[[int], int] = lambda t: t + 1  # the next iteration after which somebody wants to look
        self.played: Callable[[], None] | None = None  # of a game that is one of several: wait until somebody has played it on

    def training_step(self, minibatches: Callable[[int], Batch], batch_idx: int) -> None:
        """Iterations of Algorithm 1 until somebody wants to look, at most `at_once`, or for PATIENCE: the same bits for any
        number of them; of several processes one. minibatches(t) has x [k, B, *S], y [k, B]."""
        if self.played is not None:
            return self.played()
        now, started = self.now, time.monotonic()
        look = self.next_look(now.t)
        end = min(look, now.t + self.at_once)
        while now.t < end:
            now.looked_at = now.t + 1 == look
            self.prepare(now.t)
            self.iterate(minibatches(now.t))
            now.t += 1
            self.advance(1)
            if time.monotonic() - started > PATIENCE:
                break

    def advance(self, n: int) -> None:
        """Lightning's count of iterations, from which its global_step comes."""
        for progress in (self._progress.total, self._progress.current):
            progress.increment_by(n)

    def prepare(self, t: int) -> None:
        """What the host has to say about iteration t: seeds and draws, learning rates and what else moves, which lazy terms are
        due."""
        self._set_rates(t)
        self.numbers.write(t)
        now, play = self.now, self.players
        now.D_steps, now.G_steps = self.k * t, self.updates.g_steps * t
        seed_foreign_layers(self.seed, self.global_rank, t, self.device)
        due = [tuple(play.due("D", now.D_steps + j)) for j in range(self.k + self.updates.ahead)]
        due += [tuple(play.due("G", now.G_steps + j)) for j in range(self.updates.g_steps)]
        now.due = tuple(due)
        self._draws.prepare(seed_of(self.seed, f"layers/{self.global_rank}", t), now.due)
        self._noise.prepare(seed_of(self.seed, "noise", t))
        now.shares = self.average.shares(t)

    def body(self, batch: Batch) -> None:
        """The iteration that was prepared: work of the device, and no value on the host that depends on data."""
        self.play(batch)
        self.follow()

    def play(self, batch: Batch) -> None:
        """Its steps of D and G."""
        with handed(self._draws):
            self.updates(self, batch)
        self._draws.finish()

    def drawn(self) -> list[Tensor]:
        """What has been drawn for it, if it is not the first of its kind: by layers and terms, and the noise."""
        return [*self._draws.ready, *self._noise.ready]

    def follow(self) -> None:
        """The averages of G, after its steps."""
        for follow, share in zip(self._follow, self.now.shares, strict=True):
            follow(share)

    def noise(self) -> Tensor:
        """The next minibatch of z [B, Z]: this rank's share of one draw for all ranks, so they see different noise and
        together the same noise as one process would."""
        share = self.batch_size // self.trainer.world_size
        return self._noise.take(_Noise(self.prior, self.batch_size))[self.global_rank * share :][:share]

    def D_gradient(self, x: Tensor, y: Tensor, z: Tensor) -> None:
        self.now.D_terms = terms = self.objective.D(self.players, x, y, z, self.now.D_steps)
        self.backward_to(terms.loss, inputs=self.weights_D)

    def G_gradient(self, x: Tensor, y: Tensor, z: Tensor) -> None:
        with frozen(*self._frozen):
            self.now.G_terms = terms = self.objective.G(self.players, x, y, z, self.now.G_steps)
            self.backward_to(terms.loss, inputs=self.weights_G)

    def D_step(self) -> None:
        self._step("D", self.D, self.opt_D, self.now.D_terms)
        self.augment.after_step(self.now.D_terms.seen)
        self.now.D_steps += 1

    def G_step(self) -> None:
        self._step("G", self.G, self.opt_G, self.now.G_terms)
        self.now.G_steps += 1

    def _step(self, player: str, net: nn.Module, optimizer: Optimizer, terms: Terms) -> None:
        if self.now.looked_at:
            self.now.gradient_norms[player] = gradient_norm(net)
        self.updates.step(optimizer)
        forget(self.weights_D if player == "D" else self.weights_G)
        for term in (term for term in self.players.terms.values() if term.of == player):
            term.after_step(net, terms.seen)
        self.now.penalties |= {name: value.detach() for name, value in terms.penalties.items()}

    def _set_rates(self, t: int) -> None:
        """Afresh from the config's rates: a checkpoint holds those of its own iteration."""
        factors = self._schedule.G(t), self._schedule.D(t)
        for optimizer, rates, factor in zip((self.opt_G, self.opt_D), self._rates, factors, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor * self.slower
                if self._schedule.momentum is not None:
                    group["momentum"] = self._schedule.momentum(t)

    @property
    def averages(self) -> list[nn.Module]:
        """One for each share: G_ema, and what is kept beside it."""
        return [self.G_ema, *self.G_others]

    @property
    def t(self) -> int:
        """Iterations of Algorithm 1 done so far."""
        return self.now.t

    def counters(self) -> dict[str, int]:
        """What the run has cost so far; images are real ones that D has seen, over all ranks."""
        t, k = self.t, self.k
        return {"iteration": t, "d_steps": k * t, "g_steps": self.updates.g_steps * t, "images": k * self.batch_size * t}

    @torch.no_grad()
    def generate(self, z: Tensor, y: Tensor, chunk: int = 1000) -> Tensor:
        """G_ema(z) [n, *S] in evaluation mode, for z [n, Z] and y [n]."""
        self.G_ema.eval()
        with torch.set_grad_enabled(z.requires_grad):  # a score that inverts G
            return torch.cat([working(self.G_ema(*part)) for part in zip(z.split(chunk), y.split(chunk), strict=True)])

    def configure_optimizers(self) -> list[Optimizer]:
        return [self.opt_G, self.opt_D]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint |= {"iteration": self.now.t, "penalties": {k: float(v) for k, v in self.now.penalties.items()}}
        checkpoint |= {"slower": self.slower, "slowed": self.slowed}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.now.t = checkpoint.get("iteration", checkpoint["global_step"])
        self.now.penalties = {name: torch.tensor(value) for name, value in checkpoint.get("penalties", {}).items()}
        self.slower *= checkpoint.get("slower", 1.0)

    def on_train_start(self) -> None:
        several = self.trainer.world_size > 1  # DDP wants to be told of each backward, and D's weights out of G's graph
        self.begin(self.manual_backward if several else torch.autograd.backward, (self.D, self.objective) if several else ())
        # raw optimizers step, and Lightning's count is advanced by hand: its global_step is then the iteration of Algorithm 1
        # for every k and any number of steps of G
        self._progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        self.at_once = 1 if several else self.at_once  # ranks have to leave a call together: each has its own clock

    def begin(self, backward_to: Callable[..., None], kept_out: tuple[nn.Module, ...]) -> None:
        """What a body needs, where the nets are now."""
        self._draws, self._noise = Draws(self.device), Draws(self.device)
        for optimizer in (self.opt_G, self.opt_D):
            lay_out(optimizer)
            quicken(optimizer)
        self._follow = [follower(average, self.G) for average in self.averages]
        self.numbers.to(self.device)
        self.backward_to, self._frozen = backward_to, kept_out
        self.iterate = self.way.of(self)


class _Noise(NamedTuple):
    """A request for a minibatch of z."""

    prior: Prior
    n: int

    def drawn(self, generator: torch.Generator | None) -> Tensor:
        assert generator is not None
        return self.prior.sample(self.n, generator)
