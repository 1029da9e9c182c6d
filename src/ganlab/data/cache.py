"""Pictures that were decoded once are opened afterwards as a memory map.

An entry is two files, NAME-HASH.npy (x) and NAME-HASH.json (labels, class names, the fingerprint of the content). The hash is
of the source's files (name, size, time of change) and of the options that they were decoded with, so an entry is never out of
date: when the source changes, another one is made. It lies in `.ganlab` beside the source, or where that cannot be written, in
$XDG_CACHE_HOME/ganlab (~/.cache/ganlab).
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from ganlab.data.decode import Allocate, Decoded
from ganlab.errors import UserError
from ganlab.files.atomic import substitute
from ganlab.files.home import cache_home
from ganlab.files.saved import json_of

log = logging.getLogger(__name__)

FORMAT = 2  # raise it when decode.py makes something else of the same file


def cached(
    source: Path,
    files: Iterable[Path],
    shape: tuple[int, ...],
    options: Mapping[str, object],
    build: Callable[[Allocate], Decoded],
) -> Decoded:
    """What `build(allocate)` makes of the source's files, with x [N, *shape] memory-mapped, copy-on-write.

    `build` runs only where there is no entry yet, or a damaged one, and writes x into what `allocate` gives it. Several
    processes may do so at once. Raises UserError when there is nowhere to write, and whatever `build` raises.
    """
    name = f"{source.stem}-{_hash(source, files, {**options, 'shape': shape, 'format': FORMAT})}.npy"
    beside = source.parent / ".ganlab"
    home = cache_home()
    for folder in filter(None, (beside, home)):
        with suppress(OSError, ValueError, KeyError, TypeError):  # not there, or damaged
            return _open(folder / name, shape)
    folder = beside if home is None or _writable(beside) else home
    log.info("decoding %s once, into %s", source, folder / name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / name, build)
    except OSError as error:
        raise UserError(
            f"{folder} cannot take the decoded images of {source} ({error.strerror}): set XDG_CACHE_HOME to a folder "
            "that can be written"
        ) from error
    return _open(folder / name, shape)


def _open(path: Path, shape: tuple[int, ...]) -> Decoded:
    # copy-on-write and not read-only, because torch warns of memory that it may not write
    x = np.lib.format.open_memmap(path, mode="c")
    about = json_of(path.with_suffix(".json").read_text())
    y, classes = np.array(about["labels"], np.int64), list(about["classes"])
    if about["left_out"]:
        log.info(about["left_out"])
    if x.dtype != np.uint8 or x.shape != (len(y), *shape):
        raise ValueError(f"{path} is damaged")
    return Decoded(x, y, classes, str(about["sha256"]), str(about["left_out"]))


def _write(path: Path, build: Callable[[Allocate], Decoded]) -> None:
    # Of processes that do this at once the last one wins, with the same bytes as the others
    with substitute(path) as x, substitute(path.with_suffix(".json")) as about:
        pictures = build(partial(_allocate, x))
        more = {"sha256": pictures.sha256, "left_out": pictures.left_out}
        about.write_text(json.dumps({"classes": pictures.classes, "labels": pictures.y.tolist(), **more}))


def _allocate(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    need, free = math.prod(shape), shutil.disk_usage(path.parent).free
    if need > free:  # a full disk under a memory map would kill the process with SIGBUS
        raise UserError(
            f"{path.parent} has {free / 1e6:,.0f} MB free but the decoded images take {need / 1e6:,.0f} MB: make room, "
            "or set XDG_CACHE_HOME to another folder"
        )
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)


def _writable(folder: Path) -> bool:
    holder = folder if folder.exists() else folder.parent
    # root may write anywhere: the mode says whether it is meant to
    return bool(holder.stat().st_mode & 0o222) and os.access(holder, os.W_OK | os.X_OK)


def _hash(source: Path, files: Iterable[Path], options: Mapping[str, object]) -> str:
    def state(file: Path) -> tuple[str, int, int]:
        try:
            stat = file.stat()
        except OSError as error:
            raise UserError(f"{file} cannot be read ({error.strerror}): restore it or remove it") from error
        return file.relative_to(source.parent).as_posix(), stat.st_size, stat.st_mtime_ns

    about = json.dumps([sorted(map(state, files)), options], sort_keys=True)
    return hashlib.sha256(about.encode()).hexdigest()[:12]
