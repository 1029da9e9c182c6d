"""What files say that may come from anyone: plain values, and nothing that would be resolved or built."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ganlab.errors import UserError

LARGEST = 4 * 2**20  # bytes of a file
MOST = 50_000  # values in one; aliases make a few lines into billions
PLAIN = (str, int, float, bool, type(None))


IN_C = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # five times as fast
DEEPEST = 100  # collections within one another: in C, many of them overflow the stack


def loaded(text: str, loader: Any = IN_C) -> Any:
    """What a yaml text says; raises YAMLError."""
    depth = 0
    for event in yaml.parse(text, IN_C):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise yaml.MarkedYAMLError(
                problem=f"more than {DEEPEST} collections within one another", problem_mark=event.start_mark
            )
    return yaml.load(text, loader)


def json_of(text: str | bytes) -> Any:
    """What a json text says; raises ValueError where it is damaged, or nested without end."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("collections within one another without end") from error


class _OnceEach(IN_C):  # type: ignore[valid-type,misc]
    """yaml.safe_load, but a key that is there twice is a mistake."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge":
                name = self.construct_object(key, deep=True)
                many = isinstance(name, list | dict)
                if many or name in seen:
                    why = f"the key {name} is {'no single value' if many else 'there twice'}"
                    raise yaml.constructor.ConstructorError(None, None, why, key.start_mark)
                seen.add(name)
        return super().construct_mapping(node, deep=deep)


def read_plain(path: Path, resolved: bool = True) -> Any:
    """The plain values of a yaml file; raises UserError, in one sentence, where it is damaged or says something else.
    `resolved`: that it has no interpolations, either."""
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path} is larger than {LARGEST >> 20} MB: that is no file of ganlab's")
        value = loaded(path.read_text(encoding="utf-8"), _OnceEach)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError, OverflowError) as error:
        raise UserError(f"{path} is damaged: {yaml_problem(error)}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    refuse_what_is_not_plain(value, path, resolved)
    return value


def yaml_problem(error: Exception) -> str:
    """What is wrong with a yaml file, and in which line."""
    mark, said = getattr(error, "problem_mark", None), getattr(error, "problem", None) or type(error).__name__
    if isinstance(error, UnicodeDecodeError) or "unacceptable character" in str(error):
        return "it is not a text"
    return f"line {mark.line + 1}: {said}" if mark else str(said)


def refuse_what_is_not_plain(value: Any, path: Path, resolved: bool) -> None:
    """Raises UserError for interpolations, which could read anything, for dates and the like, and for what has no end."""
    for count, (key, one) in enumerate(leaves(value)):
        if count > MOST:
            raise UserError(f"{path} has more than {MOST:,} values: that is no file of ganlab's")
        if not isinstance(one, PLAIN):
            raise UserError(f"{path}: {key} is a {type(one).__name__}, and neither a number nor a text")
        if resolved and isinstance(one, str) and "${" in one:
            raise UserError(f"{path}: {key} = {one[:40]} is to be resolved: a saved config has values only")


def leaves(value: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Each value that is neither a mapping nor a list, under its key, and each key of a mapping that is not a plain text."""
    if depth > 40:
        yield key, object()
    elif isinstance(value, Mapping):
        for name, one in value.items():
            here = f"{key}.{name}".lstrip(".")
            if not isinstance(name, str) or "${" in name:
                yield here, name
            yield from leaves(one, here, depth + 1)
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value):
            yield from leaves(one, f"{key}[{number}]", depth + 1)
    else:
        yield key, value


REFERENCE = re.compile(r"\$\{(?!hydra[.\]])(?:\.*[A-Za-z_]\w*(?:\.\w+|\[\w+\])*|hydra:runtime\.choices\.\w+)\}")


def refers_to_keys_only(text: str) -> bool:
    """Whether each `${...}` in it is another key of the config, and none asks for the environment, a file or an object."""
    return "${" not in REFERENCE.sub("", text)
