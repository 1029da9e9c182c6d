"""The command that is at work, in the words in which it is typed again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "commands" / "script" / "train.py"  # what `ganlab train` is started as


def typed(argv: Sequence[str]) -> list[str]:
    """`ganlab train ...` for a process that was started by its file."""
    return ["ganlab", "train", *argv[1:]] if argv[:1] == [str(SCRIPT)] else [*argv]


def program() -> str:
    """How training is started here: `ganlab train`, or `python train.py` in a checkout."""
    return "python train.py" if Path(sys.argv[0]).name == "train.py" and sys.argv[0] != str(SCRIPT) else "ganlab train"
