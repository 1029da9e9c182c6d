"""What a `_target_` names, with a sentence of its own where it names nothing: Hydra says it in four lines."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from ganlab.errors import UserError, brief, did_you_mean


def target_of(path: str, key: str) -> Callable[..., Any]:
    """The class or function; raises UserError under the key."""
    told = f"{key}._target_ = {path}"
    words = path.split(".")
    if not all(words):
        raise UserError(f"{told} is no name: give package.module.Class")
    found, rest = _module(words, told)
    for word in rest:
        if not hasattr(found, word):
            public = [name for name in dir(found) if not name.startswith("_")]
            raise UserError(f"{told}: {getattr(found, '__name__', path)} has no {word}{did_you_mean(word, public)}")
        found = getattr(found, word)
    if not callable(found):
        raise UserError(f"{told} is no class and no function: give package.module.Class")
    called: Callable[..., Any] = found
    return called


def _module(words: list[str], told: str) -> tuple[Any, list[str]]:
    """The longest part of the name that can be imported, and what is left."""
    for i in range(len(words), 0, -1):
        name = ".".join(words[:i])
        try:
            return import_module(name), words[i:]
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):  # of what it imports
                raise UserError(f"{told}: {brief(str(error))}") from error
        except Exception as error:
            raise UserError(f"{told}: {type(error).__name__}: {brief(str(error))}") from error
    raise UserError(f"{told}: there is no module {words[0]}: install it, or give package.module.Class")
