"""The table of a sweep of zoo.sh, the lowest JSD of the average first: python docs/studies/zoo_table.py runs/sweeps/zoo-ring-*
Means of the final scores over training seeds with 95 % intervals, by the code of `ganlab compare`."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import ganlab

BAD = ["failed", "diverged", "unfinished", "collapsed", "astray", "stalled"]
COLUMNS = {"modes": "modes", "high_quality": "high quality", "reverse_kl": "reverse KL [nats]", "theory/jsd": "JSD of G [nats]",
           "theory/ema_jsd": "JSD of the average [nats]"}  # fmt: skip
LAST = "theory/ema_jsd"


def cell(row: Any, runs: int) -> str:
    """3.4 [3.1, 3.7], and how many runs have the score where not all do."""
    few = f" ({row['n']:.0f} of {runs:.0f})" if row["n"] < runs else ""
    if math.isnan(row["low"]):  # three seeds or fewer
        return f"{row['mean']:.3g}{few}"
    digits = 0 if row["low"] == row["high"] else max(1 - math.floor(math.log10(row["high"] - row["low"])), 0)
    value, low, high = (f"{row[key]:.{min(digits, 4)}f}" for key in ("mean", "low", "high"))
    return f"{value} [{low}, {high}]{few}"


def main(*sweeps: str) -> None:
    lines = []
    for sweep in sweeps:
        scores = ganlab.compare(sweep).scores
        last = scores[scores["value"] == "last"].set_index("score")
        runs, bad = last["runs"].max(), last.filter(items=BAD).max()
        told = ", ".join(f"{count:.0f} {word}" for word, count in bad.items() if count)
        cells = [cell(last.loc[score], runs) if score in last.index else "-" for score in COLUMNS]
        lines.append((last["mean"].get(LAST, math.inf), [Path(sweep).name.split("-", 2)[2], *cells, told or "-"]))
    print("| setting | " + " | ".join(COLUMNS.values()) + " | of its runs |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    for _, line in sorted(lines):
        print("| " + " | ".join(line) + " |")


if __name__ == "__main__":
    main(*sys.argv[1:])
