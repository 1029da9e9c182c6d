"""What a notebook shows of runs: tables and pictures, in one piece of HTML that needs nothing from outside."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

KINDS = {".png": "image/png", ".gif": "image/gif"}


class Figures(list[Path]):
    """Files of pictures, which a notebook shows."""

    def __getattr__(self, name: str) -> Path:
        """One by its name without the suffix, as `figures.curves`."""
        found = next((path for path in self if path.stem == name), None)
        if found is None:
            raise AttributeError(f"there is no picture {name}: there are {', '.join(path.stem for path in self) or 'none'}")
        return found

    def _repr_html_(self) -> str:
        return "".join(f"<figure><figcaption>{html.escape(path.stem)}</figcaption>{pictured(path)}</figure>" for path in self)


def pictured(path: Path) -> str:
    return embedded(path.read_bytes(), KINDS[path.suffix])


def embedded(content: bytes, kind: str = "image/png") -> str:
    return f'<img style="max-width: 100%" src="data:{kind};base64,{b64encode(content).decode()}">'


def tabled(headings: Iterable[str], lines: Iterable[Iterable[Any]]) -> str:
    head = "".join(f"<th>{html.escape(text)}</th>" for text in headings)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(_cell(one))}</td>' for one in line)}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def pairs(values: Mapping[str, Any]) -> str:
    return tabled(("", ""), values.items())


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
