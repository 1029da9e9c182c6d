"""Runs by setting: what a config says except for its seed, named by what varies between the settings."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganlab.study.read import COUNTERS, ENDED, Notes, Run

# what makes a setting, in the order in which it names one: of keys that only vary together, the first. Not where or how it was
# observed (metrics, theory, logger, ...): whether numbers were obtained alike is for their cards to say
KEYS = ("data", "model", "loss", "penalty", "augment", "updates", "prior", "optim", "schedule", "k", "batch_size", "ema_decay",
        "ema_ramp", "iterations", "shape")  # fmt: skip
MORE = ("images", "experiment")  # overrides that are no such key, but stand for some


@dataclass
class Setting:
    """Runs that differ in their seed only."""

    config: dict[str, Any]
    runs: list[Run]
    name: str = ""

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
        return sum(run.status not in ENDED for run in self.runs)


def settings_of(runs: Sequence[Run], notes: Notes) -> list[Setting]:
    """In the order of their first runs. Of runs that repeat a seed of a setting, the last one is kept."""
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[json.dumps(_deciding(run.config), sort_keys=True, default=str)].append(run)
    settings = [Setting(_deciding(members[0].config), members) for members in groups.values()]
    _name(settings)
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
    _budgets(settings, notes)
    return settings


def _budgets(settings: Sequence[Setting], notes: Notes) -> None:
    data = {json.dumps(setting.config.get("data"), default=str) for setting in settings}
    if len(data) > 1:
        notes.add(f"The runs are of {len(data)} data sets: only curves and scores of the same data say who is better.")
    budget = {setting.cost(COUNTERS[0]): setting.name for setting in reversed(settings) if setting.counted}
    if len(budget) > 1:
        (least, a), (most, b) = min(budget.items()), max(budget.items())
        notes.add(
            f"Budgets differ, from {least:,.0f} iterations ({a}) to {most:,.0f} ({b}): last scores are not at equal cost."
        )
    if stopped := [setting.name for setting in settings if setting.count("diverged")]:
        notes.add("has diverged runs, which count with the last scores that they had", *stopped)


def _deciding(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _without_places(config[key]) for key in KEYS if key in config} | {
        "precision": (config.get("trainer") or {}).get("precision")
    }


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_places(part) for key, part in value.items() if key != "root"}
    return value


def _name(settings: list[Setting]) -> None:
    """By the overrides that vary, if they tell the settings apart, otherwise by the configs."""
    if len(settings) == 1:
        run = settings[0].runs[0]
        settings[0].name = str(run.config.get("name") or run.name).removesuffix(f"-s{run.seed}")
        return
    names = _from_overrides(settings)
    if names is None:
        names = [", ".join(parts) or "base" for parts in _from_configs(settings)]
    names = [name if names.count(name) == 1 else f"{name} ({i + 1})" for i, name in enumerate(names)]
    for setting, name in zip(settings, names, strict=True):
        setting.name = name


def _from_overrides(settings: Sequence[Setting]) -> list[str] | None:
    own = [[_overrides(run) for run in setting.runs] for setting in settings]
    if any(each is None for group in own for each in group):
        return None
    given: list[list[dict[str, str]]] = own  # type: ignore[assignment]
    texts: dict[str, list[str]] = {}  # by key, in the order in which they were given
    for key in dict.fromkeys(key for group in given for each in group for key in each):
        values = [{each.get(key) for each in group} for group in given]
        texts[key] = [_text(key, found, setting) for found, setting in zip(values, settings, strict=True)]
    chosen = _telling(texts)
    names = [", ".join(f"{key}={texts[key][i]}" for key in texts if key in chosen and texts[key][i]) for i in range(len(given))]
    return [name or "base" for name in names] if len(set(names)) == len(names) else None


def _text(key: str, found: set[str | None], setting: Setting) -> str:
    """The value of an override in all runs of a setting; where it was not given, that of the config."""
    if len(found) == 1 and None not in found:
        return str(*found)
    value: Any = setting.config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, dict):
        parts = next(iter(_targets(value).values()), "").split(".")
        return parts[-1] if "_target_" in value else parts[-2] if len(parts) > 1 else ""  # the module that a model is of
    return "" if value is None else str(value)


def _overrides(run: Run) -> dict[str, str] | None:
    if run.overrides is None:
        return None
    pairs = [line.lstrip("+~").partition("=") for line in run.overrides]
    return {key: value for key, _, value in pairs if key.split(".")[0].split("/")[0] in KEYS + MORE}


def differences(settings: Sequence[Setting]) -> dict[str, list[str]]:
    """Each value, however deep, that is not the same in all configs: by its key, one text for each setting."""
    flat = [_flat(setting.config) for setting in settings]
    keys = dict.fromkeys(key for each in flat for key in each)
    return {key: found for key in keys if len(set(found := [each.get(key, "") for each in flat])) > 1}


def _from_configs(settings: Sequence[Setting]) -> list[list[str]]:
    """Keys are taken in their order until all settings are told apart, and only those that tell more of them apart; a node
    whose class varies is one key, named by the class."""
    targets = [_targets(setting.config) for setting in settings]
    nodes = dict.fromkeys(key for each in targets for key in each)
    candidates = {key: [each.get(key, "") for each in targets] for key in nodes}
    candidates |= {key: found for key, found in differences(settings).items() if not key.endswith("_target_")}
    chosen = _telling(candidates)
    texts = {key: _short(values) if key in nodes else values for key, values in candidates.items() if key in chosen}
    return [[f"{key}={texts[key][i]}" for key in chosen if texts[key][i]] for i in range(len(settings))]


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
