"""What an extractor saw of data, kept for other processes: real examples are the same ones for each run of a study, and
looking at 10,000 digits is a fifth of `ganlab evaluate`.

A file in $XDG_CACHE_HOME/ganlab/seen (~/.cache/ganlab/seen) holds the features and logits of one tensor, under the hash of
its bytes, of the extractor's weights, and of whatever else decides the last bit: so what is read is what would be computed.
Who deletes them waits a little longer; one that is damaged is not believed.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganlab import __version__
from ganlab.files.atomic import replaced
from ganlab.files.home import cache_home
from ganlab.types import Features

# RuntimeError: a zip's flags that Python does not know
DAMAGED = (ValueError, KeyError, EOFError, TypeError, RuntimeError, zipfile.BadZipFile)
LARGEST = 2**30  # bytes of the folder, beyond which nothing more is kept


class Kept:
    """`about`: the extractor's card."""

    def __init__(self, about: Mapping[str, object]) -> None:
        home = cache_home()
        self.folder = None if home is None else home / "seen"
        self.about = json.dumps(about, sort_keys=True, default=str)

    def read(self, x: Tensor) -> Features | None:
        """What was seen of x [n, *S], on its device; None where that is not known."""
        try:
            with zipfile.ZipFile(file := self._file(x)) as archive:
                if archive.testzip() is not None:  # numpy looks at a checksum only where it reads up to it
                    return None
            with np.load(file, allow_pickle=False) as found:
                features, logits = (torch.from_numpy(found[name]).to(x.device) for name in Features._fields)
        except (*DAMAGED, OSError):
            return None
        return Features(features, logits) if len(features) == len(logits) == len(x) else None

    def write(self, x: Tensor, seen: Features) -> None:
        """Nothing happens where there is no room, or nowhere to write."""
        if self.folder is None:
            return
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            if sum(file.stat().st_size for file in self.folder.iterdir()) < LARGEST:
                with replaced(self._file(x)) as file:
                    np.savez(file, **{name: part.cpu().numpy() for name, part in seen._asdict().items()})

    def _file(self, x: Tensor) -> Path:
        if self.folder is None:
            raise FileNotFoundError
        where = torch.cuda.get_device_name(x.device) if x.device.type == "cuda" else x.device.type
        how = [__version__, torch.__version__, where, torch.get_num_threads(), torch.backends.cpu.get_cpu_capability(),
               torch.backends.mkldnn.enabled, str(x.dtype), list(x.shape)]  # fmt: skip
        found = hashlib.sha256(f"{self.about}{json.dumps(how)}".encode())
        found.update(x.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return self.folder / f"{found.hexdigest()[:32]}.npz"
