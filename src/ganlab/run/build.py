"""From settings to the game, to its scores, and to Lightning's Trainer."""

from __future__ import annotations

import os
from typing import Any

import pytorch_lightning as pl
import torch
from torchmetrics import Metric

from ganlab.data.splits import overlap
from ganlab.errors import UserError
from ganlab.game.module import GAN
from ganlab.metrics.cards import card, fingerprint, name_of
from ganlab.metrics.scoring import Scorer
from ganlab.metrics.several import kinds
from ganlab.observers.checkpoint import AtomicCheckpointIO
from ganlab.run.settings import Metrics, Node, Settings, build, build_as, takes
from ganlab.types import Loss, Penalty, Prior, Source


def game_of(settings: Settings) -> GAN:
    prior = build_as(Prior, settings.prior, "prior")
    G, D = build(settings.model.G, "model.G"), build(_of_packs(settings), "model.D")
    opt_G = build(settings.optim.G, "optim.G", params=G.parameters())
    opt_D = build(settings.optim.D, "optim.D", params=D.parameters())
    momentum = settings.schedule.momentum
    if momentum and not all("momentum" in group for opt in (opt_G, opt_D) for group in opt.param_groups):
        raise UserError("schedule.momentum needs optimizers that have one: use optim=sgd, or schedule.momentum=null")
    return GAN(
        G,
        D,
        prior=prior,
        loss=build_as(Loss, settings.loss, "loss"),
        penalty=build_as(Penalty, settings.penalty, "penalty"),
        augment=build(settings.augment, "augment"),
        updates=build(settings.updates, "updates"),
        opt_G=opt_G,
        opt_D=opt_D,
        schedule_G=build(settings.schedule.G, "schedule.G"),
        schedule_D=build(settings.schedule.D, "schedule.D"),
        momentum=build(momentum, "schedule.momentum") if momentum else None,
        k=settings.k,
        pack=settings.model.pack,
        batch_size=settings.batch_size,
        ema_decay=settings.ema_decay,
        ema_ramp=settings.ema_ramp,
        seed=settings.seed,
    )


def _of_packs(settings: Settings) -> Node:
    """D's node, for the shape of the packs that it is given."""
    node, m = settings.model.D, settings.model.pack
    if m == 1:
        return node
    if settings.batch_size % m:
        raise UserError(f"batch_size = {settings.batch_size} does not come in packs of {m}: make it a multiple of model.pack")
    if node.get("shape") != settings.shape:
        raise UserError(f"model.pack = {m} needs a D that is told its shape: give model.D.shape, or leave model.pack at 1")
    return {**node, "shape": [m * settings.shape[0], *settings.shape[1:]]}


def split_of(data: Node, split: str, key: str) -> Source:
    """Another part of the same data; raises UserError, under the key that asked for it."""
    if not takes(data, "data", "split"):
        raise UserError(f"{key} = {split} but this data has no splits: set it to null")
    try:
        source: Source = build_as(Source, {**data, "split": split}, "data")
    except UserError as error:
        raise UserError(f"{key} = {split}: {error}") from error
    return source


def held_out_of(data: Node, split: str | None) -> Source | None:
    """What D never sees, to watch it by; `auto` is the split test of data that have one and are not trained on it. Raises
    UserError where it would see some of it."""
    if split is None or (split == "auto" and "split" not in data):
        return None
    key, known = "health.split", ("train", "test")
    wanted = "test" if split == "auto" else split
    if "split" in data and overlap(data["split"], wanted, known):
        if split == "auto":
            return None
        raise UserError(
            f"{key} = {split} and data.split = {data['split']} have images in common: D would be watched on what it sees"
        )
    try:
        return split_of(data, wanted, key)
    except UserError:
        if split == "auto":
            return None
        raise


def scorer_of(metrics: Metrics, data: Node, source: Source, weights: str, z_seed: int, **more: Any) -> Scorer | None:
    """What scores samples against the source, or against another split of its data; None where nothing is scored. `weights`
    (EMA or raw) and `more` go into the cards. Raises UserError."""
    if not metrics.scores:
        return None
    if metrics.split is not None:
        source = split_of(data, metrics.split, "metrics.split")
    n_real = metrics.n_real or metrics.n
    finite = hasattr(source, "__len__")
    try:
        x, y = source.reference(n_real)
    except ValueError as error:
        raise UserError(str(error)) from error
    scores, cards = {}, {}
    about, sha256 = name_of(data, metrics.split), fingerprint(x) if finite else None
    for name, node in metrics.scores.items():
        key = f"metrics.scores.{name}"
        score = build_as(Metric, node, key, **({"source": source} if takes(node, key, "source") else {}))
        for count, value, least in (("n", metrics.n, "least"), ("n_real", n_real, "least_real")):
            if value < (fewest := getattr(score, least, 1)):
                raise UserError(f"metrics.{count} = {value} is too few for {key}: it needs at least {fewest}")
        if getattr(score, "in_order", False) and finite and n_real != len(source):  # type: ignore[arg-type]
            raise UserError(f"{key} takes all of metrics.split in its order: set metrics.n_real={len(source)}")  # type: ignore[arg-type]
        try:
            score.update(x[:1], real=False)  # what it cannot look at is refused before anything is trained
            score.reset()
        except ValueError as error:
            raise UserError(f"{key}: {error}") from error
        for each, kind in kinds(name, score).items():
            if each in cards:
                raise UserError(f"{key} gives the score {each}, which there is already: leave one of the two out")
            cards[each] = card(score, node, about, sha256, n_real, metrics.n, weights, kind, z_seed=z_seed, **more)
        scores[name] = score
    return Scorer(scores, cards, x, y, metrics.n, z_seed)


def trainer_of(settings: Settings, callbacks: list[pl.Callback], loggers: list[Any]) -> pl.Trainer:
    """Lightning's Trainer. What would end, clip or accumulate behind the bench's back is given here, so it cannot be set."""
    node = settings.trainer
    precision = str(node.get("precision"))
    if precision in ("16", "16-mixed", "16-true"):
        raise UserError(
            f"trainer.precision = {precision}: fp16 needs a loss scale, and one scale cannot serve two optimizers "
            "that step at different times; use bf16-mixed or 32-true"
        )
    if precision not in ("32-true", "32", "bf16-mixed"):
        raise UserError(f"trainer.precision = {precision}: use 32-true or bf16-mixed")
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
        logger=loggers,
        plugins=[AtomicCheckpointIO()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    if trainer.world_size > 1 and node.get("strategy") == "auto":
        raise UserError(f"{trainer.world_size} processes need trainer=ddp: add it, or leave out trainer.devices")
    return trainer
