"""A checkpoint as a file: a checksum over all of it decides whether it is whole, and what it says of itself."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ganlab.errors import UserError

MARK = b"ganlab\x00\x01"  # after the archive that torch.save writes, which torch.load does not mind; then the digest
SIZE = 32
TAIL = len(MARK) + SIZE
END = b"PK\x05\x06"  # of an archive without a comment, as torch.save writes it: its last 22 bytes begin so
NEEDED = ("state_dict", "global_step", "optimizer_states", "callbacks")


class Summed:
    """A file open for writing that keeps the checksum of what it is given."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._sum = file, hashlib.blake2b(digest_size=SIZE)
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        self._sum.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        """Write the checksum behind it."""
        self._file.write(MARK + self._sum.digest())


def save_summed(state: Any, file: BinaryIO) -> None:
    """torch.save with its checksum."""
    import torch  # here and below: who only reads what runs say of themselves need not wait for it

    summed = Summed(file)
    try:
        torch.save(state, summed)  # type: ignore[arg-type]
    except RuntimeError as error:  # what torch makes of a full disk
        raise summed.error or error from error
    summed.close()


def problem(path: Path, needed: Sequence[str] = NEEDED) -> str | None:
    """Why a checkpoint is not as it was written, by its checksum, or, of a ganlab that wrote none, by that it can be read; or
    is none that a run has written. None if nothing is wrong."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            file.seek(max(0, size - TAIL))
            tail = file.read()
            if tail[-22:-18] != END or tail[-2:] != b"\0\0":  # not one of before
                if len(tail) < TAIL or not tail.startswith(MARK):
                    return "it is cut off, or no checkpoint"
                file.seek(0)
                if _digest(file, size - TAIL) != tail[len(MARK) :]:
                    return "its checksum is wrong"
        state = read_checkpoint(path)
        if tail[-22:-18] == END:
            _read_all(path, state)
    except UserError as error:
        return str(error)
    except OSError as error:
        return str(error.strerror)
    missing = [name for name in needed if not isinstance(state, dict) or name not in state]
    return f"it has no {missing[0]}, and is no checkpoint of a run" if missing else None


def read_checkpoint(path: Path, mmap: bool = True) -> Any:
    """What is in it, on the CPU; raises UserError for whatever torch.load raises."""
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise  # of the disk, and not of what torch makes of the file
        raise UserError(f"{path} is damaged, or no checkpoint: {type(error).__name__}") from error


def _read_all(path: Path, state: Any) -> None:
    """Of one without a checksum: the archive's own, which torch.load does not look at."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            if (name := archive.testzip()) is not None:
                raise UserError(f"the checksum of {name} is wrong")
    except OSError:
        raise
    except Exception as error:
        raise UserError(f"its archive is damaged: {type(error).__name__}") from error


def _digest(file: BinaryIO, size: int) -> bytes:
    found = hashlib.blake2b(digest_size=SIZE)
    while size > 0 and (part := file.read(min(size, 1 << 22))):
        found.update(part)
        size -= len(part)
    return found.digest()


def iteration_of(checkpoint: Path) -> int:
    """The iteration of Algorithm 1 after which it was written."""
    state = read_checkpoint(checkpoint)
    return int(state.get("iteration", state["global_step"]))
