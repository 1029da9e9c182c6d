"""What does compile=inductor gain, what does its first step cost, and how far is it from the iteration as it is written?

    python benchmarks/compiled.py [--rounds 9] [--seeds 5] [--precision 64-true] [setting ...]

A setting is overrides joined by commas: `penalty=r1,ema_decay=0.99`. Both ways are ganlab's own bare step, in one process;
rounds are interleaved, one thread, CPU time: median [first and third quartile] of the ratio. The distance is that of all
weights after 100 iterations, relative to their norm; beside it that of an iteration as it is written from weights of which each
was changed by at most an ulp, 6e-8 (float64: 1e-16). TORCHINDUCTOR_CACHE_DIR=EMPTY_FOLDER has the first step be a cold one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from types import SimpleNamespace

import torch
from speed import configured, quartiles

from ganlab.game.compiled import AsWritten, Inductor
from ganlab.game.graphs import Graphs
from ganlab.game.module import GAN
from ganlab.precision import computed_in
from ganlab.run.build import game_of
from ganlab.run.config import build
from ganlab.types import Source

EQUAL = 100  # iterations after which weights are compared


def game(overrides: list[str], seed: int, way: AsWritten) -> GAN:
    settings, _ = configured(*overrides, f"seed={seed}")
    torch.manual_seed(seed)
    gan = game_of(settings)
    gan.way = way
    gan._trainer = SimpleNamespace(world_size=1, global_rank=0)  # type: ignore[assignment]
    gan.begin(torch.autograd.backward, ())
    return gan


def play(gan: GAN, source: Source, n: int) -> float:
    """CPU seconds, those of compilers included."""
    began = spent()
    for t in range(gan.t, gan.t + n):
        gan.prepare(t)
        gan.iterate(source.minibatches(t, gan.k, gan.batch_size, gan.seed, slice(None)))
        gan.now.t += 1
    return spent() - began


def spent() -> float:
    return sum(os.times()[:4])


def distance(one: GAN, other: GAN) -> float:
    return float((weights(one) - weights(other)).norm() / weights(one).norm())


def nudged(overrides: list[str], seed: int, source: Source) -> GAN:
    gan, generator = game(overrides, seed, AsWritten()), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for w in (*gan.weights_G, *gan.weights_D):
            w.mul_(1 + (torch.rand(w.shape, generator=generator) - 0.5) * torch.finfo(w.dtype).eps)
    play(gan, source, EQUAL)
    return gan


def weights(gan: GAN) -> torch.Tensor:
    return torch.cat([w.detach().flatten() for w in (*gan.weights_G, *gan.weights_D)]).double()


def measure(overrides: list[str], rounds: int, seeds: int) -> None:
    source = build(configured(*overrides)[0].data, "data")
    games = [[game(overrides, seed, way) for way in (AsWritten(), Inductor())] for seed in range(seeds)]
    written, compiled = games[0]
    n, wall = 40, time.perf_counter()
    before = play(written, source, n)
    first, again = (play(one[1], source, n) - before for one in (games[0], games[-1]))
    print(f"{','.join(overrides) or 'default'}: the first {n} iterations cost {first:.1f} CPU s more, of another game then "
          f"{again:.1f}, wall of all {time.perf_counter() - wall:.0f} s", flush=True)  # fmt: skip
    far = []
    for one in games:
        for gan in one:
            play(gan, source, EQUAL - gan.t)
        assert isinstance(one[1].iterate, Graphs)
        assert not one[1].iterate.refused
        far.append([distance(one[0], gan) for gan in (one[1], nudged(overrides, one[0].seed, source))])
    for name, each in zip(("compiled", "changed by an ulp"), zip(*far, strict=True), strict=True):
        print(f"  after {EQUAL} iterations, by seeds, {name}: {' '.join(f'{value:.1e}' for value in each)}", flush=True)
    pairs = [(play(written, source, 200), play(compiled, source, 200)) for _ in range(rounds)]
    ratios = [a / b for a, b in pairs]
    ms = [1000 * statistics.median(each) / 200 for each in zip(*pairs, strict=True)]
    pays = [f"{1000 * each / (ms[0] - ms[1]):,.0f}" for each in (first, again)]
    print(f"  ratio {quartiles(ratios)}, {ms[0]:.2f} ms as written, {ms[1]:.2f} compiled; "
          f"pays after {pays[0]} iterations, or {pays[1]}", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("settings", nargs="*", default=[""])
    given = parser.parse_args()
    torch.set_num_threads(1)
    for setting in given.settings:
        with computed_in(given.precision):
            measure([each for each in setting.split(",") if each], given.rounds, given.seeds)


if __name__ == "__main__":
    main()
