"""How a run has ended, or a job of a sweep stands, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """From the best to the worst; the words are those of the files."""

    COMPLETED = "completed"
    DIVERGED = "diverged"  # a loss is not finite
    COLLAPSED = "collapsed"  # samples are alike
    WAITING = "not started"  # a job of a sweep
    INTERRUPTED = "interrupted"  # by a signal, with a checkpoint
    UNFINISHED = "unfinished"  # there is no result: it trains, or it was killed
    UNSAVED = "unsaved"  # the disk was full until the end
    KILLED = "killed"  # a job of a sweep
    FAILED = "failed"

    @classmethod
    def of(cls, result: Mapping[str, Any] | None) -> Status:
        """Of what result.json says, if there is one."""
        return cls(result["status"]) if result and "status" in result else cls.UNFINISHED

    @property
    def early(self) -> bool:
        """Whether it ended so before its budget was spent because of the game: that is what a setting leads to, and training it
        again would lead there again."""
        return self in (Status.DIVERGED, Status.COLLAPSED)

    @property
    def counts(self) -> bool:
        """Whether its scores do: a broken run is nothing that a setting leads to."""
        return self is Status.COMPLETED or self.early

    @property
    def exit_code(self) -> int:
        """Of train.py and of a sweep; 75 is EX_TEMPFAIL: start it again. A user's mistake has 2, a full disk 5."""
        if self.counts:
            return 3 if self.early else 0
        if self is Status.UNSAVED:
            return 5
        return 75 if self in (Status.INTERRUPTED, Status.WAITING) else 1
