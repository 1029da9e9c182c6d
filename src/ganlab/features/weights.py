"""Where the weights of published networks lie, and what is said of a file that has none."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

import torch

from ganlab.errors import Mistakes, UserError

NO_WEIGHTS = (OSError, RuntimeError, UnpicklingError, EOFError, KeyError, TypeError, ValueError, AttributeError)


def weights_file(given: str | None, name: str, what: str, download: str) -> tuple[Path, os.stat_result]:
    """The file, and what the disk says of it: the one that is given, otherwise that of this name in torch hub's cache, where
    torch-fidelity would download it to. Nothing is downloaded. Raises UserError where there is none."""
    cache = Path(torch.hub.get_dir()) / "checkpoints" / name
    path = Path(given).expanduser() if given is not None else cache
    try:
        return path, path.stat()
    except OSError as error:
        raise Mistakes(  # in two lines: path and address are too long for one
            [
                f"the weights of {what} are not at {path} ({error.strerror})",
                f"download {download} there, or give metrics.features.weights=PATH",
            ]
        ) from error


@contextmanager
def damage_told(path: Path, what: str) -> Iterator[str]:
    """The sha256 of the file, whose weights are then read; raises UserError for what goes wrong meanwhile."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        yield found
    except NO_WEIGHTS as error:
        raise UserError(f"{path} is damaged or has no weights of {what}: download it again") from error
