"""Parts that a config describes in more than one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganlab.game.averages import Average
from ganlab.run.config import build_as, takes
from ganlab.settings import Settings
from ganlab.types import Loss


def average_of(config: Mapping[str, Any]) -> Average:
    """How G is averaged, of a config: what the node does not say itself is in the keys of the game. Raises UserError."""
    known = {
        "decay": config["ema_decay"],
        "ramp": config["ema_ramp"],
        "per_iteration": config["k"] * config["batch_size"],
    }
    node = config["average"]
    asked = {name: known[name] for name in known if name not in node and takes(node, "average", name)}
    average: Average = build_as(Average, node, "average", **asked)
    return average


def losses_of(settings: Settings) -> dict[str, Loss]:
    """The loss, under "", and what each adjustment by its name makes of the one before: the last is what is played."""
    losses: dict[str, Loss] = {"": build_as(Loss, settings.loss, "loss")}
    for name, node in settings.adjust.items():
        losses[name] = build_as(Loss, node, f"adjust.{name}", loss=losses[next(reversed(losses))])
    return losses
