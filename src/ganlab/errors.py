"""What a user's mistake, and a run that diverged, look like."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """One sentence that names the key or file, what was found there, and what to do; the process ends with code 2."""


class Locked(UserError):
    """Another process is at work in the run directory, which is therefore not to be touched."""


class Diverged(Exception):
    """Training met a value that is not finite, or collapsed and was ended for that; the process ends with code 3, and the
    last checkpoint is good."""


class Interrupted(KeyboardInterrupt):
    """A signal ended training early, with a checkpoint: code 75 (EX_TEMPFAIL), start it again."""


class Unfinished(Exception):
    """Not all jobs of a sweep are completed; the process ends with `code`: 1 some failed or were killed, 75 some were
    interrupted, 3 some diverged."""

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.code = code


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f": did you mean {close[0]}?" if close else f"; known are {', '.join(known)}" if known else ""


def at_least_one(**counts: int) -> None:
    """Raise ValueError for the first of the named counts that is not positive."""
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} must be >= 1, got {value}")


def none_negative(**values: float) -> None:
    """Raise ValueError for the first of the named values that is below 0, or no number."""
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{name} must be >= 0, got {value}")
