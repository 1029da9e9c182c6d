"""Folders, archives and arrays of pictures -> uint8 [N, C, H, W] of one size. Nothing is unpacked to disk."""

from __future__ import annotations

import lzma
import os
import posixpath
import tarfile
import threading
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.progress import Progress

from ganlab.errors import UserError

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".ppm", ".tif", ".tiff"}
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "PPM", "TIFF")  # no others: PIL would hand EPS to Ghostscript
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_MODES = {1: "L", 3: "RGB"}


class Decoded(NamedTuple):
    x: np.ndarray  # [N, C, H, W] uint8
    y: np.ndarray  # [N] int64
    classes: list[str]


Allocate = Callable[[tuple[int, ...]], np.ndarray]  # shape -> uint8 array to write into, on disk or in memory
Read = Callable[[], bytes]
Job = tuple[int, str, Callable[[], Image.Image]]  # row of x, name for errors, what opens the picture


def decode(source: Path, shape: tuple[int, ...], allocate: Allocate) -> Decoded:
    """The pictures under a folder, .zip or .tar[.gz], in the order of their names, each made to fit `shape` (C, H, W).

    A picture's class is the folder that holds it, relative to the deepest folder that holds them all; those directly in
    that one are of class "images". Raises UserError for a source without pictures, a damaged archive, and damaged or
    16-bit pictures, of which it names up to five.
    """
    with _opened(source) as archive:
        names = sorted(archive.names)
        if not names:
            raise UserError(f"{source} holds no pictures: data.source needs files of {' '.join(sorted(_SUFFIXES))}")
        folders = [posixpath.dirname(name) for name in names]
        top = posixpath.commonpath(folders)
        label = {folder: PurePosixPath(folder).relative_to(top).as_posix() for folder in set(folders)}
        classes = sorted(label.values())
        x = allocate((len(names), *shape))
        row = {name: i for i, name in enumerate(names)}
        jobs = ((row[name], name, partial(_picture, read)) for name, read in archive.contents)
        _fill(x, jobs, f"{source}")
    number = {folder: classes.index(name) for folder, name in label.items()}
    y = np.array([number[folder] for folder in folders], np.int64)
    return Decoded(x, y, ["images" if name == "." else name for name in classes])


def fit_all(pixels: np.ndarray, shape: tuple[int, ...], allocate: Allocate) -> np.ndarray:
    """uint8 [N, h, w] or [N, h, w, 3] -> [N, C, H, W], in the same way as pictures."""
    x = allocate((len(pixels), *shape))
    _fill(x, ((i, f"{i}", partial(Image.fromarray, image)) for i, image in enumerate(pixels)), "resizing")
    return x


def fit(image: Image.Image, shape: tuple[int, ...]) -> np.ndarray:
    """A picture as uint8 [C, H, W]: grey or RGB, alpha dropped, scaled to cover H x W, the rest cropped on both sides.

    Scaled with PIL's BILINEAR, which averages over all pixels when it reduces (antialiased): for H = W this is
    torchvision's Resize(H) and CenterCrop(H). A picture of the right size keeps its pixels. Raises UserError for a mode
    of more than 8 bits a channel.
    """
    C, H, W = shape
    if image.mode.startswith(("I", "F")):
        raise UserError(f"mode {image.mode} has more than 8 bits a channel: convert it to 8 bits")
    if "transparency" in image.info:  # else PIL warns of transparent palettes
        image = image.convert("RGBA")
    image = image.convert(_MODES[C])
    w, h = image.size
    if (h, w) != (H, W):
        height, width = (H, H * w // h) if w * H >= h * W else (W * h // w, W)
        top, left = round((height - H) / 2), round((width - W) / 2)
        image = image.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + W, top + H))
    return np.asarray(image).reshape(H, W, C).transpose(2, 0, 1)


def list_pictures(folder: Path) -> list[Path]:
    """The pictures under a folder, links followed, hidden ones left out. Raises UserError for a folder it may not read."""

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename} cannot be read ({error.strerror}): check its permissions") from error

    files = (Path(at, name) for at, _, names in os.walk(folder, onerror=refuse, followlinks=True) for name in names)
    return [file for file in files if _is_picture(file.relative_to(folder).as_posix())]


def _is_picture(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return path.suffix.lower() in _SUFFIXES and not hidden


class _Archive(NamedTuple):
    names: list[str]  # paths of the pictures, relative, with slashes
    contents: Iterable[tuple[str, Read]]  # each of them, in the order that is quick to read; a Read may run in a thread


@contextmanager
def _opened(source: Path) -> Iterator[_Archive]:
    if source.is_dir():
        yield _folder(source)
    elif source.suffix.lower() == ".zip":
        with _blamed(source):
            file = zipfile.ZipFile(source)
        with file:
            yield _zip(file)
    elif source.name.lower().endswith(_ARCHIVES):
        with _blamed(source):
            tar = tarfile.open(source)  # noqa: SIM115 (the next line closes it; what its reader raises has its own name)
        with tar:
            yield _tar(tar, source)
    else:
        raise UserError(f"{source} is no archive: data.source takes a folder, .zip or {', '.join(_ARCHIVES)} of pictures")


def _folder(folder: Path) -> _Archive:
    members = {file.relative_to(folder).as_posix(): file for file in list_pictures(folder)}
    return _Archive(list(members), ((name, file.read_bytes) for name, file in members.items()))


def _zip(file: zipfile.ZipFile) -> _Archive:
    lock = threading.Lock()  # a ZipFile counts its open members, and not in a thread-safe way

    def read(member: str) -> bytes:
        with lock:
            return file.read(member)

    members = {_relative(member): member for member in file.namelist() if _is_picture(_relative(member))}
    return _Archive(list(members), ((name, partial(read, member)) for name, member in members.items()))


def _tar(tar: tarfile.TarFile, source: Path) -> _Archive:
    with _blamed(source):
        files = {_relative(member.name): member for member in tar if member.isfile()}
        # tarfile takes a header that is damaged or cut off for the end, which is a block of zeros
        assert tar.fileobj is not None
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("it has no end")
    members = {name: member for name, member in files.items() if _is_picture(name)}

    def contents() -> Iterator[tuple[str, Read]]:
        for name, member in members.items():
            with _blamed(source):  # read here and in this order: each step back would unpack a .gz from its beginning
                file = tar.extractfile(member)
                assert file is not None  # only directories and devices have no content
                content = file.read()
            yield name, partial(bytes, content)

    return _Archive(list(members), contents())


def _relative(member: str) -> str:
    return PurePosixPath(member.lstrip("/")).as_posix()  # without "./" as well


@contextmanager
def _blamed(source: Path) -> Iterator[None]:
    """Turns what a damaged or locked archive raises into a UserError that names it."""
    try:
        yield
    except (FileNotFoundError, PermissionError) as error:
        raise UserError(f"{source} cannot be read ({error.strerror}): check the path and its permissions") from error
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        reason = f"{error}".splitlines()[0].rstrip(":.") if f"{error}" else type(error).__name__
        raise UserError(f"{source} is damaged or no such archive ({reason}): copy or download it again") from error


def _picture(read: Read) -> Image.Image:
    return Image.open(BytesIO(read()), formats=_FORMATS)


def _fill(x: np.ndarray, jobs: Iterable[Job], title: str) -> None:
    """Write each job's picture into its row of x, in threads (PIL decodes without the GIL), with a bar on a terminal.

    Raises UserError that names the first bad pictures, at most five, in the order of the jobs.
    """
    workers = os.cpu_count() or 1
    console = Console(stderr=True)
    waiting: deque[Future[list[str]]] = deque()
    bad: list[str] = []
    jobs = iter(jobs)
    with ThreadPoolExecutor(workers) as pool, Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=len(x))
        while len(bad) < 5:
            chunk = list(islice(jobs, 64))
            if chunk:
                waiting.append(pool.submit(_fill_chunk, x, chunk))
            if waiting and (not chunk or len(waiting) > 2 * workers):  # bounded, or a fast tar would fill the memory
                bad += waiting.popleft().result()
            elif not waiting:
                break
            bar.advance(task, len(chunk))
    if bad:
        raise UserError(f"{title} has bad pictures: {'; '.join(bad[:5])}: replace or remove them")


def _fill_chunk(x: np.ndarray, jobs: list[Job]) -> list[str]:
    bad = []
    for row, name, load in jobs:
        try:
            with load() as image:
                x[row] = fit(image, x.shape[1:])
        except UnidentifiedImageError:
            bad.append(f"{name} (not a picture)")
        except Exception as error:  # PIL has no common base: OSError, SyntaxError, ValueError, struct.error, ...
            bad.append(f"{name} ({error})")
    return bad
