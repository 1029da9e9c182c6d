"""Where pictures lie: folders, .zip and .tar[.gz]. What is none is left out, and counted."""

from __future__ import annotations

import lzma
import os
import tarfile
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ganlab.data.formats import HEAD, begins_as_one, claims_to_be_one
from ganlab.errors import UserError

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
LABELS = "dataset.json"  # StyleGAN's
Read = Callable[[], bytes]


class Holding(NamedTuple):
    """What a source holds."""

    names: list[str]  # paths of the pictures, relative, with slashes
    contents: Iterable[tuple[str, Read]]  # each of them, in the order that is quick to read; a Read may run in a thread
    labels: dict[str, Read]  # files called dataset.json
    left_out: Counter[str]  # how many files of a kind, in words, are not among the pictures


@contextmanager
def holding(source: Path, most: float) -> Iterator[Holding]:
    """Opened for reading; a file of more than `most` bytes is a ValueError. Raises UserError for what cannot be opened."""
    if source.is_dir():
        yield _folder(source, most)
    elif source.suffix.lower() == ".zip":
        with _blamed(source):
            file = zipfile.ZipFile(source)
        with file:
            yield _zip(file, most)
    elif source.name.lower().endswith(ARCHIVES):
        with _blamed(source):
            tar = tarfile.open(source)  # noqa: SIM115 (the next line closes it; what its reader raises has its own name)
        with tar:
            yield _tar(tar, source, most)
    else:
        raise UserError(f"{source} is no archive: data.source takes a folder, .zip or {', '.join(ARCHIVES)} of pictures")


def list_files(folder: Path) -> tuple[list[Path], Counter[str]]:
    """The files under a folder, by name, hidden ones left out. Links are followed, and a folder is read once, however many lead
    to it: by its own place, or else by the first link. Raises UserError for a folder it may not read."""
    found, left_out, seen = list[Path](), Counter[str](), set[tuple[int, int]]()
    waiting, links = [folder], list[Path]()
    while waiting or links:
        at = waiting.pop() if waiting else links.pop(0)
        try:
            about = at.stat()
            if (about.st_dev, about.st_ino) in seen:
                left_out["a link to a folder that is read already"] += 1
                continue
            seen.add((about.st_dev, about.st_ino))
            entries = sorted(os.scandir(at), key=lambda entry: entry.name)
        except OSError as error:
            raise UserError(f"{error.filename} cannot be read ({error.strerror}): check its permissions") from error
        for entry in entries:
            path = at / entry.name
            if _hidden(entry.name):
                left_out["hidden"] += 1
            elif path.is_dir():
                (links if entry.is_symlink() else waiting).append(path)
            elif path.is_file() or claims_to_be_one(entry.name):  # a link to nowhere is told of where it is opened
                found.append(path)
            else:
                left_out["no file"] += 1
        links.sort()
    return sorted(found), left_out


def _folder(folder: Path, most: float) -> Holding:
    files, left_out = list_files(folder)
    members = {file.relative_to(folder).as_posix(): file for file in files}

    def head(name: str) -> bytes:
        with members[name].open("rb") as file:
            return file.read(HEAD)

    def read(name: str) -> bytes:
        _refuse_large(members[name].stat().st_size, most)
        return members[name].read_bytes()

    return _sorted_out([*members], head, left_out, read)


def _zip(file: zipfile.ZipFile, most: float) -> Holding:
    lock = threading.Lock()  # a ZipFile counts its open members, and not in a thread-safe way
    left_out = Counter[str]()
    members = {}
    for info in file.infolist():
        name = _relative(info.filename.replace("\\", "/"))  # as some packers of Windows write it
        if info.is_dir() or info.filename.endswith("\\"):
            continue
        if any(map(_hidden, PurePosixPath(name).parts)):
            left_out["hidden"] += 1
        else:
            members[name] = info

    def head(name: str) -> bytes:
        try:
            with file.open(members[name]) as member:
                return member.read(HEAD)
        except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError):
            return b""  # damaged or locked, and not called a picture

    def read(name: str) -> bytes:
        _refuse_large(members[name].file_size, most)  # no more than that is unpacked
        with lock:
            return file.read(members[name])

    return _sorted_out([*members], head, left_out, read)


def _sorted_out(
    names: list[str], head: Callable[[str], bytes], left_out: Counter[str], read: Callable[[str], bytes]
) -> Holding:
    pictures, labels = list[str](), dict[str, Read]()
    for name in names:
        if PurePosixPath(name).name == LABELS:
            labels[name] = partial(read, name)
        elif claims_to_be_one(name) or begins_as_one(head(name)):
            pictures.append(name)
        else:
            left_out[f"no picture ({PurePosixPath(name).suffix or 'no suffix'})"] += 1
    return Holding(pictures, ((name, partial(read, name)) for name in pictures), labels, left_out)


def _tar(tar: tarfile.TarFile, source: Path, most: float) -> Holding:
    members, labels, left_out = dict[str, tarfile.TarInfo](), dict[str, Read](), Counter[str]()
    with _blamed(source):
        for member in tar:
            name = _relative(member.name)
            if not member.isfile():
                continue
            if any(map(_hidden, PurePosixPath(name).parts)):
                left_out["hidden"] += 1
            elif PurePosixPath(name).name == LABELS:
                _refuse_large(member.size, most)
                labels[name] = partial(bytes, _content(tar, member))
            elif claims_to_be_one(name) or begins_as_one(_content(tar, member, HEAD)):
                members[name] = member
            else:
                left_out[f"no picture ({PurePosixPath(name).suffix or 'no suffix'})"] += 1
        # tarfile takes a header that is damaged or cut off for the end, which is a block of zeros
        assert tar.fileobj is not None
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("it has no end")

    def contents() -> Iterator[tuple[str, Read]]:
        for name, member in members.items():
            if member.size > most:
                yield name, partial(_refuse_large, member.size, most)
                continue
            with _blamed(source):  # read here and in this order: each step back would unpack a .gz from its beginning
                content = _content(tar, member)
            yield name, partial(bytes, content)

    return Holding(list(members), contents(), labels, left_out)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, most: int = -1) -> bytes:
    file = tar.extractfile(member)
    assert file is not None  # only directories and devices have no content
    return file.read(most)


def _refuse_large(size: int, most: float) -> bytes:
    if size > most:
        raise ValueError(f"{size / 1e6:,.0f} MB are over the {most / 1e6:,.0f} of a picture: raise data.max_megapixels")
    return b""


def _hidden(part: str) -> bool:
    return (part.startswith(".") and part != "..") or part == "__MACOSX"


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
