"""Many runs: which jobs there are, where they run, what became of them. `ganlab.sweep(...)` trains them (ganlab.api.sweeps)."""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """A room and a function have one name: the room is called."""

    def __call__(self, *overrides: str, **keys: Any) -> Any:
        from importlib import import_module

        return import_module("ganlab.api.sweeps").sweep(*overrides, **keys)


sys.modules[__name__].__class__ = _Callable
