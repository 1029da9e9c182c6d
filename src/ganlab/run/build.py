"""From settings to the game, to its scores, and to Lightning's Trainer."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.loggers.logger import Logger
from torch import nn
from torchmetrics import Metric

from ganlab.errors import UserError
from ganlab.game.augment import Augment
from ganlab.game.compiled import AsWritten
from ganlab.game.module import GAN, Rates
from ganlab.game.objectives import Adversarial
from ganlab.game.updates import Order
from ganlab.loggers.base import RunLogger
from ganlab.loggers.foreign import Foreign
from ganlab.metrics.cards import card, fingerprint, name_of
from ganlab.metrics.scoring import Scorer, conditional, feed
from ganlab.metrics.several import kinds
from ganlab.networks.layers import Discriminator
from ganlab.precision import DOUBLE
from ganlab.run.checkpoint import AtomicCheckpointIO
from ganlab.run.completed import completed
from ganlab.run.config import MISTAKEN, build, build_as, resolve, takes, validate
from ganlab.run.nets import raw_discriminator, term_of
from ganlab.run.numbers import numbers_of
from ganlab.run.pairs import refuse_unfit
from ganlab.run.parts import average_of, losses_of
from ganlab.run.precision import refuse_unfit_precision
from ganlab.run.replaced import leave_out_what_was_replaced, noted
from ganlab.run.splits import split_of, unseen_by
from ganlab.settings import Metrics, Node, Settings
from ganlab.types import Prior, Source

log = logging.getLogger(__name__)


def settings_of(cfg: DictConfig, overrides: list[str]) -> Settings:
    """The typed config, `images` turned into iterations; raises UserError."""
    given = {override.split("=")[0].lstrip("+") for override in overrides}
    if {"iterations", "images"} <= {key for key in given if f"{key}=null" not in {text.lstrip("+") for text in overrides}}:
        raise UserError("iterations and images are two budgets for one run: give one of them")
    if "iterations" in given:
        cfg.images = None  # that of an experiment
    for key in given:  # a name without a penalty is a preset's, or a mistake of the user's
        group, _, name = key.lstrip("+~").partition(".")
        name = name.split(".")[0]
        if group == "penalty" and name and name in cfg.penalty:
            _refuse_unchosen(name, cfg.penalty[name], key)
    for override in overrides:
        key, _, value = override.partition("=")
        if key.lstrip("+") == "penalty" and value.startswith("{"):
            for name in (name for name in cfg.penalty or () if f"{name}:" in value):
                _refuse_unchosen(name, cfg.penalty[name], key)
    leave_out_what_was_replaced(cfg, given)
    if cfg.note and "note" not in given:
        cfg.note = noted(cfg.note, overrides)
    settings = validate(resolve(cfg))
    for key, name in (("ema_decay", "decay"), ("ema_ramp", "ramp")):
        if key in given and not takes(settings.average, "average", name):
            kind = settings.average["_target_"].rpartition(".")[2]
            log.warning("%s is not looked at by average = %s: leave it out, or take average=decay", key, kind)
    if settings.images is not None:
        cfg.iterations = math.ceil(settings.images / (settings.k * settings.batch_size))
        settings = validate(resolve(cfg))  # what refers to iterations, as a schedule does, follows
    return completed(settings)


def _refuse_unchosen(name: str, node: Any, key: str) -> None:
    if not isinstance(node, DictConfig):
        raise UserError(f"{key} = {node}: a penalty is set by its name, as in penalty=r1 penalty.r1.gamma=1")
    if "_target_" not in node:
        raise UserError(f"penalty.{name} is set but not chosen: add penalty={name}, or leave {key} out")


LOGGER = ("run_dir", "name", "group", "tags", "runs")


def game_of(settings: Settings) -> GAN:
    """The players and all that they play by."""
    settings = completed(settings)
    prior = build_as(Prior, settings.prior, "prior")
    G, D = build(settings.model.G, "model.G"), raw_discriminator(settings)
    asked = _asked_of(D, prior, settings)
    objective = build_as(Adversarial, settings.objective, "objective", **asked)
    terms = {name: term_of(name, node) for name, node in settings.penalty.items()}
    for term in terms.values():
        term.attach(G if term.of == "G" else D)
    opt_G = build(settings.optim.G, "optim.G", params=G.parameters())
    opt_D = build(settings.optim.D, "optim.D", params=[*D.parameters(), *objective.parameters()])
    momentum = settings.schedule.momentum
    if momentum and not all("momentum" in group for opt in (opt_G, opt_D) for group in opt.param_groups):
        raise UserError("schedule.momentum needs optimizers that have one: use optim=sgd, or schedule.momentum=null")
    losses = losses_of(settings)
    augment = build_as(Augment, settings.augment, "augment")
    updates, average = build_as(Order, settings.updates, "updates"), average_of(settings.model_dump())
    refuse_unfit(settings, augment, updates, opt_D)
    parts = {"loss": losses[""], "adjust": {name: loss for name, loss in losses.items() if name}, "penalty": terms,
             "augment": augment, "objective": objective, "updates": updates, "average": average}  # fmt: skip
    return GAN(
        G,
        D,
        prior=prior,
        loss=losses[next(reversed(losses))],
        terms=terms,
        augment=augment,
        objective=objective,
        updates=updates,
        opt_G=opt_G,
        opt_D=opt_D,
        rates=Rates(
            build(settings.schedule.G, "schedule.G"),
            build(settings.schedule.D, "schedule.D"),
            build(momentum, "schedule.momentum") if momentum else None,
        ),
        numbers=numbers_of(settings, parts, {"G": opt_G, "D": opt_D}, asked),
        average=average,
        k=settings.k,
        batch_size=settings.batch_size,
        seed=settings.seed,
        at_once=settings.at_once,
        way=build_as(AsWritten, settings.compile, "compile"),
    )


def _asked_of(D: nn.Module, prior: Prior, settings: Settings) -> dict[str, Any]:
    """What an objective may ask for: how many features D has before its head, how many classes the data, and the prior."""
    known: dict[str, Callable[[], Any]] = {
        "features": lambda: _width(D),
        "classes": lambda: build_as(Source, settings.data, "data").classes,
        "prior": lambda: prior,
    }
    node, m = settings.objective, settings.model.pack
    asked = [name for name in known if name not in node and takes(node, "objective", name)]
    if m > 1 and len({*asked} & {"classes", "prior"}):  # of each sample
        raise UserError(f"model.pack = {m} but this objective has D tell a class of each sample: leave model.pack at 1")
    return {name: known[name]() for name in asked}


def _width(D: nn.Module) -> int:
    inner = getattr(D, "D", D)
    if not isinstance(inner, Discriminator):
        raise UserError("objective needs a D in two halves, trunk and head: derive it from networks.layers.Discriminator")
    features = getattr(getattr(inner, "head", None), "features", None)
    if not isinstance(features, int):
        raise UserError("objective needs to know how many features D has: give it a head that says so, as LinearHead")
    return features


def scorer_of(
    metrics: Metrics, data: Node, source: Source, weights: str, z_seed: int, told: bool = False, **more: Any
) -> Scorer | None:
    """What scores samples against the source, or against another split of its data; None where nothing is scored. `weights`
    (EMA or raw) and `more` go into the cards. Without a G that is `told` y, scores of what it makes of it are left out. Raises
    UserError."""
    if not metrics.scores:
        return None
    if metrics.split is not None:
        source = split_of(data, metrics.split, "metrics.split")
    n_real = metrics.n_real or metrics.n
    finite = hasattr(source, "__len__")
    try:
        x, y = source.reference(n_real)
    except MISTAKEN as error:
        raise UserError(f"metrics.n_real = {n_real}: {error}") from error
    scores, cards = {}, {}
    about, sha256 = name_of(data, metrics.split), fingerprint(x) if finite else None
    for name, node in metrics.scores.items():
        key = f"metrics.scores.{name}"
        given: dict[str, Any] = {"source": source} if takes(node, key, "source") else {}
        if takes(node, key, "held_out"):
            given["held_out"] = unseen_by(metrics, data, source, key)
        score = build_as(Metric, node, key, **given)
        if conditional(score) and not told:
            continue
        for count, value, least in (("n", metrics.n, "least"), ("n_real", n_real, "least_real")):
            if value < (fewest := getattr(score, least, 1)):
                raise UserError(f"metrics.{count} = {value} is too few for {key}: it needs at least {fewest}")
        if getattr(score, "in_order", False) and finite and n_real != len(source):  # type: ignore[arg-type]
            raise UserError(f"{key} takes all of metrics.split in its order: set metrics.n_real={len(source)}")  # type: ignore[arg-type]
        try:
            feed(score, x[:1], y[:1], real=False)  # what it cannot look at is refused before anything is trained
            score.reset()
        except MISTAKEN as error:
            raise UserError(f"{key}: {error}") from error
        for each, kind in kinds(name, score).items():
            if each in cards:
                raise UserError(f"{key} gives the score {each}, which there is already: leave one of the two out")
            cards[each] = card(score, node, about, sha256, n_real, metrics.n, weights, kind, z_seed=z_seed, **more)
        scores[name] = score
    return Scorer(scores, cards, x, y, metrics.n, z_seed) if scores else None


def taken_by_logger(node: Node, key: str) -> tuple[str, ...]:
    """What a logger is given beside its own arguments: nothing, if it was not written for ganlab."""
    return LOGGER if all(takes(node, key, name) for name in LOGGER) else ()


def logger_of(node: Node, key: str, **about: Any) -> RunLogger:
    """A logger that is told of the run in the words of LOGGER. One of Lightning's gets its rows. Raises UserError."""
    logger = build(node, key, **{name: about[name] for name in taken_by_logger(node, key)})
    if isinstance(logger, RunLogger):
        return logger
    if isinstance(logger, Logger):
        return Foreign(logger)
    raise UserError(f"{key} = {node['_target_']} is not one of pytorch_lightning's loggers: give a subclass of its Logger")


def trainer_of(settings: Settings, callbacks: list[pl.Callback]) -> pl.Trainer:
    """Lightning's Trainer. What would end, clip or accumulate behind the bench's back is given here, so it cannot be set."""
    node = settings.trainer
    precision = str(node.get("precision"))
    refuse_unfit_precision(precision, node.get("accelerator"))
    if node.get("accelerator") in ("gpu", "cuda") and not torch.cuda.is_available():
        raise UserError("trainer.accelerator = gpu but torch finds no GPU on this machine: use trainer=cpu or trainer=auto")
    if not torch.cuda.is_available():
        # Lightning has torch count GPUs through NVML, and each step of an optimizer asks whether there is one: without a
        # driver that is a failed dlopen of 0.1 ms, twice in an iteration of 3 ms
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    trainer = build(
        node,
        "trainer",
        max_steps=settings.iterations,
        max_epochs=-1,
        max_time=None,
        min_steps=None,
        min_epochs=None,
        limit_train_batches=None,
        overfit_batches=0.0,
        fast_dev_run=False,
        barebones=False,
        gradient_clip_val=None,
        accumulate_grad_batches=1,
        callbacks=callbacks,
        logger=[],
        plugins=[AtomicCheckpointIO()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    # Lightning's own handler of SIGTERM ends a run without a checkpoint; `ganlab.signals` has one for each signal
    trainer._signal_connector.register_signal_handlers = lambda: None
    if precision in DOUBLE and trainer.strategy.root_device.type == "mps":
        raise UserError(f"trainer.precision = {precision} and this GPU has no float64: use trainer=cpu, or 32-true")
    if trainer.world_size > 1 and node.get("strategy") == "auto":
        raise UserError(f"{trainer.world_size} processes need trainer=ddp: add it, or leave out trainer.devices")
    return trainer
