"""Samples from any run directory: single files, a picture of them together, and a walk through the prior."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ganlab.commands.average import synthesised
from ganlab.commands.judging import WithD
from ganlab.commands.truncation import truncated
from ganlab.commands.walk import walk_gif
from ganlab.errors import UserError
from ganlab.figures import pictures
from ganlab.figures.caption import captioned, captioned_by
from ganlab.files.atomic import write_whole
from ganlab.files.checkpoint import iteration_of, read_checkpoint
from ganlab.files.result import without_nan
from ganlab.files.run import RunDirectory, missing
from ganlab.files.status import Status
from ganlab.game.priors import Coded
from ganlab.pixels import to_uint8
from ganlab.precision import computed_in
from ganlab.random import generator_of
from ganlab.run.config import build, build_as, classes_told
from ganlab.run.gate import refuse_foreign_code, value_at
from ganlab.run.identity import located
from ganlab.run.nets import as_configured, with_terms, with_weights
from ganlab.run.parts import average_of
from ganlab.types import Prior, Source

log = logging.getLogger(__name__)

WALKS, STEPS, FINE = 8, 10, 200  # of an interpolation: so many walks, of so many images or points
COLUMNS = 8  # of a grid that has a row for each class


def sample(
    run: RunDirectory,
    n: int,
    seed: int,
    checkpoint: Path | None,
    out: Path | None,
    trust: bool,
    ema_std: float | None = None,
    classes: Sequence[int] | None = None,
    with_D: str | None = None,
    overrides: Sequence[str] = (),
    truncate: float | None = None,
    walk: int | None = None,
) -> Path:
    """Write n samples of the run's G_ema, or of the power average of width ema_std, into a folder, which is returned; without
    `out` it is the run's own, from which what a call for more of them had left is removed. Where G is told y, or z has a code,
    `classes` are asked for by turns; None is as the data have them. `with_D`: a choice of conf/sampling, changed by overrides,
    by which D has a say in it. `truncate`: psi of `truncated`. `walk`: also walk.gif, of so many frames. All is computed in
    what the run was. Raises UserError."""
    if n < 1:
        raise UserError(f"--n must be >= 1, got {n}")
    if walk is not None and walk < 2:
        raise UserError(f"--walk {walk}: a film needs 2 frames at least")
    if truncate is not None and with_D is not None:
        raise UserError("--truncate and --with-D: D is calibrated on samples of the whole prior; leave one out")
    (config, rest), path = located(run, overrides), checkpoint or checkpoint_of(run, None)
    with computed_in(precision_of(config)):
        return _sampled(run, config, path, n, seed, out, trust, ema_std, classes, with_D, rest, truncate, walk)


def precision_of(config: Mapping[str, Any]) -> object:
    """What a run computes in, in Lightning's words."""
    return config["trainer"].get("precision")


def _sampled(
    run: RunDirectory, config: dict[str, Any], path: Path, n: int, seed: int, out: Path | None, trust: bool,
    ema_std: float | None, classes: Sequence[int] | None, with_D: str | None, rest: Sequence[str], truncate: float | None,
    frames: int | None,
) -> Path:  # fmt: skip
    if with_D is not None and classes is not None:
        raise UserError("--classes and --with-D: D chooses among samples of all classes, as the data have them; leave one out")
    G, prior = generator(config, path, trust, ema_std=ema_std)
    judge = WithD.of(run, config, path, G, prior, with_D, rest, seed, trust) if with_D is not None else None
    if judge is None and rest:
        raise UserError(f"{rest[0]}: nothing but how D has a say in samples can be changed: add --with-D mh")
    code = prior if isinstance(prior, Coded) else None
    kinds = kinds_of(config, prior)
    if truncate is not None:
        G, prior = truncated(G, prior, truncate, classes_told(config["model"]["G"]))
    if judge is not None:
        z, y = judge.draw(n, generator_of(seed, "sample"))
        if code and not classes_told(config["model"]["G"]):
            y = code.code(z)[0].argmax(1)
    else:
        z, y = asked_for(config, prior, n, seed, classes)
    how = f"{f'-std{ema_std:g}' if ema_std is not None else ''}{f'-{with_D}' if with_D is not None else ''}"
    how += f"-psi{truncate:g}" if truncate is not None else ""
    how += f"-classes{','.join(map(str, classes))}" if classes is not None else ""
    own = run.path / "generated" / f"{path.stem}-seed{seed}{how}"
    out = out or own
    out.mkdir(parents=True, exist_ok=True)
    for file in own.glob("?????*.png") if out == own else ():  # of a call that asked for more
        if re.fullmatch(r"\d{5,}(-class\d+)?\.png", file.name):
            file.unlink()
    if judge is not None:
        write_whole(out / "with_D.json", json.dumps(without_nan(judge.about), indent=2, allow_nan=False) + "\n")
    x = generate(G, z, y)
    walk = walked(config, G, prior, WALKS, STEPS if x.dim() == 4 else FINE, seed).flatten(0, 1)
    which = "" if ema_std is None else f"average of G of width {ema_std:g}"
    caption = captioned_by(iteration_of(path), average_of(config).on, which)
    caption += f", psi = {truncate:g}" if truncate is not None else ""
    draw = None if x.dim() == 4 else pictures.Points(build(config["data"], "data"), n)
    if draw is None:
        for i, image in enumerate(to_uint8(x).permute(0, 2, 3, 1).numpy()):
            Image.fromarray(image.squeeze()).save(out / (f"{i:05d}-class{y[i]}.png" if kinds > 1 else f"{i:05d}.png"))
        if kinds > 1 and judge is None:
            shown = torch.tensor(classes or range(kinds))[: pictures.MOST_ROWS]
            rows = shown.repeat_interleave(columns := min(n, COLUMNS))
            again = z[:columns].repeat(len(shown), 1)
            of_class = generate(G, code.steered(again, rows) if code else again, rows)
            grid = pictures.labelled_rows(of_class, columns, [str(label) for label in shown.tolist()])
        else:
            grid = pictures.tiled(x, columns=max(1, round(n**0.5)))
        captioned(grid, caption).save(out / "grid.png")
        pictures.tiled(walk, columns=STEPS).save(out / "interpolation.png")
    else:
        columns_of = [f"x{i + 1}" for i in range(x.shape[1])] + (["y"] if kinds > 1 else [])
        table = torch.cat([x.double(), y[:, None]], 1) if kinds > 1 else x
        np.savetxt(out / "samples.csv", table.numpy(), delimiter=",", header=",".join(columns_of), comments="")
        draw.draw(x, f"{n:,} samples: {caption}", y=y if kinds > 1 else None).save(out / "samples.png")
        draw.draw(walk, f"{WALKS} walks through the prior: {caption}", walks=WALKS).save(out / "interpolation.png")
    if frames is not None:
        every = classes or range(kinds) if kinds > 1 else ()
        walk_gif(partial(generate, G), prior, frames, seed, every, caption, draw, out / "walk.gif")
    return out


def kinds_of(config: dict[str, Any], prior: Prior) -> int:
    """How many classes G can be asked for; 1 where it is told none."""
    return classes_told(config["model"]["G"]) or (prior.classes if isinstance(prior, Coded) else 1)


def asked_for(config: dict[str, Any], prior: Prior, n: int, seed: int, classes: Sequence[int] | None) -> tuple[Tensor, Tensor]:
    """z [n, d] and y [n], of these classes by turns; None is as the data have them. Raises UserError for one that there is
    not."""
    kinds, code = kinds_of(config, prior), prior if isinstance(prior, Coded) else None
    if classes is not None and (bad := [label for label in classes if not 0 <= label < kinds or kinds == 1]):
        known = f"give numbers from 0 to {kinds - 1}" if kinds > 1 else "this G is not told any: leave it out"
        raise UserError(f"--classes {bad[0]}: {known}")
    z, y = prior.sample(n, generator_of(seed, "sample")), labels(config, n, seed)
    if classes is not None:
        y = torch.tensor(classes)[torch.arange(n) % len(classes)]
        z = code.steered(z, y) if code else z
    elif code and not classes_told(config["model"]["G"]):
        y = code.code(z)[0].argmax(1)
    return z, y


def walked(config: dict[str, Any], G: nn.Module, prior: Prior, walks: int, steps: int, seed: int) -> Tensor:
    """Walks through the prior, from one z to another in so many steps: what G makes of them, [walks, steps, *S]."""
    ends = prior.sample(2 * walks, generator_of(seed, "interpolation")).split(walks)
    share = torch.linspace(0, 1, steps)
    z = torch.cat([prior.interpolate(a, b, share) for a, b in zip(*ends, strict=True)])
    return generate(G, z, labels(config, walks, seed).repeat_interleave(steps)).unflatten(0, (walks, steps))


def generator(
    config: dict[str, Any], checkpoint: Path, trust: bool = False, net: str = "G_ema", ema_std: float | None = None
) -> tuple[nn.Module, Prior]:
    """G_ema, or G itself, or its power average of width ema_std, in evaluation mode on the CPU, and its prior. A run directory
    may come from anyone: what its config names is only built if it is ganlab's own, or trusted."""
    refuse_foreign_code({key: value_at(config, key) for key in ("model.G", "prior", "data", "penalty")}, trust)
    G = with_terms(build(config["model"]["G"], "model.G"), config.get("penalty", {}), "G")
    if ema_std is None:
        with_weights(G, net, checkpoint)
    else:
        with as_configured(checkpoint):
            weights, state = [name for name, _ in G.named_parameters()], read_checkpoint(checkpoint)["state_dict"]
            G.load_state_dict(synthesised(config, checkpoint, state, weights, ema_std))
    return G.eval(), build(config["prior"], "prior")


def labels(config: dict[str, Any], n: int, seed: int) -> Tensor:
    """y [n] for a G that is told it: as the data have them, or, where the data are not here, all classes alike."""
    if (kinds := classes_told(config["model"]["G"])) is None:
        return torch.zeros(n, dtype=torch.long)
    try:
        source: Source = build_as(Source, config["data"], "data")
        return source.sample(n, generator_of(seed, "sample labels"))[1]
    except UserError as error:
        log.warning("the data are not here (%s): labels are drawn from all classes alike", error)
        return torch.arange(n) % kinds


@torch.no_grad()
def generate(G: nn.Module, z: Tensor, y: Tensor) -> Tensor:
    """G(z, y), [n, *S]; some hundreds at a time."""
    return torch.cat([G(*part) for part in zip(z.split(500), y.split(500), strict=True)])


def meant_by(path: str, name: str | None) -> tuple[RunDirectory, Path]:
    """The run and the checkpoint that are meant by a run directory and `--checkpoint`, or by a checkpoint, around which its run
    is. Raises UserError."""
    if not path.endswith(".ckpt"):
        run = RunDirectory(path)
        run.config  # noqa: B018  (a wrong path is reported before a wrong checkpoint)
        return run, checkpoint_of(run, name)
    file = Path(path)
    if not file.is_file():
        raise UserError(missing(file, path))
    if name is not None:
        raise UserError(f"{path} and --checkpoint {name} are two checkpoints: give one of them")
    run = RunDirectory((file.resolve() if file.parent.name in ("", "..") else file).parent.parent)
    if not run.config_file.is_file():
        raise UserError(
            f"{path} says no network by itself: leave it in checkpoints/ of its run, beside whose config.yaml it is read"
        )
    return run, file


def checkpoint_of(run: RunDirectory, name: str | None) -> Path:
    """The checkpoint that a user means by a path or by its name within the run; None is the newest. Raises UserError."""
    if name is None:
        if (newest := run.newest_checkpoint()) is not None:
            return newest
        if run.status is not Status.UNFINISHED:
            raise UserError(f"{run.path} has no checkpoint, and is {run.status.value}: train it anew, with checkpoint.every=N")
        every = run.config["checkpoint"]["every"]
        raise UserError(f"{run.path} has no checkpoint yet: look again after checkpoint.every={every}")
    for path in (Path(name), run.checkpoints / name):
        if path.is_file():
            return path
    raise UserError(missing(run.checkpoints / name, f"--checkpoint {name}"))
