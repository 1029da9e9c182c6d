"""What is searched: Hydra's grammar of sweeps as Optuna's distributions, and values back as overrides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from ganlab.errors import UserError

Space = dict[str, CategoricalDistribution | FloatDistribution | IntDistribution]
LOG = "log"


def parsed(lines: Sequence[str], loader: Any) -> tuple[dict[str, str], Space]:
    """The overrides that all trials share, and the space of the others; of a key that is given twice the last counts."""
    fixed, space = dict[str, str](), Space()
    for one in OverridesParser.create(config_loader=loader).parse_overrides(list(lines)):
        key = one.get_key_element()
        if one.is_sweep_override():
            fixed.pop(key, None)
            try:
                space[key] = distribution(one)
            except ValueError as error:
                raise UserError(f"{one.input_line} cannot be searched: {error}") from error
        else:
            space.pop(key, None)
            fixed[key] = "" if one.is_delete() and one.value_type is None else one.get_value_element_as_str()
    return fixed, space


def distribution(one: Override) -> CategoricalDistribution | FloatDistribution | IntDistribution:
    """Choices and lists are categories, ranges are steps, intervals are uniform, tag(log, ...) is a logarithmic scale; raises
    ValueError for what Optuna has no distribution for."""
    value = one.value()
    tags = value.tags if isinstance(value, ChoiceSweep | RangeSweep | IntervalSweep) else set()
    if unknown := sorted(tags - {LOG}):
        raise ValueError(f"the tag {unknown[0]} is not known, only {LOG} is")
    log = LOG in tags
    if isinstance(value, IntervalSweep):
        low, high = value.start, value.end
        if low is None or high is None or not math.isfinite(low) or not math.isfinite(high):
            raise ValueError("an interval has two finite ends")
        _rising(low, high, log)
        return IntDistribution(int(low), int(high), log) if _whole(low, high) else FloatDistribution(low, high, log)
    if isinstance(value, RangeSweep):
        return _steps(value, log)
    if log:
        raise ValueError("a logarithmic scale is for interval() and range()")
    categories = list(dict.fromkeys(one.sweep_string_iterator()))
    if not categories:
        raise ValueError("there is nothing to choose from")
    return CategoricalDistribution([_category(text) for text in categories])


def _steps(value: RangeSweep, log: bool) -> FloatDistribution | IntDistribution:
    steps = [float(step) for step in value.range()]
    if not steps:
        raise ValueError("the range is empty")
    low, high, step = _tidy(min(steps)), _tidy(max(steps)), abs(value.step)
    _rising(low, high, log)
    if log and (step != 1 or not _whole(value.start, value.stop)):
        raise ValueError("a range on a logarithmic scale has whole numbers and steps of 1: take an interval")
    if _whole(value.start, value.stop, value.step):
        return IntDistribution(int(low), int(high), log, int(step))
    return FloatDistribution(low, high, step=float(step))


def _tidy(value: float) -> float:
    """0.3 for 0.1 + 2 * 0.1"""
    return float(f"{value:.12g}")


def _rising(low: float, high: float, log: bool) -> None:
    if low > high:
        raise ValueError(f"{low} is above {high}")
    if log and low <= 0:
        raise ValueError(f"a logarithmic scale begins above 0, not at {low}")


def _whole(*values: Any) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) for value in values)


def _category(text: str) -> str | int | float:
    """Numbers as such, so that tables of Optuna's have them; `override` gives back the very text."""
    for kind in (int, float):
        try:
            if str(number := kind(text)) == text:
                return number
        except ValueError:
            continue
    return text


def override(value: Any, distribution: BaseDistribution) -> str:
    """A value of a trial as the command line has it."""
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        value = _tidy(value)
    return str(value)


def described(space: Space) -> dict[str, str]:
    """For a comparison with the space of an earlier call."""
    return {key: str(one) for key, one in space.items()}
