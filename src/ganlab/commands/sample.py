"""Samples from any run directory: single files, a picture of them together, and a walk through the prior."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ganlab.commands.average import synthesised
from ganlab.errors import UserError
from ganlab.figures import pictures
from ganlab.files.checkpoint import read_checkpoint
from ganlab.files.run import RunDirectory, checkpoints
from ganlab.pixels import to_uint8
from ganlab.random import generator_of
from ganlab.run.config import build, build_as
from ganlab.run.gate import refuse_foreign_code, value_at
from ganlab.types import Prior, Source

log = logging.getLogger(__name__)

WALKS, STEPS, FINE = 8, 10, 200  # of an interpolation: so many walks, of so many images or points


def sample(
    run: RunDirectory, n: int, seed: int, checkpoint: Path | None, out: Path | None, trust: bool, ema_std: float | None = None
) -> Path:
    """Write n samples of the run's G_ema, or of the power average of width ema_std, into a folder, which is returned. Raises
    UserError."""
    if n < 1:
        raise UserError(f"--n must be >= 1, got {n}")
    config, path = run.config, checkpoint or checkpoint_of(run, None)
    G, prior = generator(config, path, trust, ema_std=ema_std)
    out = out or run.path / "generated" / f"{path.stem}-seed{seed}{f'-std{ema_std:g}' if ema_std is not None else ''}"
    out.mkdir(parents=True, exist_ok=True)
    x = _generate(G, prior.sample(n, generator_of(seed, "sample")), labels(config, n, seed))
    ends = prior.sample(2 * WALKS, generator_of(seed, "interpolation")).split(WALKS)
    share = torch.linspace(0, 1, STEPS if x.dim() == 4 else FINE)
    walk = _generate(
        G,
        torch.cat([prior.interpolate(a, b, share) for a, b in zip(*ends, strict=True)]),
        labels(config, WALKS, seed).repeat_interleave(len(share)),
    )  # [WALKS * len(share), *S]
    if x.dim() == 4:
        for i, image in enumerate(to_uint8(x).permute(0, 2, 3, 1).numpy()):
            Image.fromarray(image.squeeze()).save(out / f"{i:05d}.png")
        pictures.tiled(x, columns=max(1, round(n**0.5))).save(out / "grid.png")
        pictures.tiled(walk, columns=STEPS).save(out / "interpolation.png")
    else:
        np.savetxt(
            out / "samples.csv", x.numpy(), delimiter=",", header=",".join(f"x{i + 1}" for i in range(x.shape[1])), comments=""
        )
        draw = pictures.Points(build(config["data"], "data"), n)
        draw.draw(x, f"{n:,} samples").save(out / "samples.png")
        draw.draw(walk, f"{WALKS} walks through the prior", walks=WALKS).save(out / "interpolation.png")
    return out


def generator(
    config: dict[str, Any], checkpoint: Path, trust: bool = False, net: str = "G_ema", ema_std: float | None = None
) -> tuple[nn.Module, Prior]:
    """G_ema, or G itself, or its power average of width ema_std, in evaluation mode on the CPU, and its prior. A run directory
    may come from anyone: what its config names is only built if it is ganlab's own, or trusted."""
    refuse_foreign_code({key: value_at(config, key) for key in ("model.G", "prior", "data")}, trust)
    G: nn.Module = build(config["model"]["G"], "model.G")
    try:
        state = read_checkpoint(checkpoint)["state_dict"]
        if ema_std is None:
            G.load_state_dict({name.removeprefix(f"{net}."): v for name, v in state.items() if name.startswith(f"{net}.")})
        else:
            weights = [name for name, _ in G.named_parameters()]
            G.load_state_dict(synthesised(config, checkpoint, state, weights, ema_std))
    except (OSError, RuntimeError, KeyError, TypeError) as error:
        raise UserError(f"{checkpoint} does not fit its config.yaml or is damaged: {str(error).splitlines()[0]}") from error
    return G.eval(), build(config["prior"], "prior")


def labels(config: dict[str, Any], n: int, seed: int) -> Tensor:
    """y [n] for a G that is told it: as the data have them, or, where the data are not here, all classes alike."""
    if "classes" not in config["model"]["G"]:
        return torch.zeros(n, dtype=torch.long)
    try:
        source: Source = build_as(Source, config["data"], "data")
        return source.sample(n, generator_of(seed, "sample labels"))[1]
    except UserError as error:
        log.warning("the data are not here (%s): labels are drawn from all classes alike", error)
        return torch.arange(n) % int(config["model"]["G"]["classes"])


@torch.no_grad()
def _generate(G: nn.Module, z: Tensor, y: Tensor) -> Tensor:
    return torch.cat([G(*part) for part in zip(z.split(500), y.split(500), strict=True)])


def checkpoint_of(run: RunDirectory, name: str | None) -> Path:
    """The checkpoint that a user means by a path or by its name within the run; None is the newest. Raises UserError."""
    if name is None:
        if (newest := run.newest_checkpoint()) is not None:
            return newest
        every = run.config["checkpoint"]["every"]
        raise UserError(f"{run.path} has no checkpoint yet: look again after checkpoint.every={every}")
    for path in (Path(name), run.checkpoints / name):
        if path.is_file():
            return path
    known = ", ".join(path.name for path in checkpoints(run.checkpoints))
    raise UserError(f"--checkpoint {name}: there is no such file; {run.checkpoints} has {known or 'none'}")
