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


SCORES, THEORY = 6, 4  # in the terminal: the rest is in result.json


def report(result: dict[str, Any], lines: list[str]) -> None:
    """The end of a run in the terminal: how it ended, what it scored, the theory apart, and where to look."""
    console = Console()
    title = (
        f"{result['name']}: {result['status']} after {result['iterations']:,} iterations, "
        f"{result['images']:,} images, {result['seconds']:.0f} s"
    )
    console.print(title, highlight=False, soft_wrap=True)
    found = Verdict(**result["verdict"])
    why = f": {found.why}" if found.state == "unknown" and found.why else ""
    style = "bold" if found.state not in ("healthy", "unknown") else None
    console.print(f"verdict    {verdict_in_words(found)}{why}", highlight=False, soft_wrap=True, style=style)
    scores = [name for name in result["final"] if not name.startswith("theory/")]
    theory = [name for name in result["best"] if name.startswith("theory/")]
    if scores:
        console.print(_table(result, scores[:SCORES]))
    if more := len(scores) - SCORES if len(scores) > SCORES else 0:
        lines = [f"scores     {more} more: {', '.join(scores[SCORES:])}", *lines]
    if theory:
        shown = sorted(theory, key=lambda name: not name.startswith("theory/ema_"))[:THEORY]
        told = ", ".join(f"{name.removeprefix('theory/')} {_short(result['final'][name]['value'])}" for name in shown)
        rest = f"; {len(theory) - len(shown)} more in result.json" if len(theory) > len(shown) else ""
        lines = [f"theory     {told}{rest}", *lines]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _table(result: dict[str, Any], names: list[str]) -> Table:
    whose = {"EMA": "the average of G (EMA)", "raw": "G itself"}.get(str(result["cards"].get(names[0], {}).get("weights")))
    table = Table(title=f"scores of {whose}" if whose else None, title_justify="left")
    for column in ("score", "last", "best", "at iteration", "mean"):
        table.add_column(column, justify="left" if column == "score" else "right", overflow="fold")
    for name in names:
        best, mean = result["best"].get(name), result["mean"].get(name)
        ends = ("-", "-") if best is None else (_short(best["value"]), f"{best['iteration']:,}")
        table.add_row(name, _short(result["final"][name]["value"]), *ends, "-" if mean is None else _short(mean["value"]))
    return table


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
