"""Files that a reader sees whole or not at all, and a crash leaves as they were."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4


@contextmanager
def substitute(path: Path) -> Iterator[Path]:
    """A name beside `path` that nobody else knows, to write a file under: it takes the place of `path` when it is complete and
    on the disk; where that fails, the old file stays and nothing else remains."""
    half = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        yield half
        with half.open("rb+") as file:
            os.fsync(file.fileno())  # the pages of a memory map as well
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def remove_halves(*folders: Path) -> None:
    """What a kill has left of files that were being written there; for the only process that writes in these folders."""
    for folder in folders:
        for path in folder.glob(".*"):
            if re.fullmatch(r"\..+\.[0-9a-f]{32}", path.name) and path.is_file():
                path.unlink(missing_ok=True)


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """The file itself, open for writing."""
    with substitute(path) as half, half.open("wb") as file:
        yield file


def write_whole(path: Path, text: str) -> None:
    with replaced(path) as file:
        file.write(text.encode())
