"""What each family of images costs: CPU seconds per 1,000 real images of D, with the game that its yaml brings and one step of
D an iteration, against dcgan. Interleaved in one process, medians over rounds. `python benchmarks/networks.py` prints a
Markdown table; --published takes the widths of the yamls in place of one for all."""

from __future__ import annotations

import argparse
import statistics

import torch
from zoo import iteration, timed

MODELS = ("dcgan", "sngan", "wgan_gp", "sagan", "biggan", "stylegan2", "r3gan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--published", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    games = {}
    for model in MODELS:
        widths = () if arguments.published else tuple(f"model.{net}.width={arguments.width}" for net in "GD")
        base = ("data=cifar10", f"model={model}", "theory=none", "metrics=none", *widths)
        games[model] = iteration(base, "k=1", arguments.batch)
        timed(games[model], 1)
    found: dict[str, list[float]] = {model: [] for model in MODELS}
    for _ in range(arguments.rounds):
        for model, once in games.items():
            found[model].append(timed(once, 1) / arguments.batch * 1000)
    print("| model | seconds per 1,000 images | times dcgan |\n|---|---|---|")
    for model, seconds in found.items():
        ratio = statistics.median(a / b for a, b in zip(seconds, found["dcgan"], strict=True))
        print(f"| {model} | {statistics.median(seconds):.2f} | {ratio:.1f} |", flush=True)


if __name__ == "__main__":
    main()
