"""The figure of losses_and_k.md, from what ganlab compare wrote: python docs/studies/figure.py FOLDER FOLDER OUT.png"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt

LOSSES = {
    "minimax": "minimax",
    "non_saturating": "non-\nsaturating",
    "least_squares": "least\nsquares",
    "hinge": "hinge",
    "wasserstein_toy": "Wasserstein\n+ penalty",
}
KS = {"1": ("#D55E00", "o"), "2": ("#009E73", "s"), "5": ("#0072B2", "^")}
DATA = {"ring": "theory/ema_jsd", "grid": "theory/ema_jsd", "mixture1d": "theory/jsd"}
BUDGETS = {"images=256000": "2,000 steps of D", "iterations=1000": "1,000 steps of G"}
TITLES = {"ring": "8 Gaussians on a ring", "grid": "25 Gaussians on a grid", "mixture1d": "2 Gaussians on the line"}


def main(folders: list[str], out: str) -> None:
    figure, axes = plt.subplots(len(folders), 3, figsize=(12, 3.4 * len(folders)), sharey="col", squeeze=False)
    for row, folder in zip(axes, folders, strict=True):
        with (Path(folder) / "scores.csv").open(newline="") as file:
            scores = [line for line in csv.DictReader(file) if line["value"] == "last"]
        for axis, (data, score) in zip(row, DATA.items(), strict=True):
            lines = [line for line in scores if line["data"].startswith(data) and line["score"] == score]
            for x, loss in enumerate(LOSSES):
                for shift, (k, (colour, marker)) in zip((-0.22, 0, 0.22), KS.items(), strict=True):
                    (line,) = [one for one in lines if one["setting"] == f"loss={loss}, k={k}"]
                    mean, low, high = (float(line[name]) for name in ("mean", "low", "high"))
                    axis.errorbar(x + shift, mean, [[mean - low], [high - mean]], color=colour, marker=marker, capsize=3,
                                  label=f"k = {k}" if x == 0 else None)  # fmt: skip
            axis.set_xticks(range(len(LOSSES)), LOSSES.values(), fontsize=8)
            axis.grid(axis="y", alpha=0.3)
            axis.set_title(f"{TITLES[data]}, at {BUDGETS[lines[0]['at']]}", fontsize=9)
        row[0].set_ylabel("JSD(p_data, p_g) [nats]")
    for axis in axes.flat:
        axis.set_ylim(bottom=0)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower center", ncols=len(KS), fontsize=10)
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main(sys.argv[1:-1], sys.argv[-1])
