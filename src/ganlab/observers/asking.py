"""What a picture asks of a G that is told y, or of one whose z has a code in it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ganlab.figures.pictures import ByClass, Picture
from ganlab.game.priors import Coded
from ganlab.types import Prior


class Asked(NamedTuple):
    z: Tensor  # [n, Z]
    y: Tensor  # [n]
    shown: dict[str, Tensor]  # what the picture is told of it


def ask(picture: Picture, prior: Prior, classes: int, z: Tensor, y: Tensor) -> Asked:
    """z [n, Z] and labels y [n] as the data have them, as the picture wants them. `classes` are those that G is told of, 1 for
    none: what is asked for is then the category of z, if there is one."""
    code = prior if isinstance(prior, Coded) else None
    kinds = classes if classes > 1 else code.classes if code else 1
    if kinds == 1 or not isinstance(picture, ByClass):
        return Asked(z, y, {})
    rows = picture.rows(kinds)
    if rows is not None:
        y, which = (part.to(z.device) for part in rows)
        z = z[which] if code is None else code.steered(z[which], y)
    elif code is not None and classes == 1:
        y = code.code(z)[0].argmax(1)
    return Asked(z, y, {"y": y})
