"""Which training images a sample is most like, in the space of features: does G copy?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.progress import track
from torch import Tensor

from ganlab.errors import UserError
from ganlab.figures import pictures
from ganlab.pixels import to_float
from ganlab.types import Extractor

TEXT = 12  # pixels: the font
LINE = TEXT + 5
PADDING = 2  # of pictures.tiled


@dataclass(frozen=True)
class Neighbours:
    """The k training images that n samples are nearest to, the nearest first."""

    index: Tensor  # [n, k] long: into the training images
    distance: Tensor  # [n, k] between features


@torch.no_grad()
def nearest(
    samples: Tensor, images: Tensor, extractor: Extractor, k: int = 5, chunk: int = 1000, progress: bool = False
) -> Neighbours:
    """For each of the samples [n, C, H, W] in [-1, 1] the k nearest images, of uint8 [N, C, H, W], by the Euclidean distance of
    the features. Looks at `chunk` images at a time; of equally near ones the first is first. Raises UserError if k > N.
    """
    if not 1 <= k <= len(images):
        raise UserError(f"k = {k} nearest of {len(images):,} images cannot be had: set k between 1 and {len(images)}")
    wanted = extractor(samples).features  # [n, d]
    n, device = len(samples), wanted.device
    best = Neighbours(torch.zeros(n, 0, dtype=torch.long, device=device), torch.zeros(n, 0, dtype=wanted.dtype, device=device))
    for first in _tracked(range(0, len(images), chunk), progress):
        seen = extractor(to_float(images[first : first + chunk].to(device))).features  # [chunk, d]
        # by matrix products, the distance of a copy would not be 0
        distance = torch.cdist(wanted, seen, compute_mode="donot_use_mm_for_euclid_dist")  # [n, chunk]
        index = torch.arange(first, first + len(seen), device=device).expand(n, -1)
        index, distance = torch.cat([best.index, index], 1), torch.cat([best.distance, distance], 1)
        order = distance.argsort(dim=1, stable=True)[:, :k]
        best = Neighbours(index.gather(1, order), distance.gather(1, order))
    return best


def picture(samples: Tensor, images: Tensor, neighbours: Neighbours) -> Image.Image:
    """A row for each sample [n, C, H, W] in [-1, 1]: the sample, framed, and its neighbours among the images, uint8
    [N, C, H, W], with their distances below. The first line says which is which."""
    font = ImageFont.load_default(TEXT)
    k = neighbours.index.shape[1]
    rows = []
    for sample, index in zip(samples.cpu(), neighbours.index.cpu(), strict=True):
        near = to_float(images[index.to(images.device)].cpu())  # [k, C, H, W]
        rows.append(pictures.tiled(torch.cat([sample[None].float(), near]), columns=k + 1))
    width, height = rows[0].size
    scale = height // (samples.shape[2] + 2 * PADDING)
    step = (samples.shape[3] + PADDING) * scale  # from one image of a row to the next
    page = Image.new("RGB", (width, LINE + len(rows) * (height + LINE)), "white")
    draw = ImageDraw.Draw(page)
    title, second = "sample", step + PADDING * scale
    draw.text((PADDING * scale, 0), title, pictures.SAMPLES, font)
    after = max(second, PADDING * scale + round(font.getlength(title)) + TEXT)  # a small image is narrower than the word
    draw.text((after, 0), "nearest images of the data, and distance", pictures.DATA, font)
    for i, row in enumerate(rows):
        top = LINE + i * (height + LINE)
        page.paste(row, (0, top))
        frame = (0, top, step + PADDING * scale - 1, top + height - 1)
        draw.rectangle(frame, outline=pictures.SAMPLES, width=PADDING * scale)
        for j, distance in enumerate(neighbours.distance[i].tolist()):
            draw.text((second + j * step, top + height), f"{distance:.3g}", "black", font)
    return page


def _tracked(parts: range, progress: bool) -> Iterable[int]:
    console = Console(stderr=True)
    return track(parts, "looking at the data", console=console, disable=not progress or console.is_jupyter, transient=True)
