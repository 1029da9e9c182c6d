"""One iteration of Algorithm 1 before anything is written, with every part that the run will use, on copies: what does not fit
together is a sentence about a key."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from ganlab.errors import UserError, brief
from ganlab.game.module import GAN
from ganlab.game.schedules import looked_at
from ganlab.observers.adapter import evaluation
from ganlab.random import generator_of
from ganlab.run.checkpoint import AtomicCheckpointIO
from ganlab.settings import Settings
from ganlab.types import Batch, Source

SHOWN = 2  # samples that are looked at as pictures would


def tried(gan: GAN, source: Source, settings: Settings, trainer: pl.Trainer, checkpoint: Path | None) -> None:
    """Raises UserError for what fails. The game, the generators of random numbers and the disk are as they were before."""
    device, share = trainer.strategy.root_device, settings.batch_size // trainer.world_size
    part = slice(trainer.global_rank * share, (trainer.global_rank + 1) * share)
    with _as_before(device):
        batch = Batch(*(each.to(device) for each in source.minibatches(0, 1, settings.batch_size, settings.seed, part)))
        try:
            double = copied(gan)
        except Exception as error:
            raise UserError(f"a part cannot be copied ({_said(error)}): keep tensors in buffers, and no files open") from error
        double.trainer = trainer
        double.to(device)
        if checkpoint is not None:
            _restored(double, checkpoint)
        for name, rate in double._schedule._asdict().items():
            if rate is not None:
                _refuse_rate(f"schedule.{name}", rate, settings.iterations)
        with trainer.precision_plugin.forward_context():
            try:
                double.begin(torch.autograd.backward, ())
                double.prepare(double.t)
                double.body(batch)
            except Exception as error:
                raise UserError(_why(copied(gan), trainer, device, batch, error)) from error
            _refuse_shapes(double, batch)
            _look_on(double, source, device)


def copied(gan: GAN) -> GAN:
    """The game with all that belongs to it, optimizers included, and nothing shared."""
    trainer, gan._trainer = gan._trainer, None
    try:
        return copy.deepcopy(gan)
    finally:
        gan._trainer = trainer


@contextmanager
def _as_before(device: torch.device) -> Iterator[None]:
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


def _restored(gan: GAN, checkpoint: Path) -> None:
    state = AtomicCheckpointIO().load_checkpoint(checkpoint, map_location=lambda storage, _: storage, weights_only=True)
    try:
        gan.on_load_checkpoint(state)
        gan.load_state_dict(state["state_dict"])
        for optimizer, its in zip((gan.opt_G, gan.opt_D), state["optimizer_states"], strict=True):
            optimizer.load_state_dict(its)
    except Exception as error:
        raise UserError(f"{checkpoint} is not of these networks and optimizers: {_said(error)}; start a new run") from error


def _refuse_shapes(gan: GAN, batch: Batch) -> None:
    """What broadcasts is no error of torch's, and wrong all the same."""
    seen, x = gan.now.D_terms.seen, batch.x[0]
    if seen.fake.shape != x.shape:
        raise UserError(f"model.G makes {list(seen.fake.shape[1:])} where the data have {list(x.shape[1:])}: change model.G")
    inputs = len(x) // getattr(gan.D, "m", 1)
    if seen.on_x.shape != (inputs,):
        raise UserError(
            f"model.D gives {list(seen.on_x.shape)} for {inputs} inputs: it has to give one number for each, [{inputs}]"
        )
    for player, terms in (("D", gan.now.D_terms), ("G", gan.now.G_terms)):
        if terms.loss.dim():
            raise UserError(
                f"loss.{player.lower()} with its penalties gives {list(terms.loss.shape)}: it has to give one number"
            )
        for name, value in terms.penalties.items():
            if value.dim():
                raise UserError(f"penalty.{name} gives {list(value.shape)}: it has to give one number")


@torch.no_grad()
def _look_on(gan: GAN, source: Source, device: torch.device) -> None:
    """As observers do, in evaluation mode."""
    m = getattr(gan.D, "m", 1)
    with evaluation(gan.G, gan.D, gan.G_ema):
        try:
            z = gan.prior.sample(SHOWN * m, generator_of(0, "rehearsal", device=device))
            x = gan.generate(z, source.sample(SHOWN * m, generator_of(0, "rehearsal", 1))[1].to(device))
        except Exception as error:
            raise UserError(f"model.G fails in evaluation mode: {_said(error)}") from error
        try:
            gan.players.on(x, torch.zeros(len(x), dtype=torch.long, device=device))
        except Exception as error:
            raise UserError(f"model.D fails in evaluation mode: {_said(error)}") from error


def _refuse_rate(key: str, rate: Callable[[int], float], iterations: int) -> None:
    limit, otherwise = (
        (1.0, "lie in 0..1, 1 excluded") if key.endswith("momentum") else (math.inf, "be finite and not negative")
    )
    for t in looked_at(iterations):
        try:
            value = float(rate(t))
        except Exception as error:
            raise UserError(f"{key} fails at iteration {t:,}: {_said(error)}") from error
        if not 0 <= value < limit:
            raise UserError(f"{key} gives {value} at iteration {t:,}: it has to {otherwise}")


def _why(gan: GAN, trainer: pl.Trainer, device: torch.device, batch: Batch, whole: Exception) -> str:
    """The first part that fails by itself, in the order of an iteration; otherwise what the parts make together."""
    gan.trainer = trainer
    gan.to(device)
    gan.begin(torch.autograd.backward, ())
    found: dict[str, Any] = {}
    x, y = batch.x[0], batch.y[0]

    def noise() -> None:
        gan.prepare(0)
        found["z"] = gan.noise()

    def made() -> None:
        found["fake"] = gan.G(found["z"], y)

    def judged() -> None:
        found["real"] = gan.players.on(x, y, augmented=False)[0]
        found["on_fake"] = gan.players.on(found["fake"].detach(), y, augmented=False)[0]

    def look() -> None:
        found["look"] = gan.players._replace(terms={}).look(x, y, found["z"], 0)
        found["glance"] = gan.players._replace(terms={}).glance(x, y, found["z"], 0)

    def loss(player: str) -> Callable[[], None]:
        seen = "look" if player == "D" else "glance"

        def step() -> None:
            if player == "D":
                value: Tensor = gan.loss.d(found[seen].on_x, found[seen].on_fake)
            else:
                value = gan.loss.g(found[seen].on_fake, found[seen].real)
            _scalar(value).backward(retain_graph=True)

        return step

    def term(name: str) -> Callable[[], None]:
        def step() -> None:
            one = gan.players.terms[name]
            play = gan.players._replace(terms={name: one})
            seen = play.look(x, y, found["z"], 0) if one.of == "D" else play.glance(x, y, found["z"], 0)
            value = _scalar(one(seen))
            if value.requires_grad:
                value.backward()
            one.after_step(gan.D if one.of == "D" else gan.G, seen)

        return step

    def objective() -> None:
        for play in (gan.objective.D, gan.objective.G):
            play(gan.players, x, y, found["z"], 0).loss.backward()

    stages: dict[str, Callable[[], None]] = {
        "prior": noise, "model.G": made, "model.D": judged, "augment": look, "loss.d": loss("D"), "loss.g": loss("G"),
        **{f"penalty.{name}": term(name) for name in gan.players.terms}, "objective": objective,
    }  # fmt: skip
    from ganlab.random import Draws, handed

    for key, stage in stages.items():
        draws = Draws(device)
        draws.prepare(0)
        try:
            with handed(draws):
                stage()
        except Exception as error:
            return f"{key}: {_said(error)}{_advice(key, found, x)}"
    return f"updates: {_said(whole)}{_third(whole)}"


def _scalar(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or value.dim():
        raise TypeError(
            f"it gives {list(value.shape) if isinstance(value, Tensor) else type(value).__name__}, and not one number"
        )
    return value


def _advice(key: str, found: dict[str, Any], x: Tensor) -> str:
    if key == "model.G":
        return f"; prior.dim is {found['z'].shape[1]}"
    if key == "model.D":
        return f"; data have {list(x.shape[1:])}, G makes {list(found['fake'].shape[1:])}"
    return ""


def _third(error: Exception) -> str:
    several = "derivative" in str(error) or "double" in str(error) or "backward" in str(error)
    return "; updates=consensus differentiates penalties and BatchNorm once more than they can be" if several else ""


def _said(error: BaseException) -> str:
    return brief(f"{type(error).__name__}: {error}" if not str(error) or isinstance(error, KeyError) else str(error), 110)
