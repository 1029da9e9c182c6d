"""What a user's mistake, and a run that diverged, look like."""

import difflib
from collections.abc import Iterable, Sequence


class UserError(Exception):
    """One sentence that names the key or file, what was found there, and what to do; the process ends with code 2."""


class Locked(UserError):
    """Another process is at work in the run directory, which is therefore not to be touched."""


class Mistakes(UserError):
    """Several sentences, a line each."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = list(mistakes)


class Unsaved(Exception):
    """The disk was full until the end: what was trained is lost; the process ends with code 5."""


class Diverged(Exception):
    """Training met a value that is not finite, or collapsed and was ended for that; the process ends with code 3, and the
    last checkpoint is good."""


class Interrupted(KeyboardInterrupt):
    """A signal ended training early, with a checkpoint: code 75 (EX_TEMPFAIL), start it again."""


class Abandoned(BaseException):
    """A signal came while something was done that can be done again; nobody but its own caller is to catch it."""


class Storage(UserError):
    """There is no room on the disk; the process ends with code 5."""


class Unfinished(Exception):
    """Not all jobs of a sweep are completed; the process ends with `code`: 1 some failed or were killed, 75 some were
    interrupted, 3 some diverged."""

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.code = code


LONGEST = 180  # characters of a sentence: with who says it, and of what kind it is, at most 200


PATH = 1000  # characters


def brief(text: str, most: int = LONGEST) -> str:
    """The text on one line, without the words in its middle where it is too long: the key is at its beginning, what to do at
    its end."""
    text = " ".join(text.split())
    if prose(text) <= most:
        return text
    tail = min(70, most // 2)
    first, last = text[: most - tail - 5], text[-tail:]
    return f"{first.rpartition(' ')[0] or first} ... {last.partition(' ')[2] or last}"


def prose(text: str) -> int:
    """Its length without paths: a sentence is not too long because its reader works deep in a tree. What is longer than PATH is
    no path of anyone."""
    return len(" ".join(word for word in text.split() if "/" not in word or len(word) > PATH))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name."""
    known = sorted(known)
    alike = [each for each in known if each.casefold() == name.casefold()]
    close = alike or difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f": did you mean {close[0]}?"
    listed = ", ".join(known)
    return f"; known are {listed if len(listed) < 100 else listed[:100].rpartition(',')[0] + ', ...'}" if known else ""


def above_zero(**numbers: float) -> None:
    """Raise ValueError for the first of the named numbers that is not."""
    for name, value in numbers.items():
        if not value > 0:
            raise ValueError(f"{name} must be > 0, got {value}")


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
