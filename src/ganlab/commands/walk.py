"""A film of a walk through the prior (`ganlab sample --walk FRAMES`), which ends where it began."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ganlab.figures import pictures
from ganlab.figures.caption import captioned
from ganlab.game.priors import Coded
from ganlab.random import generator_of
from ganlab.types import Prior

LEGS = 4  # from one z to the next, and at last back to the first
BESIDE = 12  # walks side by side
OF_A_CLASS = 6  # of them, where each class has its row
TRAIL = 0.25  # of a leg, behind each point
MILLISECONDS = 80  # a frame


def walk_gif(
    make: Callable[[Tensor, Tensor], Tensor], prior: Prior, frames: int, seed: int, classes: Sequence[int], caption: str,
    draw: pictures.Points | None, out: Path,
) -> None:  # fmt: skip
    """Write what `make`s x of z and y on the way as a GIF. `classes` are asked for side by side, by the same z; of a G that
    is told none it is empty. `draw`s points; images are tiles."""
    shown = torch.tensor([*dict.fromkeys(classes)][: pictures.MOST_ROWS] or [0])
    walks = OF_A_CLASS if classes else BESIDE
    y = shown.repeat_interleave(walks)  # [K walks]
    z = path(prior, walks, frames, seed)[:, torch.arange(walks).repeat(len(shown))].flatten(0, 1)  # [frames K walks, Z]
    every = y.repeat(frames)
    if classes and isinstance(prior, Coded):
        z = prior.steered(z, every)
    x = make(z, every).unflatten(0, (frames, len(y)))  # [frames, K walks, *S]
    if draw is not None:
        pictured = _clouds(x, y if classes else None, caption, draw)
    elif classes:
        names = [str(label) for label in shown.tolist()]
        pictured = [captioned(pictures.labelled_rows(tiles, walks, names), caption) for tiles in x]
    else:
        pictured = [captioned(pictures.tiled(tiles, columns=4), caption).convert("RGB") for tiles in x]
    pictures.gif(pictured, out, MILLISECONDS, rest=MILLISECONDS)


def path(prior: Prior, walks: int, frames: int, seed: int) -> Tensor:
    """z of so many closed walks at evenly spaced moments, [frames, walks, Z]; after the last one comes the first."""
    ends = prior.sample(LEGS * walks, generator_of(seed, "walk")).unflatten(0, (LEGS, walks))
    moment = torch.arange(frames) * LEGS / frames
    legs = [moment[moment.floor() == leg] - leg for leg in range(LEGS)]  # how far on each, in its moments
    each = [torch.cat([prior.interpolate(ends[leg, i], ends[(leg + 1) % LEGS, i], share) for leg, share in enumerate(legs)])
            for i in range(walks)]  # fmt: skip
    return torch.stack(each, 1)


def _clouds(x: Tensor, y: Tensor | None, caption: str, draw: pictures.Points) -> list[Image.Image]:
    """Points [frames, W, d] with where they were before, as lines."""
    frames, walks = x.shape[:2]
    trail = max(2, round(TRAIL * frames / LEGS))
    before = (torch.arange(frames)[:, None] - torch.arange(trail)) % frames  # [frames, trail]
    of = None if y is None else y.repeat_interleave(trail)
    return [draw.draw(x[moments].transpose(0, 1).flatten(0, 1), caption, walks=walks, y=of) for moments in before]
