"""What a preset, as a model or an experiment, says of a choice that the command line has made otherwise."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Collection, Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from ganlab.run.config import parameters_of

log = logging.getLogger(__name__)


def leave_out_what_was_replaced(cfg: DictConfig, given: Collection[str]) -> None:
    """Of each group that is among the keys `given` on the line (`average`, of average=power), leave out in place what its parts
    were told for another choice, and the schedules of such numbers; what the line itself gives stays."""
    for group in sorted({str(key) for key in cfg} & {*given}):
        for place in _parts(cfg, group):
            node = OmegaConf.select(cfg, place)
            known, kind = parameters_of(node, place), node["_target_"].rpartition(".")[2]
            if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in known.values()):
                continue
            for where in (place, f"schedule.numbers.{place}"):
                told = OmegaConf.select(cfg, where)
                for name in [*_others(told, known)]:
                    key = f"{where}.{name}"
                    if not any(each == key or each.startswith(f"{key}.") for each in given):
                        with open_dict(told):
                            del told[name]
                        log.warning("%s of a preset is not looked at by %s = %s, which was chosen", key, place, kind)


def _parts(cfg: DictConfig, group: str) -> list[str]:
    """The group itself, or what it is of: model.G and model.D."""
    node = cfg[group]
    if not isinstance(node, DictConfig):
        return []
    if "_target_" in node:
        return [group]
    return [f"{group}.{name!s}" for name, one in node.items() if isinstance(one, DictConfig) and "_target_" in one]


def _others(told: Any, known: Collection[str]) -> Iterator[str]:
    for name in told if isinstance(told, DictConfig) else ():
        if not str(name).startswith("_") and name not in known:
            yield str(name)
