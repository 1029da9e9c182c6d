"""From Python's arguments to the words of a command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ganlab.errors import UserError
from ganlab.sweep.jobs import quoted

FLAGS = ("--trust", "--config-dir", "--config-name", "--config-path")  # of a command line; the rest are other commands


def words_of(overrides: Iterable[str], keys: Mapping[str, Any]) -> list[str]:
    """`("data=ring",), {"k": 2}` as `["data=ring", "k=2"]`. Raises UserError for what is no override."""
    words = [*overrides]
    for i, word in enumerate(words):
        flag = isinstance(word, str) and word.split("=")[0] in FLAGS
        after = i > 0 and words[i - 1] in FLAGS[1:]
        if not isinstance(word, str) or not (flag or after or ("=" in word and word[0] != "-") or word[:1] == "~"):
            raise UserError(f"{word!r} is no override: give 'k=2', or k=2 without quotes")
    return [*words, *(f"{key}={_value(value, key)}" for key, value in keys.items())]


def _value(value: Any, key: str) -> str:
    """In Hydra's grammar."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(float(value) if isinstance(value, float) else int(value))  # (numpy's are floats, but not by their repr)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{_value(one, key)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_value(one, key) for one in value) + "]"
    if hasattr(value, "item"):  # a number of numpy's or torch's
        return _value(value.item(), key)
    text = str(value)
    plain = re.fullmatch(r"[A-Za-z_./][\w./+-]*", text) and text.lower() not in ("null", "true", "false", "nan", "inf")
    return text if plain else quoted(text)
