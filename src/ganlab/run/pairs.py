"""Parts that do not go together: what they say of each other once all are there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.optim import Optimizer

from ganlab.errors import UserError
from ganlab.game.augment import Augment
from ganlab.game.module import GAN
from ganlab.game.updates import Order
from ganlab.settings import Settings


def doubts_of(gan: GAN) -> Iterator[str]:
    """Why this game may go wrong, in sentences that begin with a key; raises UserError for one that must. A part that has
    something to say has a method `doubts(players)`, which yields what it has, or raises ValueError."""
    for key, part in _parts(gan):
        try:
            for doubt in getattr(part, "doubts", lambda play: ())(gan.players):
                yield f"{key}: {doubt}"
        except ValueError as error:
            raise UserError(f"{key}: {error}") from error


def refuse_unfit(settings: Settings, augment: Augment, updates: Order, opt_D: Optimizer) -> None:
    """Raises UserError for what does not fit the numbers of the config, or D's optimizer."""
    if augment.images and len(settings.shape) != 3:
        told = f"augment = {type(augment).__name__} is of images (C, H, W) but shape is {settings.shape}"
        raise UserError(f"{told}: try augment=instance_noise")
    try:
        updates.fits(settings.k, opt_D)
    except ValueError as error:
        raise UserError(f"updates: {error}") from error


def _parts(gan: GAN) -> Iterator[tuple[str, Any]]:
    yield "loss", gan.loss
    yield from ((f"penalty.{name}", term) for name, term in gan.players.terms.items())
    yield from (("augment", gan.augment), ("objective", gan.objective), ("updates", gan.updates))
