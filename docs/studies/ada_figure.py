"""FID, D and p of runs with ADA and without: python docs/studies/ada_figure.py OUT.png WITH_RUN ... -- WITHOUT_RUN ..."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np

ARMS = {"with ADA": "#0072B2", "without": "#D55E00"}
WINDOW = 10  # readings, over which D is shown as a mean


def read(run: str, *names: str) -> np.ndarray:
    """[rows, 1 + names]: thousands of images, and what was read there; rows that lack one of them are left out."""
    with (Path(run) / "metrics.csv").open(newline="") as file:
        rows = [[line.get(name) for name in ("images", *names)] for line in csv.DictReader(file)]
    found = np.array([[float(value or "nan") for value in row] for row in rows if all(row)])
    found[:, 0] /= 1000
    return found


def smooth(values: np.ndarray) -> np.ndarray:
    return np.array([values[max(0, i - WINDOW + 1) : i + 1].mean() for i in range(len(values))])


def main(out: str, arms: Sequence[Sequence[str]]) -> None:
    figure, (fid, outputs, p) = plt.subplots(1, 3, figsize=(12, 3.6))
    for (arm, colour), runs in zip(ARMS.items(), arms, strict=True):
        for i, run in enumerate(runs):
            label = arm if i == 0 else None
            t, values = read(run, "eval/fid").T
            fid.plot(t, values, color=colour, lw=1.2, label=label)
            t, real, fake = read(run, "train/D_real", "train/D_fake").T
            outputs.plot(t, smooth(real), color=colour, lw=1, label=label)
            outputs.plot(t, smooth(fake), color=colour, lw=1, ls="--")
            if arm == "with ADA":
                t, values = read(run, "train/ada_p").T
                p.plot(t, values, color=colour, lw=1, label=label)
    fid.set(yscale="log", ylabel="FID (classifier), 2,000 samples", title="against 2,000 pictures that were not shown")
    fid.set_yticks([3, 4, 6, 10, 20, 40], ["3", "4", "6", "10", "20", "40"])
    fid.minorticks_off()
    outputs.set(ylabel="mean of D", ylim=(0, 1), title="D on data (—) and on samples (- -)")
    p.set(ylabel="p of ADA", title="how often pictures are changed")
    p.set_ylim(bottom=0)
    for axis in (fid, outputs, p):
        axis.set_xlabel("images, thousands")
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    cut = sys.argv.index("--")
    main(sys.argv[1], (sys.argv[2:cut], sys.argv[cut + 1 :]))
