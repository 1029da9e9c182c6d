"""Run directories that an older ganlab has made, read as if today's had: up to commit f81876f, penalties had no names, parts
other places, and D no two halves; the mean of a score over iterations was its area until later."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganlab.files.saved import read_plain

MOVED = {  # of ganlab's files
    "losses": "game.losses", "fdivergences": "game.fdivergences", "penalties": "game.terms", "augment": "game.augment",
    "priors": "game.priors", "schedules": "game.schedules", "updates": "game.updates", "pictures": "figures.pictures",
    "instruments.line": "theory.exact", "instruments.estimate": "theory.estimate", "instruments.dirac": "theory.trajectory",
    "updates.Consensus": "game.consensus.Consensus",
}  # fmt: skip
ORDERS = {"alternating": {"_target_": "ganlab.game.updates.Alternating", "g_steps": 1},
          "simultaneous": {"_target_": "ganlab.game.updates.Simultaneous"}}  # fmt: skip
NAMES = {"R1": "r1", "GradientPenalty": "gradient_penalty", "WeightClipping": "weight_clipping"}


NORMED, SLOPE = "ganlab.networks.dcgan.Discriminator", "ganlab.game.terms.GradientPenalty"
PICTURES = {"_target_": "ganlab.data.datasets.images", "background": "white", "max_megapixels": 64.0}


def migrated(config: dict[str, Any]) -> dict[str, Any]:
    """A config as today's ganlab would have written it; one of today's is left as it is."""
    data = config.get("data")
    if isinstance(data, Mapping) and data.get("_target_") == PICTURES["_target_"]:
        config = {**config, "data": {**data, **{key: data.get(key, value) for key, value in PICTURES.items()}}}
    if "penalty" not in config:
        return config
    config = {"adjust": {}, "average": {"_target_": "ganlab.game.averages.Decay"}, **config}
    return _laid_out(_normed(config if "objective" in config else _in_parts(config)))


def _laid_out(config: dict[str, Any]) -> dict[str, Any]:
    """dcgan's maps lay channel by channel; now its nets are told how."""
    model = config.get("model")
    if not isinstance(model, Mapping):
        return config
    told = {player: {**model[player], "channels_last": False} for player in _untold(model)}
    return {**config, "model": {**model, **told}} if told else config


def _untold(model: Mapping[str, Any]) -> list[str]:
    nodes = {player: model.get(player) for player in ("G", "D")}
    return [player for player, node in nodes.items() if isinstance(node, Mapping) and "channels_last" not in node
            and str(node.get("_target_")).startswith("ganlab.networks.dcgan.")]  # fmt: skip


def _normed(config: dict[str, Any]) -> dict[str, Any]:
    """dcgan's D had BatchNorm under a gradient penalty, too; now it is told a norm there."""
    model, penalty = config.get("model"), config.get("penalty")
    D = model.get("D") if isinstance(model, Mapping) else None
    nodes = [penalty, *penalty.values()] if isinstance(penalty, Mapping) else []  # one, or by names
    slope = any(isinstance(node, Mapping) and node.get("_target_") == SLOPE for node in nodes)
    if slope and isinstance(D, Mapping) and D.get("_target_") == NORMED and "norm" not in D:
        return {**config, "model": {**model, "D": {**D, "norm": "batch"}}}  # type: ignore[dict-item]
    return config


def _in_parts(config: dict[str, Any]) -> dict[str, Any]:
    """Of before objectives."""
    config = {**config, "objective": {"_target_": "ganlab.game.objectives.Adversarial"}}
    config["updates"] = _order(config.get("updates"))
    config = _moved(config)
    config["penalty"] = _named(config["penalty"])
    config.setdefault("ema_ramp", 10.0)
    if isinstance(config.get("model"), dict):
        config["model"] = {"pack": 1, **config["model"]}
    return config


def _order(node: Any) -> Any:
    path = str(node.get("path", "")) if isinstance(node, Mapping) else ""
    return ORDERS.get(path.removeprefix("ganlab.updates."), node)


def _moved(node: Any) -> Any:
    """The tree with every `_target_` where it is now."""
    if isinstance(node, Mapping):
        return {key: target(value) if key == "_target_" else _moved(value) for key, value in node.items()}
    return [_moved(part) for part in node] if isinstance(node, list) else node


def target(path: Any) -> Any:
    """Where a part of ganlab's lies now."""
    for old, new in sorted(MOVED.items(), key=lambda pair: -len(pair[0])):
        if isinstance(path, str) and re.match(rf"ganlab\.{re.escape(old)}(\.|$)", path):
            return f"ganlab.{new}{path[len(f'ganlab.{old}') :]}"
    return path


def _named(node: Any) -> Any:
    """A single penalty, under the name that its file in `conf/` has."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        return node
    kind = str(node["_target_"]).rpartition(".")[2]
    if kind == "Penalty":
        return {}
    return {NAMES.get(kind, kind.lower()): {**node, **({"every": 1} if kind in NAMES else {})}}


def scores(kept: Mapping[str, Any]) -> dict[str, Any]:
    """What a result or a checkpoint keeps of scores: their mean over iterations was called their area."""
    return {"mean" if key == "area" else key: value for key, value in kept.items()}


def sought(search: dict[str, Any] | None) -> dict[str, Any] | None:
    """What a search was for, under the same name."""
    return {**search, "value": "mean"} if search and search.get("value") == "area" else search


def overrides(lines: list[str], config_file: Path) -> list[str]:
    """The lines of a run's `overrides.yaml`, as they are written now; the config is the one beside it."""
    if not config_file.is_file():
        return lines
    config = read_plain(config_file)
    if not isinstance(config, dict):
        return lines
    if _normed(_moved(config)) != _moved(config):
        lines = [*lines, "+model.D.norm=batch"]
    model = config.get("model")
    if isinstance(model, Mapping):
        lines = [*lines, *(f"++model.{player}.channels_last=false" for player in _untold(model))]
    penalty = config.get("penalty")
    named = _named(penalty)
    if named is penalty or not named:
        return lines
    return [re.sub(r"^(\+*)penalty\.(?=\w+=)", rf"\1penalty.{next(iter(named))}.", line) for line in lines]


def weights(state: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors of a game under the names that they have now: `D.net.5.weight` was of a D in one piece, whose last linear
    layer is its head."""
    places = [int(match[1]) for name in state if (match := re.match(r"D\.net\.(\d+)\.", name))]
    last = rf"^D\.net\.{max(places, default=0)}\."
    return {re.sub(r"^D\.net\.", "D.trunk.", re.sub(last, "D.head.linear.", name)): v for name, v in state.items()}
