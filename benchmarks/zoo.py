"""What each choice of the zoo costs: an iteration with it against one without, on the ring with the default nets (2 x 128,
minibatches of 128) and on 32 x 32 pictures with a dcgan of width 16 (minibatches of 64). Interleaved in one process, so that a
busy machine is busy for all; medians of the ratios. `python benchmarks/zoo.py` prints a Markdown table."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir

from ganlab.random import Draws, handed
from ganlab.run.build import game_of
from ganlab.run.config import resolve, validate
from ganlab.types import Batch

ROOT = Path(__file__).resolve().parent.parent
POINTS = ("data=ring", "theory=none", "metrics=none")
IMAGES = ("data=cifar10", "model=dcgan", "model.G.width=16", "model.D.width=16", "theory=none", "metrics=none")
GROUPS = ("loss", "adjust", "penalty", "augment", "objective", "updates")
PLAIN = {"loss=non_saturating", "adjust=none", "penalty=none", "augment=none", "objective=adversarial", "updates=alternating"}


def choices() -> list[str]:
    found = [f"{group}={path.stem}" for group in GROUPS for path in sorted((ROOT / "conf" / group).glob("*.yaml"))]
    return [choice for choice in found if choice not in PLAIN] + ["penalty=[r1,r2]"]


def iteration(base: tuple[str, ...], choice: str, batch: int) -> Callable[[int], None]:
    """One iteration of Algorithm 1 without Lightning: both gradients and both steps."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        settings = validate(resolve(compose("config", [*base, choice, "name=zoo"])))
    torch.manual_seed(0)
    gan = game_of(settings)
    gan.backward_to, gan._frozen = torch.autograd.backward, ()
    gan._draws = Draws(torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, batch, *settings.shape, generator=generator).clamp(-1, 1)
    y = torch.zeros(1, batch, dtype=torch.long)
    gan.noise = lambda: gan.prior.sample(batch, generator)  # type: ignore[method-assign]

    def once(t: int) -> None:
        gan.now.D_steps = gan.now.G_steps = t
        gan._draws.prepare(t, t)
        with handed(gan._draws):
            gan.updates(gan, Batch(x, y))

    return once


def ratios(base: tuple[str, ...], batch: int, rounds: int, n: int) -> dict[str, float | str]:
    plain = iteration(base, "penalty=none", batch)
    found: dict[str, float | str] = {}
    for choice in choices():
        try:
            other = iteration(base, choice, batch)
            timed(other, n)
        except Exception as error:
            found[choice] = f"- ({type(error).__name__})"
            continue
        found[choice] = statistics.median(timed(other, n) / timed(plain, n) for _ in range(rounds))
        print(f"{choice:40s} {found[choice]}", flush=True)
    return found


def timed(once: Callable[[int], None], n: int) -> float:
    started = time.process_time()
    for t in range(n):
        once(t)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    points, images = ratios(POINTS, 128, arguments.rounds, 32), ratios(IMAGES, 64, arguments.rounds, 4)
    print("| choice | ring | 32 x 32 |\n|---|---|---|")
    shown = lambda value: value if isinstance(value, str) else f"{value:.2f}"  # noqa: E731
    for choice in points:
        print(f"| `{choice}` | {shown(points[choice])} | {shown(images[choice])} |")


if __name__ == "__main__":
    main()
