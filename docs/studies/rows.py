"""Rows of samples of runs and of data: python docs/studies/rows.py OUT.png RUN[:CHECKPOINT]=CAPTION ..."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.utils import make_grid

from ganlab.commands.sample import checkpoint_of, generator
from ganlab.files.run import RunDirectory
from ganlab.pixels import to_uint8
from ganlab.random import generator_of
from ganlab.run.config import build

N, SCALE, MARGIN = 24, 2, 250  # samples of a row, pixels of one of theirs, pixels for the captions


def row(x: Tensor) -> Image.Image:
    """x [N, C, H, W] in [-1, 1]."""
    pixels = make_grid(to_uint8(x.clamp(-1, 1)), nrow=N, padding=1, pad_value=255).permute(1, 2, 0)
    image = Image.fromarray(pixels.numpy())
    return image.resize((SCALE * image.width, SCALE * image.height), Image.Resampling.NEAREST)


def main(out: str, named: list[str]) -> None:
    rows = []
    for one in named:
        name, _, caption = one.partition("=")
        path, _, checkpoint = name.partition(":")
        run = RunDirectory(path)
        G, prior = generator(run.config, run.checkpoints / checkpoint if checkpoint else checkpoint_of(run, None))
        with torch.no_grad():
            x = G(prior.sample(N, generator_of(0, "rows")), torch.zeros(N, dtype=torch.long))
        rows.append((caption, row(x)))
    data = build(run.config["data"], "data").sample(N, generator_of(0, "rows"))[0]
    rows.append(("data", row(data)))
    width, height = rows[0][1].size
    picture = Image.new("RGB", (MARGIN + width, height * len(rows)), "white")
    write = ImageDraw.Draw(picture)
    for i, (caption, image) in enumerate(rows):
        picture.paste(image, (MARGIN, i * height))
        write.text((4, i * height + height // 2 - 7), caption, "black", ImageFont.load_default(13))
    picture.save(Path(out), optimize=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
