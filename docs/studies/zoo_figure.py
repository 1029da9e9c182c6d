"""What each choice does on a toy: samples of the average of G in the first seed of each sweep of zoo.sh, beside data.
python docs/studies/zoo_figure.py OUT.png runs/sweeps/zoo-ring-*"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import torch

from ganlab import load
from ganlab.run.config import build

N, COLUMNS, BLUE, ORANGE = 2_000, 6, "#0072B2", "#D55E00"


def main(out: str, *sweeps: str) -> None:
    sets, runs = [], {Path(sweep).name.split("-", 2)[2]: load(Path(sweep) / "seed-0") for sweep in sorted(sweeps)}
    for name, run in runs.items():
        found = {name: one["value"] for name, one in run.result["final"].items()}
        title = f"{name.replace('_', ' ')}\n{found['modes']:g} modes, {found['high_quality']:.0%} near"
        sets.append((title, run.sample(N, seed=0), ORANGE))
    x, _ = build(run.config["data"], "data").sample(N, torch.Generator().manual_seed(0))
    sets.insert(0, ("the data\n", x, BLUE))
    rows, reach = -(-len(sets) // COLUMNS), 1.3 * x.abs().max().item()
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(1.9 * COLUMNS, 2.25 * rows), squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (title, points, colour) in zip(axes.flat, sets, strict=False):
        axis.set_axis_on()
        axis.scatter(*points.T.numpy(), s=3, alpha=0.3, color=colour, linewidths=0)
        axis.set_title(title, fontsize=9)
        axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
    figure.savefig(out, dpi=90, bbox_inches="tight", pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main(*sys.argv[1:])
