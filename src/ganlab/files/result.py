"""How a run ended: what goes into result.json, and onto the terminal."""

from __future__ import annotations

import math
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ganlab.files.command import typed
from ganlab.files.verdict import Verdict, verdict_in_words

PACKAGES = ("ganlab", "torch", "torchvision", "pytorch-lightning", "hydra-core", "torchmetrics", "wandb", "numpy")

Scores = dict[str, dict[str, float]]  # of a metric: its value and the iteration, or those that it is the mean over


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def provenance() -> dict[str, Any]:
    """What made the numbers: command, commit and versions."""
    versions = {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}
    command = os.environ.get("GANLAB_COMMAND") or shlex.join(typed(sys.argv))  # that of the sweep, which its jobs inherit
    return {"command": command, "commit": commit(), "versions": versions}


@cache  # of the code as it was when the process began
def commit() -> str | None:
    """The commit of the code that runs, with `+` if files were changed since; None outside a checkout."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # installed in somebody else's checkout, as in its .venv
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def without_nan(value: Any) -> Any:
    """JSON has no NaN: it becomes null, wherever it is in dicts and lists."""
    if isinstance(value, dict):
        return {key: without_nan(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def report(result: dict[str, Any], lines: list[str]) -> None:
    """The end of a run in the terminal: what it scored, and where to look."""
    console = Console()
    title = (
        f"{result['name']}: {result['status']} after {result['iterations']:,} iterations, "
        f"{result['images']:,} images, {result['seconds']:.0f} s"
    )
    table = Table()
    for column in ("score", "last", "best", "at iteration", "mean"):
        table.add_column(column, justify="left" if column.startswith("score") else "right")
    for name, final in result["final"].items():
        best = result["best"].get(name)
        if best is not None:
            mean = _short(result["mean"][name]["value"])
            table.add_row(name, _short(final["value"]), _short(best["value"]), f"{best['iteration']:,}", mean)
        elif not name.startswith("theory/"):
            table.add_row(name, _short(final["value"]), "-", "-", "-")
    console.print(title, highlight=False, soft_wrap=True)
    found = Verdict(**result["verdict"])
    if found.state not in ("healthy", "unknown"):
        console.print(f"verdict    {verdict_in_words(found)}", highlight=False, soft_wrap=True, style="bold")
    if table.rows:
        console.print(table)
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
