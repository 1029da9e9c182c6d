"""Folders, archives and arrays of pictures -> uint8 [N, C, H, W] of one size. Nothing is unpacked to disk."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.progress import Progress

from ganlab.data.archives import Read, holding
from ganlab.data.formats import SUFFIXES, as_seen, opened
from ganlab.data.layout import arranged
from ganlab.errors import UserError

BYTES = 4  # of a pixel: a file that is larger than its picture may be is not read


class Decoded(NamedTuple):
    x: np.ndarray  # [N, C, H, W] uint8
    y: np.ndarray  # [N] int64
    classes: list[str]
    sha256: str = ""  # of the content: the files' bytes, labels and names of classes, not of where or in what they lie
    left_out: str = ""  # a sentence


class Viewing(NamedTuple):
    """How pictures are read."""

    background: str = "white"
    max_megapixels: float = 64.0


AS_USUAL = Viewing()
Allocate = Callable[[tuple[int, ...]], np.ndarray]  # shape -> uint8 array to write into, on disk or in memory
Job = tuple[int, str, Callable[[], Image.Image]]  # row of x, name for errors, what opens the picture


def decode(source: Path, shape: tuple[int, ...], allocate: Allocate, split: str = "train", how: Viewing = AS_USUAL) -> Decoded:
    """The pictures under a folder, .zip or .tar[.gz], in the order of their names, each made to fit `shape` (C, H, W), with the
    classes of `layout.arranged`. Raises UserError for a source without pictures, a damaged archive, and pictures that are
    damaged or too large, of which it names up to five."""
    with holding(source, BYTES * 1e6 * how.max_megapixels) as held:
        if not held.names:
            raise UserError(f"{source} holds no pictures: data.source needs files as {' '.join(sorted(SUFFIXES)[:8])} ...")
        names, y, classes = arranged(source, held, split)
        x = allocate((len(names), *shape))
        row, digests = {name: i for i, name in enumerate(names)}, [b""] * len(names)

        def load(name: str, read: Read) -> Image.Image:
            content = read()
            digests[row[name]] = hashlib.sha256(content).digest()
            return opened(content, name, how.max_megapixels)

        _fill(
            x, ((row[name], name, partial(load, name, read)) for name, read in held.contents if name in row), f"{source}", how
        )
        return Decoded(x, y, classes, digest(b"".join(digests), y, classes), _told(source, len(names), held.left_out))


def digest(content: bytes | np.ndarray, y: np.ndarray, classes: list[str]) -> str:
    found = hashlib.sha256(json.dumps(classes).encode())
    for part in (np.ascontiguousarray(y, np.int64), content):
        found.update(np.ascontiguousarray(part).data if isinstance(part, np.ndarray) else part)
    return found.hexdigest()[:16]


def _told(source: Path, N: int, left_out: dict[str, int]) -> str:
    parts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(left_out.items()) if count)
    return f"{source}: {N:,} pictures; left out: {parts}" if parts else ""


def fit_all(pixels: np.ndarray, shape: tuple[int, ...], allocate: Allocate) -> np.ndarray:
    """uint8 [N, h, w] or [N, h, w, 3] -> [N, C, H, W], in the same way as pictures."""
    x = allocate((len(pixels), *shape))
    _fill(x, ((i, f"{i}", partial(Image.fromarray, image)) for i, image in enumerate(pixels)), "resizing", AS_USUAL)
    return x


def fit(image: Image.Image, shape: tuple[int, ...], background: str = "white") -> np.ndarray:
    """A picture as uint8 [C, H, W]: as it is seen (formats.as_seen), scaled to cover H x W, the rest cropped on both sides.

    Scaled with PIL's BILINEAR, which averages over all pixels when it reduces (antialiased): for H = W this is
    torchvision's Resize(H) and CenterCrop(H). A picture of the right size keeps its pixels. Raises ValueError.
    """
    C, H, W = shape
    image = as_seen(image, C, background)
    w, h = image.size
    if (h, w) != (H, W):
        height, width = (H, H * w // h) if w * H >= h * W else (W * h // w, W)
        top, left = round((height - H) / 2), round((width - W) / 2)
        image = image.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + W, top + H))
    return np.asarray(image).reshape(H, W, C).transpose(2, 0, 1)


def _fill(x: np.ndarray, jobs: Iterable[Job], title: str, how: Viewing) -> None:
    """Write each job's picture into its row of x, in threads (PIL decodes without the GIL), with a bar on a terminal.

    Raises UserError that names the first bad pictures, at most five, in the order of the jobs.
    """
    workers = os.cpu_count() or 1
    console = Console(stderr=True)
    waiting: deque[Future[list[str]]] = deque()
    bad: list[str] = []
    jobs = iter(jobs)
    bar = Progress(console=console, disable=not console.is_terminal)
    with ThreadPoolExecutor(workers) as pool, bar, _own_limit():
        task = bar.add_task(title, total=len(x))
        while len(bad) < 5:
            chunk = list(islice(jobs, 64))
            if chunk:
                waiting.append(pool.submit(_fill_chunk, x, chunk, how.background))
            if waiting and (not chunk or len(waiting) > 2 * workers):  # bounded, or a fast tar would fill the memory
                bad += waiting.popleft().result()
            elif not waiting:
                break
            bar.advance(task, len(chunk))
    if bad:
        raise UserError(f"{title} has bad pictures: {'; '.join(bad[:5])}: replace or remove them")


@contextmanager
def _own_limit() -> Iterator[None]:
    """PIL has a limit of its own, of which it warns first; data.max_megapixels is in its place."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Corrupt EXIF data")  # which viewers pass over
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _fill_chunk(x: np.ndarray, jobs: list[Job], background: str) -> list[str]:
    bad = []
    for row, name, load in jobs:
        try:
            with load() as image:
                x[row] = fit(image, x.shape[1:], background)
        except UnidentifiedImageError:
            bad.append(f"{name} (not a picture)")
        except Exception as error:  # PIL has no common base: OSError, SyntaxError, ValueError, struct.error, ...
            bad.append(f"{name} ({error})")
    return bad
