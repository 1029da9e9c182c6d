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
    """Of each group that is among the keys `given` on the line (`average`, of average=power), leave out in place what it was
    told for another choice, and the schedules of such numbers; what the line itself gives stays. Not of nets: what a condition
    asks of a G that cannot have it is a mistake."""
    for group in sorted({str(key) for key in cfg} & {*given}):
        node = cfg[group]
        if not isinstance(node, DictConfig) or "_target_" not in node:
            continue
        known, kind = parameters_of(node, group), node["_target_"].rpartition(".")[2]
        if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in known.values()):
            continue
        for place in (group, f"schedule.numbers.{group}"):
            told = OmegaConf.select(cfg, place)
            for name in [*_others(told, known)]:
                key = f"{place}.{name}"
                if not any(each == key or each.startswith(f"{key}.") for each in given):
                    with open_dict(told):
                        del told[name]
                    log.warning("%s of a preset is not looked at by %s = %s, which was chosen", key, group, kind)


def _others(told: Any, known: Collection[str]) -> Iterator[str]:
    for name in told if isinstance(told, DictConfig) else ():
        if not str(name).startswith("_") and name not in known:
            yield str(name)
