"""What a config leaves to others to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ganlab.game.terms import Term
from ganlab.run.config import build_as, takes
from ganlab.settings import Node, Settings
from ganlab.types import Prior, Source


def completed(settings: Settings) -> Settings:
    """The settings with what a network, a part within it or a prior asks for and is not given: shape, z_dim and classes come
    from data and prior; D's norm is over one example where a term wants the slope at one (Gulrajani et al., 2017)."""

    def classes() -> int:
        source: Source = build_as(Source, settings.data, "data")
        return source.classes

    model, prior = settings.model, _filled(settings.prior, "prior", {"classes": classes})
    known: dict[str, Callable[[], Any]] = {
        "shape": lambda: settings.shape,
        "z_dim": lambda: build_as(Prior, prior, "prior").dim,
        "classes": classes,
    }
    separate = any(build_as(Term, node, f"penalty.{name}").separate for name, node in settings.penalty.items())
    of_D = {**known, "norm": lambda: "layer"} if separate else known
    nets = {"G": _filled(model.G, "model.G", known), "D": _filled(model.D, "model.D", of_D)}
    return settings.model_copy(update={"prior": prior, "model": model.model_copy(update=nets)})


def _filled(node: Node, key: str, known: Mapping[str, Callable[[], Any]]) -> Node:
    """The node, and those within it, with what their targets ask for by the names that are known and are not given."""
    parts = {
        name: _filled(part, f"{key}.{name}", known)
        for name, part in node.items()
        if isinstance(part, dict) and "_target_" in part
    }
    asked = [name for name in known if name not in node and takes(node, key, name)]
    return {**node, **parts, **{name: known[name]() for name in asked}}
