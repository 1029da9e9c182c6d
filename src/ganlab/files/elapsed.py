"""Times in words."""

from __future__ import annotations


def largest_unit(seconds: float) -> str:
    """In its largest unit, rounded down: `3 h`."""
    for size, unit in ((86400 * 365, "y"), (86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
