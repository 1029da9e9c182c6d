"""Which part of a data set: `train`, `train:0:50000`, `train:50000:51000+test`, `train:90%:`. That is what TensorFlow Datasets
writes as train[90%:], without the brackets, which Hydra's command line would want quoted."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import NamedTuple

import torch

from ganlab.data.images import Images
from ganlab.errors import UserError

_PART = re.compile(r"(?P<name>\w+)(:(?P<first>\d+%?)?:(?P<last>\d+%?)?)?")


class Part(NamedTuple):
    name: str
    first: str | None
    last: str | None

    def of(self, N: int) -> slice:
        """The examples it means in a split of N; raises UserError where there are fewer, or none."""
        first, last = (_place(text, N, default) for text, default in ((self.first, 0), (self.last, N)))
        if not first < last <= N:
            raise UserError(
                f"data.split: {self.name}:{self.first or ''}:{self.last or ''} is empty or beyond the {N:,} there are"
            )
        return slice(first, last)


def parts(split: str, known: Collection[str]) -> list[Part]:
    """Raises UserError for what is not a split, or names one that the data do not have."""
    found = [_PART.fullmatch(text.strip()) for text in split.split("+")]
    if not all(match and match["name"] in known for match in found):
        names = " or ".join(known)
        raise UserError(f"data.split={split} is not a split: use {names}, a part as train:0:50000, several joined by +")
    return [Part(match["name"], match["first"], match["last"]) for match in found if match]


def choose(split: str, known: Collection[str], load: Callable[[str], Images]) -> Images:
    """The images that a split means, in its order; `load` opens a whole split by its name. A single part is not copied."""
    chosen = []
    for part in parts(split, known):
        whole = load(part.name)
        where = part.of(len(whole))
        chosen.append(Images(whole.x[where], whole.y[where], whole.names, whole.flip, whole.origin))
    if len(chosen) == 1:
        return chosen[0]
    x, y = torch.cat([images.x for images in chosen]), torch.cat([images.y for images in chosen])
    origin = dict.fromkeys(find for images in chosen for find in images.origin)
    return Images(x, y, chosen[0].names, chosen[0].flip, [*origin])


def overlap(a: str, b: str, known: Collection[str]) -> bool:
    """Whether two splits have an example in common. Places in per cent and in numbers are not compared: they are taken to."""

    def among(part: Part, other: Part) -> bool:
        units = {text.endswith("%") for text in (part.first, part.last, other.first, other.last) if text}
        N = 100 if units == {True} else 2**62
        if len(units) > 1 or part.name != other.name:
            return part.name == other.name
        (a, b), (c, d) = ((_place(p.first, N, 0), _place(p.last, N, N)) for p in (part, other))
        return max(a, c) < min(b, d)

    return any(among(part, other) for part in parts(a, known) for other in parts(b, known))


def _place(text: str | None, N: int, default: int) -> int:
    if text is None:
        return default
    return N * int(text[:-1]) // 100 if text.endswith("%") else int(text)
