"""What may leave this machine: configs and command lines without the secrets in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

REDACTED = "<redacted>"

SECRET = {"password", "passwd", "passphrase", "pwd", "secret", "secrets", "credential", "credentials", "authorization",
          "bearer", "apikey", "accesskey", "secretkey", "privatekey", "authkey", "accesstoken", "authtoken",
          "apitoken"}  # fmt: skip
KEYS = {"api", "access", "secret", "private", "auth", "account", "encryption", "signing", "ssh"}  # api_key, but not sort_key
TOKENS = {"api", "access", "auth", "refresh", "bearer", "session", "secret"}  # access_tokens, but not max_tokens
WORDS = {"pad", "bos", "eos", "cls", "sep", "unk", "mask", "next", "class", "per"}  # pad_token: a token of a text

URL = re.compile(r"(?<=://)[^\s/?#'\"]*@")  # user:password@
SCHEME = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
SHAPE = re.compile(
    r"\b(?:(?:gh[pousr]|github_pat|glpat|xox[abprs])[_-][\w-]{16,}|hf_[A-Za-z0-9]{20,}|sk-[\w-]{20,}|wandb_v\d_\w{20,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*)"
)
KEY = re.compile(r"""([\w.@/-]*\w)["']?\s*[=:]\s*""")
VALUE = re.compile(r"""(?!null\b)("[^"]*"|'[^']*'|[^\s"',;&{}\[\]()]+)""")
OPTION = re.compile(r"[+~-]*([\w.@/-]+)=(.*)", re.DOTALL)


def is_secret(key: str) -> bool:
    """Whether what has this name (or path, `logger.x.api_key`) is nobody else's business."""
    return any(_secret(part) for part in re.split(r"[./@]", key))


def _secret(name: str) -> bool:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    parts = [word for word in re.split(r"[^a-z0-9]+", words) if word]
    if not parts:
        return False
    *before, last = parts
    previous = before[-1] if before else ""
    return (
        not SECRET.isdisjoint(parts)
        or any((a in KEYS and b in ("key", "keys")) for a, b in pairwise(parts))
        or (last == "token" and previous not in WORDS)
        or (last == "tokens" and previous in TOKENS)
        or last == "auth"
    )


def redact(value: Any) -> Any:
    """A copy of a nested config in which each secret is REDACTED: what lies under a key that names one, and passwords inside of
    texts. What is absent (None, "", true and false) stays, so that one sees that it was."""
    return _redacted(value, False)


def _redacted(value: Any, secret: bool) -> Any:
    if isinstance(value, Mapping):
        return {key: _redacted(part, secret or is_secret(str(key))) for key, part in value.items()}
    if isinstance(value, list | tuple):
        words = [_redacted(part, secret) for part in value]
        return words if secret or not all(isinstance(word, str) for word in words) else redact_words(words)
    if secret:
        return value if value is None or value == "" or isinstance(value, bool) else REDACTED
    return redact_text(value) if isinstance(value, str) else value


def redact_text(text: str) -> str:
    """One text, such as a URL, a message or an override: without `user:password@`, `token=...` and what looks like a key."""
    text = SCHEME.sub(rf"\1 {REDACTED}", URL.sub(f"{REDACTED}@", text))
    text = SHAPE.sub(REDACTED, text)
    kept, done = [], 0
    for key in KEY.finditer(text):
        if key.start() >= done and is_secret(key[1]) and (value := VALUE.match(text, key.end())):
            kept += [text[done : key.end()], REDACTED]
            done = value.end()
    return "".join([*kept, text[done:]])


def redact_words(words: Sequence[str]) -> list[str]:
    """A command line, `key=...`, `--token=...` and `--token ...`: the whole value goes, whatever is in it."""
    redacted: list[str] = []
    hide = False
    for word in words:
        option = OPTION.fullmatch(word)
        if option and is_secret(option[1]):
            redacted.append(word[: option.start(2)] + (REDACTED if option[2] not in ("", "null") else option[2]))
        else:
            redacted.append(REDACTED if hide and not option and not word.startswith("--") else redact_text(word))
        hide = option is None and word.startswith("-") and is_secret(word.lstrip("-"))
    return redacted
