"""What a preset, as a model or an experiment, says of a choice that the command line has made otherwise."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Collection

from omegaconf import DictConfig, OmegaConf, open_dict

from ganlab.errors import UserError
from ganlab.game.numbers import BETAS
from ganlab.run.config import parameters_of
from ganlab.run.targets import target_of
from ganlab.run.tree import groups
from ganlab.settings import GAME

BROUGHT = {"average", "loss", "optim", "prior"}  # by a model, which was chosen with it
PLAYED = {*GAME, "condition"} - {"data", "seed"}  # what a note may be about
log = logging.getLogger(__name__)


def leave_out_what_was_replaced(cfg: DictConfig, given: Collection[str]) -> None:
    """Of each group that is among the keys `given` on the line (`average`, of average=power), leave out in place what its parts
    were told for another choice, and the schedules of such numbers; what the line itself gives stays. A net is let off numbers
    alone: a condition that asks it for a part which it cannot have is a mistake."""
    chosen = {*groups()} & {*given}
    for group in sorted((chosen | (BROUGHT if "model" in chosen else set())) & {str(key) for key in cfg}):
        for place in _parts(cfg, group):
            part = OmegaConf.select(cfg, place)
            if (known := _taken_by(part, place)) is not None:
                kind = f"{place} = {part['_target_'].rpartition('.')[2]}"
                _leave_out(cfg, place, known, given, kind, numbers=group == "model")
                _leave_out(cfg, f"schedule.numbers.{place}", _moved(known, part["_target_"]), given, kind)
    for group in ("penalty", "adjust") if chosen else ():  # any choice may bring its own
        names = {str(name) for name, node in (cfg.get(group) or {}).items() if "_target_" in (node or ())}
        _leave_out(cfg, f"schedule.numbers.{group}", names, given, f"{group} = {', '.join(sorted(names)) or 'none'}")


def noted(note: str, overrides: Collection[str]) -> str:
    """What a preset says of its choices, and the line's own ones, which may be others."""
    own = [text for text in overrides if text.lstrip("+~").split("=")[0].split(".")[0] in PLAYED]
    return f"{note}; on the line: {', '.join(own)}" if own else note


def _taken_by(part: DictConfig, place: str) -> set[str] | None:
    """What a part takes of its node; None of one that takes anything."""
    known = parameters_of(part, place)
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in known.values()):
        return None
    return {*known} - ({"decay", "ramp"} if place == "average" and "decay" in known else set())  # which are ema_decay, ema_ramp


def _moved(known: Collection[str], target: str) -> set[str]:
    """Those of a constructor's parameters that a schedule may move, as far as its class tells."""
    return ({*known} | ({*BETAS} if "betas" in known else set())) - {*getattr(target_of(target, "_target_"), "fixed", ())}


def _leave_out(
    cfg: DictConfig, place: str, known: Collection[str], given: Collection[str], kind: str, numbers: bool = False
) -> None:  # fmt: skip
    """All but what is `known` there. Raises UserError for a node, where only `numbers` may be left out."""
    told = OmegaConf.select(cfg, place)
    for name in [str(name) for name in told] if isinstance(told, DictConfig) else ():
        key = f"{place}.{name}"
        if name.startswith("_") or name in known or any(each == key or each.startswith(f"{key}.") for each in given):
            continue
        if numbers and isinstance(told[name], DictConfig):
            what = str(told[name].get("_target_")).rpartition(".")[2]
            told_so = f"{key} = {what} is asked for by a preset, as a condition, but this net has no {name}"
            raise UserError(f"{told_so}: choose another condition, or model")
        with open_dict(told):
            del told[name]
        log.warning("%s of a preset is not looked at by %s, which was chosen", key, kind)


def _parts(cfg: DictConfig, group: str) -> list[str]:
    """The group itself, or what it is of: model.G and model.D."""
    node = cfg[group]
    if not isinstance(node, DictConfig):
        return []
    if "_target_" in node:
        return [group]
    return [f"{group}.{name!s}" for name, one in node.items() if isinstance(one, DictConfig) and "_target_" in one]
