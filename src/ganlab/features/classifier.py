"""A small classifier of the data themselves as the eye of the scores: what `ganlab features` makes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from ganlab.errors import UserError
from ganlab.features.extractor import Frozen
from ganlab.files.checkpoint import problem

FORMAT = 1  # of the file; raise it when `Net` changes
SMALLEST = 8  # H and W


class Net(nn.Module):
    """x [n, C, H, W] in [-1, 1] -> features [n, dims] >= 0 and logits [n, K].

    Blocks of convolution, BatchNorm and ReLU, the first at full size and each further one at half of it, with twice the
    channels, down to 3 ... 5 pixels; then the mean over the pixels, a layer of `dims`, and the classes.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, width: int, dims: int) -> None:
        super().__init__()
        C, side = shape[0], min(shape[1:])
        channels = [width]
        while side >= 6:
            side //= 2
            channels.append(min(2 * channels[-1], 8 * width))
        self.blocks = nn.ModuleList(_Block(a, b) for a, b in zip([C, *channels], channels, strict=False))
        self.features = nn.Linear(channels[-1], dims)
        self.logits = nn.Linear(dims, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for i, block in enumerate(self.blocks):
            x = block(max_pool2d(x, 2) if i else x)
        features = self.features(x.mean((2, 3))).relu()  # [n, dims]
        return features, self.logits(features)


class _Block(nn.Sequential):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class Classifier(Frozen):
    """A trained `Net` as an Extractor, for images of the shape that it was trained on; others are not resized but refused.

    `about` is all that its file says of it but the weights (see `training.train_classifier`).
    """

    def __init__(self, net: Net, about: dict[str, Any], path: Path) -> None:
        self.about, self.path, self.shape = about, path, tuple(about["shape"])
        card = {"name": f"classifier of {about['name']}", "accuracy": about["accuracy"], "held_out": about["held_out"],
                "data": about["data"], "size": list(self.shape), "resize": "none"}  # fmt: skip
        net.to(memory_format=torch.channels_last)  # a third faster on a CPU
        super().__init__(net, about["dims"], len(about["names"]), 500, card)

    def check(self, shape: tuple[int, ...]) -> None:
        if shape != self.shape:
            raise UserError(
                f"{self.path} was trained on images of shape {list(self.shape)} but is given {list(shape)}: make one for these "
                "with `ganlab features data=NAME`"
            )


def load(path: str | None) -> Classifier:
    """The classifier in a file of `ganlab features`. All who name the same file share one net, and what it saw last.

    Raises UserError where the file is missing, damaged or something else.
    """
    if path is None:
        raise UserError("there is no classifier of these data: give features=FILE, made by `ganlab features` of images")
    file = Path(path).expanduser()
    try:
        stat = file.stat()
    except OSError as error:
        named = file.parent.name == "features"  # as `ganlab features` names them, by the data
        make = f"ganlab features data={file.stem}" if named else f"ganlab features data=... --out {file}"
        raise UserError(f"{file} is missing ({error.strerror}): make it with `{make}`") from error
    return _open(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _open(path: Path, mtime: int, size: int) -> Classifier:
    again = f"remove it and make it again with `ganlab features data={path.stem}`"
    if problem(path, needed=()):
        raise UserError(f"{path} is damaged or no classifier: {again}")
    try:
        file = torch.load(path, map_location="cpu", weights_only=True)
        about = {key: value for key, value in file.items() if key != "state"}
        if about["format"] != FORMAT:
            raise UserError(f"{path} has format {about['format']} and this ganlab reads {FORMAT}: {again}")
        net = Net(tuple(about["shape"]), len(about["names"]), about["width"], about["dims"])
        net.load_state_dict(file["state"])
        return Classifier(net, about, path)
    except (RuntimeError, UnpicklingError, KeyError, TypeError, AttributeError, ValueError, EOFError) as error:
        raise UserError(f"{path} is no classifier of `ganlab features`: {again}") from error
