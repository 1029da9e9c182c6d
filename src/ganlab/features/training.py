"""How the classifier is trained: a plain loop, the same weights for the same seed on the same machine."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn.functional import cross_entropy

from ganlab.errors import UserError
from ganlab.features.classifier import FORMAT, SMALLEST, Net
from ganlab.features.extractor import sha256
from ganlab.files.atomic import replaced
from ganlab.files.result import commit
from ganlab.pixels import to_float
from ganlab.random import generator_of, seed_of

BATCH = 128
LR = 1e-2  # of Adam, at the peak of the cycle
FEWEST = 10  # images of each class
DIMS = 128  # of the features


def train_classifier(
    x: Tensor,
    y: Tensor,
    names: Sequence[str],
    held_out: tuple[Tensor, Tensor] | None,
    seed: int,
    epochs: int,
    name: str = "images",
    flip: bool = False,
    width: int | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """What `save` writes: the weights of a `Net` of the classes y [N] of images x uint8 [N, C, H, W], and where they are from.

    It is trained where x is. `accuracy` is on the `held_out` images (x, y), or on a random tenth of all that is not trained on.
    With `flip`, a mirrored image is as good as the image. Raises UserError where there is nothing to classify.
    """
    _refuse(x, y, names)
    data, of = sha256({"x": x, "y": y}), "other images"
    if held_out is None:
        order = torch.randperm(len(x), generator=generator_of(0, "held out")).to(x.device)
        tenth = len(x) // 10
        held_out, x, y = (x[order[:tenth]], y[order[:tenth]]), x[order[tenth:]], y[order[tenth:]]
        of = "images, a random tenth of the data"
    width = width or (16 if x.shape[1] == 1 else 24)  # colour photographs are harder than grey glyphs
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "classifier"))
        net = Net(tuple(x.shape[1:]), len(names), width, DIMS).to(x.device)
    net.to(memory_format=torch.channels_last)  # a third faster on a CPU
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True), torch.enable_grad():
        _descend(net, x, y, seed, epochs, flip, progress)
    return {
        "format": FORMAT,
        "name": name,
        "shape": list(x.shape[1:]),
        "names": list(names),
        "width": width,
        "dims": DIMS,
        "accuracy": accuracy(net, *held_out),
        "held_out": f"{len(held_out[0]):,} {of}",
        "data": data,
        "seed": seed,
        "epochs": epochs,
        "flip": flip,
        "ganlab": version("ganlab"),
        "commit": commit(),
        "state": {key: value.cpu().contiguous() for key, value in net.state_dict().items()},
    }


def save(file: dict[str, Any], path: Path) -> None:
    """A reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as whole:
        torch.save(file, whole)


@torch.no_grad()
def accuracy(net: Net, x: Tensor, y: Tensor) -> float:
    """The share of images x uint8 [n, C, H, W] whose class the net finds."""
    net.eval()
    hits = [(net(to_float(a))[1].argmax(1) == b).sum() for a, b in zip(x.split(500), y.split(500), strict=True)]
    return float(torch.stack(hits).sum()) / len(x)


def _descend(net: Net, x: Tensor, y: Tensor, seed: int, epochs: int, flip: bool, progress: bool) -> None:
    N = len(x)
    steps = max(1, N // BATCH)
    adam = torch.optim.Adam(net.parameters(), lr=LR)
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=LR, total_steps=epochs * steps)
    net.train()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not progress or console.is_jupyter) as bar:  # (which needs ipywidgets)
        task = bar.add_task("", total=epochs * steps)
        for epoch in range(epochs):
            generator = generator_of(seed, "classifier", epoch + 1)
            order = torch.randperm(N, generator=generator).to(x.device)
            bar.update(task, description=f"epoch {epoch + 1} of {epochs}")
            for index in order[: steps * BATCH].split(BATCH):
                batch = to_float(augmented(x[index], generator, flip))
                loss = cross_entropy(net(batch)[1], y[index])
                adam.zero_grad()
                loss.backward()
                adam.step()
                cycle.step()
                bar.advance(task)


def augmented(x: Tensor, generator: torch.Generator, flip: bool) -> Tensor:
    """x [n, C, H, W], each image moved by up to a twelfth of its size in either direction and mirrored at the border that moves
    in; with `flip`, half of them left to right as well."""
    rows, columns = (_moved(len(x), size, generator).to(x.device) for size in x.shape[2:])  # [n, H], [n, W]
    if flip:
        heads = torch.rand(len(x), generator=generator) < 0.5
        columns = torch.where(heads[:, None].to(x.device), columns.flip(1), columns)
    each = torch.arange(len(x), device=x.device)[:, None, None]
    return x.movedim(1, 3)[each, rows[:, :, None], columns[:, None, :]].movedim(3, 1)  # in memory, the channels are last


def _moved(n: int, size: int, generator: torch.Generator) -> Tensor:
    """[n, size]: from where each pixel of a line is taken."""
    most = max(1, size // 12)
    shift = torch.randint(-most, most + 1, (n, 1), generator=generator)
    place = (torch.arange(size) + shift).abs()
    return size - 1 - (size - 1 - place).abs()


def _refuse(x: Tensor, y: Tensor, names: Sequence[str]) -> None:
    if x.dim() != 4 or x.shape[1] not in (1, 3) or min(x.shape[2:]) < SMALLEST:
        raise UserError(
            f"a classifier needs images (C, H, W) with C = 1 or 3 and H, W >= {SMALLEST} but these have {list(x.shape[1:])}: "
            "give another shape"
        )
    if len(names) < 2:
        raise UserError(
            f"a classifier needs two classes or more but all {len(x):,} images are of one ({', '.join(names) or 'unnamed'}): "
            "sort them into folders by class, or give data with labels"
        )
    count = y.bincount(minlength=len(names)).tolist()
    fewest = min(count)
    if fewest < FEWEST:
        raise UserError(
            f"a classifier needs {FEWEST} images of each class but there are {fewest} of {names[count.index(fewest)]}: "
            "add more, or leave that class out"
        )
