"""Where the numbers of parts that are not ganlab's have to lie, which their constructors do not say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SHARE = "it has to lie in 0..1, 1 excluded"
OPTIMIZER: dict[str, tuple[Callable[[Any], bool], str]] = {
    "lr": (lambda x: x >= 0, "a learning rate cannot be negative"),
    "momentum": (lambda x: 0 <= x < 1, SHARE),
    "dampening": (lambda x: 0 <= x <= 1, "it has to lie in 0..1"),
    "alpha": (lambda x: 0 <= x < 1, SHARE),
    "rho": (lambda x: 0 <= x < 1, SHARE),
    "eps": (lambda x: x > 0, "it has to be above 0"),
    "weight_decay": (lambda x: x >= 0, "it cannot be negative"),
}
ACTIVATION: dict[str, tuple[Callable[[Any], bool], str]] = {
    "negative_slope": (lambda x: 0 <= x <= 1, "it has to lie in 0..1"),
    "alpha": (lambda x: x > 0, "it has to be above 0"),
    "beta": (lambda x: x > 0, "it has to be above 0"),
}
TRAINER: dict[str, tuple[Callable[[Any], bool], str]] = {
    "num_nodes": (lambda x: x >= 1, "it has to be at least 1"),
    "num_sanity_val_steps": (lambda x: x >= 0, "it cannot be negative"),
}


def out_of_range(target: Any, name: str, value: Any) -> str | None:
    """What is wrong with a number that goes to this target under this name."""
    home = str(getattr(target, "__module__", ""))
    known = {"torch.optim": OPTIMIZER, "torch.nn.modules.activation": ACTIVATION, "pytorch_lightning.trainer": TRAINER}
    ranges = next((table for place, table in known.items() if home.startswith(place)), {})
    if name not in ranges or not isinstance(value, int | float):
        return None
    allowed, otherwise = ranges[name]
    return None if allowed(value) else otherwise
