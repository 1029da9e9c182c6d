"""The other processes of a run: what is left to say when one of them has died."""

from __future__ import annotations

import torch.distributed

from ganlab.errors import Unfinished

SIGNS = ("gloo/transport", "ncclRemoteError", "Connection closed by peer", "Connection reset by peer")


def process_lost(error: BaseException) -> bool:
    """Whether it says that another process is no longer there; why that one ended is told where it happened."""
    lost = isinstance(error, torch.distributed.DistNetworkError) or any(sign in str(error) for sign in SIGNS)
    return isinstance(error, RuntimeError) and lost


def without_it(path: object) -> Unfinished:
    """Exit code 1, and how to go on."""
    return Unfinished(f"another process of this run has died: resume={path} goes on from its last checkpoint", 1)
