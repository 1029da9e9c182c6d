"""Hydra's composing, with what it makes remembered: config files are read once, and what they are merged to for a choice among
them is kept; configs that differ in values only are copies of it on which these are set."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Sequence
from typing import Any

import hydra._internal.hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

SET = ("hydra.mode", "hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")  # of Hydra's own, which nothing else looks at
# what only Hydra's own way is sure to understand: groups elsewhere, which are none here, and nodes that SET is within
HYDRAS = (
    "hydra.searchpath",
    "hydra",
    "hydra.run",
    "hydra.sweep",
    "hydra.overrides",
    "hydra.overrides.hydra",
    "hydra.overrides.task",
)
UNPICKLED = (pickle.PicklingError, AttributeError, TypeError)  # what pickle raises for a class of somebody's function
Made = dict[tuple[str, ...], bytes]  # pickled: copied in a fifth of the time of a deep copy
HANDED: Made = {}  # by the process that this one was forked from


class _Kept:
    """A repository of config files that remembers what it has read, and gives copies: Hydra writes into them."""

    def __init__(self, inner: Any, read: dict[str, Any]) -> None:
        self.inner, self.read = inner, read

    def __deepcopy__(self, memo: Any) -> _Kept:  # for each composing
        return _Kept(copy.deepcopy(self.inner, memo), self.read)

    def initialize_sources(self, search_path: Any) -> None:
        """A config looks for its parts elsewhere: nothing that was read is of these."""
        self.inner.initialize_sources(search_path)
        self.read = {}

    def load_config(self, config_path: str) -> Any:
        if config_path not in self.read:
            self.read[config_path] = self.inner.load_config(config_path=config_path)
        return copy.deepcopy(self.read[config_path])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "inner":  # asked for while it is copied or unpickled
            raise AttributeError(name)
        return getattr(self.inner, name)


class Composer(ConfigLoaderImpl):
    """Composes what Hydra's own loader does. What it has read is read again by the next one: files may have changed."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository: Any = _Kept(self.repository, {})
        self._made: Made = {}
        self._groups: dict[str, bool] = {}

    def made_for(self, config_name: str | None, overrides: Sequence[str]) -> Made:
        """What a process that is handed this need not merge; empty where nothing was composed with the same choices."""
        key = self._key(config_name, [one for one in _parsed(overrides) if not self._is_set(one)], RunMode.RUN)
        return {key: self._made[key]} if key in self._made else {}

    def _load_configuration_impl(
        self, config_name: str | None, overrides: list[str], run_mode: RunMode, from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:  # fmt: skip
        parsed = _parsed(overrides)
        if validate_sweep_overrides:
            self.validate_sweep_overrides_legal(overrides=parsed, run_mode=run_mode, from_shell=from_shell)
        elif run_mode is RunMode.MULTIRUN:  # only hydra.mode is looked for, which is the same unless a choice is missing
            try:
                return self._composed(config_name, parsed, RunMode.RUN, from_shell)
            except HydraException:
                pass
        return self._composed(config_name, parsed, run_mode, from_shell)

    def _composed(self, config_name: str | None, parsed: Sequence[Override], run_mode: RunMode, from_shell: bool) -> DictConfig:
        if self._is_hydras(config_name, parsed):
            return self._merged(config_name, parsed, run_mode, from_shell)
        chosen = [one for one in parsed if not self._is_set(one)]
        key = self._key(config_name, chosen, run_mode)
        if (made := self._made.get(key) or HANDED.get(key)) is None:
            try:
                made = pickle.dumps(self._merged(config_name, chosen, run_mode, from_shell))
            except UNPICKLED:
                return self._merged(config_name, parsed, run_mode, from_shell)
        self._made[key] = made
        cfg: DictConfig = pickle.loads(made)
        OmegaConf.clear_cache(cfg)  # what time it was when it was merged
        own = [one for one in parsed if one.is_hydra_override()]
        task = [one for one in parsed if not one.is_hydra_override()]
        self._apply_overrides_to_config([one for one in parsed if self._is_set(one) and not one.is_sweep_override()], cfg)
        cfg.hydra.overrides.hydra = [one.input_line for one in own]
        cfg.hydra.overrides.task = [one.input_line for one in task]
        names = cfg.hydra.job.config.override_dirname
        cfg.hydra.job.override_dirname = get_overrides_dirname(
            task, kv_sep=names.kv_sep, item_sep=names.item_sep, exclude_keys=names.exclude_keys
        )
        with open_dict(cfg.hydra):
            for name in cfg.hydra.job.env_copy:  # what was made may be of another process
                cfg.hydra.job.env_set[name] = os.environ[name]
        return cfg

    def _merged(self, config_name: str | None, parsed: Sequence[Override], run_mode: RunMode, from_shell: bool) -> DictConfig:
        lines = [str(one.input_line) for one in parsed]
        return super()._load_configuration_impl(config_name, lines, run_mode, from_shell, False)

    def _is_hydras(self, config_name: str | None, parsed: Sequence[Override]) -> bool:
        """Whether Hydra composes as it always does."""
        if any(one.key_or_group in HYDRAS for one in parsed):
            return True
        primary = None if config_name is None else self.repository.load_config(config_name)
        if primary is None:
            return False
        return not OmegaConf.is_dict(primary.config) or OmegaConf.select(primary.config, "hydra.searchpath") is not None

    def _key(self, config_name: str | None, chosen: Sequence[Override], run_mode: RunMode) -> tuple[str, ...]:
        where = [f"{one.provider} {one.path}" for one in self.config_search_path.get_path()]
        return (*where, os.getcwd(), str(config_name), run_mode.name, *(str(one.input_line) for one in chosen))  # noqa: PTH109

    def _is_set(self, one: Override) -> bool:
        """Whether an override only sets a value of what was merged, rather than to choose what is; one that sweeps does
        neither."""
        if one.is_sweep_override():
            return True
        name = one.key_or_group
        if one.package is not None or (one.is_hydra_override() and name not in SET):
            return False
        if name not in self._groups:
            self._groups[name] = self.repository.group_exists(name)
        return not self._groups[name] or isinstance(one.value(), dict)


def _parsed(overrides: Sequence[str]) -> list[Override]:
    return OverridesParser.create().parse_overrides(overrides=list(overrides))


def remembering() -> None:
    """Hydra composes so in this process."""
    hydra._internal.hydra.ConfigLoaderImpl = Composer  # type: ignore[misc]
