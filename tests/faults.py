"""Penalties of a user's own that break a run, each in the way that its seed has: what a sweep has to survive."""

import os
import signal
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg

from ganlab.game.terms import Term

FigureCanvasAgg.draw = lambda canvas: canvas.get_renderer()  # a job's figures are blank, as in conftest.py

RAISE, DIVERGE, KILL, TERMINATE, GOOD = range(0, 3), range(3, 5), range(5, 7), range(7, 8), range(8, 12)


class Fault(Term):
    """Counts its processes as lines of folder/SEED. The first breaks in its third iteration; a divergence happens always."""

    def __init__(self, seed: int, folder: str) -> None:
        super().__init__()
        self.seed, self.file, self.calls = seed, Path(folder) / str(seed), 0

    def forward(self, seen):
        self.calls += 1
        if self.calls == 2:  # the first is on a copy, when the iteration is rehearsed, or begins what counts
            with self.file.open("a") as file:
                file.write(f"{os.getpid()}\n")
            self.first = len(self.file.read_text().splitlines()) == 1
        if self.seed in DIVERGE:
            return seen.on_x.new_full((), float("nan"))
        if self.calls == 3 and self.first:
            if self.seed in RAISE:
                raise ArithmeticError(f"[/seed {self.seed}] cannot go on")
            if self.seed in KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.seed in TERMINATE:
                os.kill(os.getpid(), signal.SIGTERM)
        return seen.on_x.new_zeros(())


class Slow(Term):
    """Leaves time for a signal."""

    def forward(self, seen):
        import time

        time.sleep(0.02)
        return seen.on_x.new_zeros(())
