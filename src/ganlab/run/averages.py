"""The average of G that a config asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganlab.game.averages import Average
from ganlab.run.config import build_as, takes


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
