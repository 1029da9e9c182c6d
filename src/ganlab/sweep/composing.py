"""Hydra's composing, with the config files read once for all jobs of a sweep, and merged once for all that choose alike: jobs
that differ in numbers only are copies on which these are set."""

from __future__ import annotations

import copy
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import DictConfig


class _Kept:
    """A repository of config files that remembers what it has read, and gives copies: Hydra writes into them."""

    def __init__(self, inner: Any, read: dict[str, Any], merged: dict[str, DictConfig]) -> None:
        self.inner, self.read, self.merged = inner, read, merged

    def __deepcopy__(self, memo: Any) -> _Kept:  # for each job
        return _Kept(copy.deepcopy(self.inner, memo), self.read, self.merged)

    def initialize_sources(self, search_path: Any) -> None:
        """A job looks for its configs elsewhere: nothing that was read is of these."""
        self.inner.initialize_sources(search_path)
        self.read, self.merged = {}, {}

    def load_config(self, config_path: str) -> Any:
        if config_path not in self.read:
            self.read[config_path] = self.inner.load_config(config_path=config_path)
        return copy.deepcopy(self.read[config_path])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Composer(ConfigLoaderImpl):
    """Composes what the given loader does."""

    def __init__(self, loader: ConfigLoaderImpl) -> None:
        self.__dict__.update(loader.__dict__)
        self.repository: Any = _Kept(loader.repository, {}, {})

    def _compose_config_from_defaults_list(self, defaults: Any, repo: Any) -> DictConfig:
        merged, key = repo.delegate.merged, repr(defaults)
        if key not in merged:
            merged[key] = super()._compose_config_from_defaults_list(defaults, repo)
        return copy.deepcopy(merged[key])
