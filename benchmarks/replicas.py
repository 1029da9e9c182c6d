"""How much faster are R replicas at once than R single runs one after another? Both by ganlab's own bare step, in one process.

    python benchmarks/replicas.py [--rounds 5]

Rounds are interleaved, one thread, CPU time: median [first and third quartile] of the ratio. A round's single run takes as many
iterations as its replicas do.
"""

from __future__ import annotations

import argparse
import statistics
import time
from types import SimpleNamespace

import torch
from speed import configured, quartiles

from ganlab.game.module import GAN
from ganlab.game.replicas import Replicas
from ganlab.run.build import game_of
from ganlab.run.config import build

CASES = [(32, 64, 16), (32, 64, 64), (128, 128, 10), (128, 128, 16)]  # width, batch size, R


class _Nobody:
    """Counts iterations for no Lightning."""

    def increment_by(self, n: int) -> None:
        pass


def game(width: int, batch_size: int, seed: int) -> GAN:
    settings, _ = configured(f"model.G.width={width}", f"model.D.width={width}", f"batch_size={batch_size}", f"seed={seed}")
    torch.manual_seed(seed)
    gan = game_of(settings)
    gan._trainer = SimpleNamespace(world_size=1, global_rank=0)  # type: ignore[assignment]
    gan._progress = SimpleNamespace(total=_Nobody(), current=_Nobody())  # type: ignore[assignment]
    gan.next_look = lambda t: 10**9
    gan.begin(torch.autograd.backward, ())
    return gan


def measure(width: int, batch_size: int, R: int, rounds: int) -> None:
    source = build(configured()[0].data, "data")
    single, replicas = game(width, batch_size, 0), Replicas([game(width, batch_size, seed) for seed in range(R)], source)
    n = max(3, 480 // R)

    def alone() -> float:
        start = time.process_time()
        until = single.t + n
        while single.t < until:  # a call ends after 0.2 s
            single.at_once = until - single.t
            single.training_step(lambda t: source.minibatches(t, 1, batch_size, 0, slice(None)), 0)
        return (time.process_time() - start) / n

    def together() -> float:
        start = time.process_time()
        replicas.play(replicas.games[0].t + n)
        return (time.process_time() - start) / n

    alone(), together()
    pairs = [(alone(), together()) for _ in range(rounds)]
    ratios = [R * a / b for a, b in pairs]
    ms = [1000 * statistics.median(each) for each in zip(*pairs, strict=True)]
    print(f"width {width}, batch {batch_size}, R = {R}: {quartiles(ratios)}   "
          f"{ms[0]:.2f} ms alone, {ms[1]:.2f} ms for all", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for width, batch_size, R in CASES:
        measure(width, batch_size, R, rounds)


if __name__ == "__main__":
    main()
