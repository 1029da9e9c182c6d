"""Where what can be made again is kept for all runs of a user."""

from __future__ import annotations

import os
from pathlib import Path


def cache_home() -> Path | None:
    """$XDG_CACHE_HOME/ganlab (~/.cache/ganlab); None for a user without a home directory."""
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "ganlab"
    try:
        return Path.home() / ".cache" / "ganlab"
    except RuntimeError:
        return None
