"""Runs by setting: what a config says except for its seed, named by what varies between the settings."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ganlab.files.run import RunDirectory, placeless
from ganlab.files.status import Status
from ganlab.metrics.cards import name_of
from ganlab.report.budget import Budget
from ganlab.report.read import COUNTERS, Notes, Run
from ganlab.settings import GAME, NAMED, PRESETS

# what makes a setting, in the order in which it names one: of keys that only vary together, the first. Not where or how it was
# observed (metrics, theory, logger, ...): whether numbers were obtained alike is for their cards to say
KEYS = (*(key for key in GAME if key not in ("shape", "seed")), "iterations", "shape")
MORE = ("images", *PRESETS)  # overrides that are no such key, but stand for some
LENGTH = ("iterations", "images")  # how long a run went on, which at an equal budget sets nothing apart


@dataclass
class Setting:
    """Runs that differ in their seed only."""

    config: dict[str, Any]
    runs: list[Run]
    name: str = ""
    parts: dict[str, str] = field(default_factory=dict)  # what its name is made of, that of the data included

    @property
    def counted(self) -> list[Run]:
        return [run for run in self.runs if run.counts]

    def by_seed(self, kind: str, score: str) -> dict[int, float]:
        return {run.seed: run.scores[kind][score] for run in self.counted if score in run.scores[kind]}

    def cost(self, counter: str) -> float:
        """The mean over the runs that count; nan where there is none."""
        values = [run.counters[counter] for run in self.counted]
        return sum(values) / len(values) if values else float("nan")

    def count(self, state: str) -> int:
        """Of a status or a verdict; `diverged` is both."""
        return sum(state in (run.status, run.verdict) for run in self.runs)

    @property
    def failures(self) -> int:
        return sum(not run.counts for run in self.runs)


def title_of(settings: Sequence[Setting]) -> str:
    """What they were trained on; empty where that is not told."""
    names = [*dict.fromkeys(name_of(s.config["data"], None) for s in settings if "data" in s.config)]
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "") if names else ""


def grouped(groups: Sequence[Sequence[Run]], equal: bool = False) -> list[list[Setting]]:
    """The settings of each group of runs, in the order of their first runs, named alike in all groups. `equal`: scores are at
    an equal budget, so that runs which only went on for longer are of one setting."""
    found = [_settings(runs, equal) for runs in groups]
    _name([setting for settings in found for setting in settings], equal)
    for settings in found if len(found) > 1 else ():
        short = [joined({key: part for key, part in s.parts.items() if key != "data"}) for s in settings]
        if all(short) and len({*short}) == len(short):
            for setting, name in zip(settings, short, strict=True):
                setting.name = name
    return found


def _settings(runs: Sequence[Run], equal: bool) -> list[Setting]:
    groups: dict[str, list[Run]] = defaultdict(list)
    contents = _contents(runs)
    for run in runs:
        game = _deciding(placeless(run.config), equal)
        groups[json.dumps([game, contents[run]], sort_keys=True, default=str)].append(run)
    return [Setting(_deciding(members[0].config, equal), members) for members in groups.values()]


def _contents(runs: Sequence[Run]) -> dict[Run, str]:
    """The fingerprint of the data of each, by which copies are the same; where it has none, that of others from its place."""
    known = {run: RunDirectory(run.path).data.get("fingerprint") for run in runs}
    place = {run: json.dumps(_without_places(run.config.get("data")), sort_keys=True, default=str) for run in runs}
    found = {place[run]: fingerprint for run, fingerprint in known.items() if fingerprint}
    return {run: fingerprint or found.get(place[run], place[run]) for run, fingerprint in known.items()}


def seeds_of(settings: Sequence[Setting], budget: Budget | None, notes: Notes) -> None:
    """Of runs that repeat a seed of a setting, the last one is kept; tells of that, of few seeds and of unequal budgets."""
    for setting in settings:
        kept = {run.seed: run for run in setting.runs if run.counts}
        if dropped := [run.name for run in setting.counted if kept[run.seed] is not run]:
            notes.add(f"left out, as later runs of {setting.name} have the same seed", *dropped)
            setting.runs = [run for run in setting.runs if not run.counts or kept[run.seed] is run]
        seeds = len(kept)
        if seeds == 0:
            notes.add("no run ended well: there is nothing to average", setting.name)
        elif seeds == 1:
            notes.add("one seed only: there is no interval, and one run is an anecdote", setting.name)
    if unnamed := _unnamed(settings):
        notes.add(f"Settings differ in {unnamed}, too, which their names do not say: what is shown is of all of it together.")
    _budgets(settings, budget, notes)


def _unnamed(settings: Sequence[Setting]) -> str:
    """The keys in which they differ and that no name has; what a preset brings is known by its name."""
    named = {part.split(".")[0] for setting in settings for part in setting.parts}
    if len(settings) < 2 or not named or named & {*PRESETS}:
        return ""
    roots = dict.fromkeys(key.split(".")[0] for key in varying(settings))
    known = [key for key in KEYS if all(key in setting.config for setting in settings)]  # not what only new runs say
    return ", ".join(key for key in known if key in roots and key not in named | {*LENGTH, "shape"})


def _budgets(settings: Sequence[Setting], budget: Budget | None, notes: Notes) -> None:
    spent = {setting.cost(COUNTERS[0]): setting.name for setting in reversed(settings) if setting.counted}
    if budget is None and len(spent) > 1:
        (least, a), (most, b) = min(spent.items()), max(spent.items())
        notes.add(
            f"Budgets differ, from {least:,.0f} iterations ({a}) to {most:,.0f} ({b}): last scores are not at equal cost."
        )
    for status in (each for each in Status if each.early):
        if stopped := [setting.name for setting in settings if any(run.status is status for run in setting.runs)]:
            notes.add(f"has {status} runs, which count with the last scores that they had", *stopped)


def _deciding(config: Mapping[str, Any], equal: bool) -> dict[str, Any]:
    keys = [key for key in KEYS if key in config and not (equal and key in LENGTH)]
    return {key: _without_places(config[key]) for key in keys} | {"precision": (config.get("trainer") or {}).get("precision")}


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_places(part) for key, part in value.items() if key != "root"}
    return value


def joined(parts: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={part}" for key, part in parts.items() if part)


def _name(settings: list[Setting], equal: bool) -> None:
    """By the overrides that vary, if they tell the settings apart, otherwise by the configs."""
    if len(settings) == 1:
        settings[0].name = _common_name(settings[0])
        return
    for setting, parts in zip(settings, _from_overrides(settings, equal) or _from_configs(settings), strict=True):
        setting.parts, setting.name = parts, joined(parts) or "base"
    names = [setting.name for setting in settings]
    for i, setting in enumerate(settings):
        if names.count(setting.name) > 1:
            setting.parts |= {"": str(i + 1)}
            setting.name += f" ({i + 1})"


def _common_name(setting: Setting) -> str:
    """What the names of all its runs are but for the seed; the jobs of a sweep over seeds have nothing else in theirs."""
    names = {re.sub(rf"(?:^|[-_])(?:s|seed-){run.seed}$", "", str(run.config.get("name") or run.name)) for run in setting.runs}
    if len(names) == 1 and (name := names.pop()):
        return name
    config, targets = setting.config, _targets(setting.config)
    parts = [targets.get(key, "").split(".") for key in ("data", "model.G", "loss")]
    words = [parts[0][-1], parts[1][-2] if len(parts[1]) > 1 else "", parts[2][-1]]
    return "-".join([*filter(None, words), f"k{config.get('k', 1)}"])


def _from_overrides(settings: Sequence[Setting], equal: bool) -> list[dict[str, str]] | None:
    own = [[_overrides(run, equal) for run in setting.runs] for setting in settings]
    if any(each is None for group in own for each in group):
        return None
    given: list[list[dict[str, str]]] = own  # type: ignore[assignment]
    texts: dict[str, list[str]] = {}  # by key, in the order in which they were given
    for key in dict.fromkeys(key for group in given for each in group for key in each):
        values = [{each.get(key) for each in group} for group in given]
        texts[key] = [_text(key, found, setting) for found, setting in zip(values, settings, strict=True)]
    chosen = _telling(texts)
    parts = [{key: texts[key][i] for key in texts if key in chosen} for i in range(len(given))]
    return parts if len({joined(each) for each in parts}) == len(parts) else None


def _text(key: str, found: set[str | None], setting: Setting) -> str:
    """The value of an override in all runs of a setting; where it was not given, that of the config."""
    if len(found) == 1 and None not in found:
        return str(*found)
    value: Any = setting.config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if key in NAMED:
        return "+".join(value or {}) or "none"
    if isinstance(value, dict):
        parts = next(iter(_targets(value).values()), "").split(".")
        return parts[-1] if "_target_" in value else parts[-2] if len(parts) > 1 else ""  # the module that a model is of
    return "" if value is None else str(value)


def _overrides(run: Run, equal: bool) -> dict[str, str] | None:
    if run.overrides is None:
        return None
    pairs = [line.lstrip("+~").partition("=") for line in run.overrides]
    skipped = LENGTH if equal else ()
    return {key: v for key, _, v in pairs if (root := key.split(".")[0].split("/")[0]) in KEYS + MORE and root not in skipped}


def varying(settings: Sequence[Setting]) -> dict[str, list[str]]:
    """Each value, however deep, that is not the same in all configs: by its key, one text for each setting."""
    flat = [_flat(setting.config) for setting in settings]
    keys = dict.fromkeys(key for each in flat for key in each)
    return {key: found for key in keys if len(set(found := [each.get(key, "") for each in flat])) > 1}


def _from_configs(settings: Sequence[Setting]) -> list[dict[str, str]]:
    """Keys are taken in their order until all settings are told apart, and only those that tell more of them apart; a node
    whose class varies is one key, named by the class."""
    targets = [_targets(setting.config) for setting in settings]
    nodes = dict.fromkeys(key for each in targets for key in each)
    candidates = {key: [each.get(key, "") for each in targets] for key in nodes}
    candidates |= {key: found for key, found in varying(settings).items() if not key.endswith("_target_")}
    chosen = _telling(candidates)
    texts = {key: _short(values) if key in nodes else values for key, values in candidates.items() if key in chosen}
    return [{key: texts[key][i] for key in chosen} for i in range(len(settings))]


def _telling(candidates: Mapping[str, Sequence[str]]) -> list[str]:
    """The first keys, in the order of `_rank`, whose values tell the settings apart, less those that vary along with them."""
    chosen: list[str] = []
    told: list[tuple[str, ...]] = [()] * max(map(len, candidates.values()), default=0)
    for key in sorted(candidates, key=_rank):
        more = [(*values, value) for values, value in zip(told, candidates[key], strict=True)]
        if len(set(more)) > len(set(told)):
            told = more
            chosen.append(key)
    return chosen


def _rank(key: str) -> tuple[int, int]:
    root = key.split(".")[0]
    return KEYS.index(root) if root in KEYS else len(KEYS), key.count(".")


def _targets(value: Any, path: str = "") -> dict[str, str]:
    """What each node would call, by the key of the node."""
    if not isinstance(value, dict):
        return {}
    target = str(value.get("_target_", ""))
    found = {path: str(value.get("path", target)) if target == "hydra.utils.get_method" else target} if target else {}
    for key, part in value.items():
        found |= _targets(part, f"{path}.{key}".lstrip("."))
    return found


def _short(targets: Sequence[str]) -> list[str]:
    """Their last parts, as many as keep them apart."""
    for parts in range(1, 9):
        short = [".".join(target.split(".")[-parts:]) for target in targets]
        if len(set(short)) == len(set(targets)):
            return short
    return [*targets]


def _flat(value: Any, path: str = "") -> dict[str, str]:
    if not isinstance(value, dict) or not value:
        return {path: str(value)}
    return {k: v for key, part in value.items() for k, v in _flat(part, f"{path}.{key}".lstrip(".")).items()}
