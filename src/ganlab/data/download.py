"""Downloads that go on where they were broken off."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

BLOCK = 2**18  # bytes that are read at once
PATIENCE = 30  # seconds without a byte, after which a connection is given up
TRIES = 3  # of each address, each going on where the last one ended
NOTHING_LEFT = 416  # the answer to a request for what is behind the end of a file


def downloaded(urls: Sequence[str], path: Path, md5: str, progress: bool = True) -> None:
    """The file of one of the addresses at `path`, if it is not there yet. What is there of it lies in PATH.part, also after a
    broken connection or a killed process, and is gone on with. Raises OSError where it cannot be had, or is another file."""
    if path.is_file() and _md5(path) == md5:
        return
    fresh = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    problems = []
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not progress or console.is_jupyter) as bar:
        task = bar.add_task(path.name, total=None)
        for url in [url for url in urls for _ in range(TRIES)]:
            try:
                _rest(url, part, lambda done, total: bar.update(task, completed=done, total=total))
            except (OSError, HTTPException) as error:  # URLError is an OSError
                problems.append(str(error).strip() or type(error).__name__)
                continue
            if (found := _md5(part)) == md5:
                part.replace(path)
                return
            part.unlink()
            problems.append(f"what {url} gives has md5 {found}, and not {md5}")
    for folder in fresh:
        with suppress(OSError):  # what has come of it stays
            folder.rmdir()
    raise OSError(f"{path.name}: {problems[-1]}")


def _rest(url: str, part: Path, tell: Callable[[int, int | None], None]) -> None:
    """What `part` lacks; from the beginning where the server gives no pieces."""
    have = part.stat().st_size if part.exists() else 0
    try:
        with urlopen(Request(url, headers={"Range": f"bytes={have}-"} if have else {}), timeout=PATIENCE) as answer:
            have = have if answer.status == 206 else 0
            length = answer.headers.get("Content-Length")
            total = None if length is None else have + int(length)
            with part.open("ab" if have else "wb") as file:
                while block := answer.read(BLOCK):
                    file.write(block)
                    have += len(block)
                    tell(have, total)
    except HTTPError as error:
        if error.code != NOTHING_LEFT or not have:
            raise
        return
    if total is not None and have < total:
        raise OSError(f"the connection broke off after {have:,} of {total:,} bytes")


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
