"""What a key may have been meant to be, where ganlab has another word for it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

from ganlab.files.command import program

ELSEWHERE = {  # words of other programs and papers
    "learning_rate": "optim.lr", "lr": "optim.lr", "lr_g": "optim.G.lr", "lr_d": "optim.D.lr", "g_lr": "optim.G.lr",
    "d_lr": "optim.D.lr", "beta1": "optim.betas", "beta2": "optim.betas", "betas": "optim.betas", "momentum": "optim.momentum",
    "optimizer": "optim", "opt": "optim", "batch": "batch_size", "bs": "batch_size", "minibatch": "batch_size",
    "epochs": "iterations", "max_epochs": "iterations", "n_epochs": "iterations", "steps": "iterations",
    "max_steps": "iterations", "num_steps": "iterations", "max_iters": "iterations", "iters": "iterations", "kimg": "images",
    "z_dim": "prior.dim", "nz": "prior.dim", "latent_dim": "prior.dim", "latent_size": "prior.dim", "noise_dim": "prior.dim",
    "n_critic": "k", "critic_iters": "k", "d_steps": "k", "n_dis": "k", "gpus": "trainer.devices", "gpu": "trainer",
    "device": "trainer", "devices": "trainer.devices", "precision": "trainer.precision", "dataset": "data", "ema": "ema_decay",
    "wandb": "logger", "out": "runs", "outdir": "runs", "output_dir": "runs", "out_dir": "runs", "workdir": "runs",
    "gp_weight": "penalty.gradient_penalty.weight", "lambda_gp": "penalty.gradient_penalty.weight", "gamma": "penalty.r1.gamma",
    "net": "model", "network": "model", "arch": "model", "image_size": "shape", "resolution": "shape", "random_seed": "seed",
    "checkpoint_every": "checkpoint.every", "save_every": "checkpoint.every", "log_interval": "log_every",
    "generator": "model.G", "discriminator": "model.D", "critic": "model.D", "objective_loss": "loss", "num_threads": "threads",
}  # fmt: skip


def meant(key: str, known: Iterable[str], conf: Path) -> str:
    """The end of a sentence about an unknown key of the top level: a close one, ganlab's word for it, or where it lies."""
    known = sorted(known)
    if close := difflib.get_close_matches(key, known, n=1, cutoff=0.75):
        return f": did you mean {close[0]}?"
    word = key.lower().replace("-", "_")
    if (there := ELSEWHERE.get(word)) is not None:
        return f": did you mean {there}?"
    if there := _below(key, conf):
        return f": did you mean {there}?"
    if close := difflib.get_close_matches(key, [*known, *ELSEWHERE], n=1, cutoff=0.6):
        return f": did you mean {ELSEWHERE.get(close[0], close[0])}?"
    return f"; `{program()} --help` lists what there is"


def _below(key: str, conf: Path) -> str | None:
    """`width` is a key of conf/model, as model.G.width."""
    for file in sorted(conf.glob("*/*.yaml")):
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        if file.parent.name in ("hydra", "experiment") or "@package" in "".join(lines[:1]):
            continue
        outer = ""
        for line in lines:
            if match := re.match(r"(\s*)(\w+):", line):
                if not match[1]:
                    outer = match[2]
                if match[2] == key:
                    return f"{file.parent.name}.{f'{outer}.' if match[1] else ''}{key}"
    return None
