"""Where the weights of published networks lie."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from ganlab.errors import UserError


def weights_file(given: str | None, name: str, what: str, download: str) -> tuple[Path, os.stat_result]:
    """The file, and what the disk says of it: the one that is given, otherwise that of this name in torch hub's cache, where
    torch-fidelity would download it to. Nothing is downloaded. Raises UserError where there is none."""
    cache = Path(torch.hub.get_dir()) / "checkpoints" / name
    path = Path(given).expanduser() if given is not None else cache
    try:
        return path, path.stat()
    except OSError as error:
        raise UserError(
            f"the weights of {what} are not at {path} ({error.strerror}): download {download} to {cache}, or anywhere else and "
            "give weights=PATH"
        ) from error
