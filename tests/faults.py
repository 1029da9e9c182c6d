"""Penalties of a user's own that break a run, each in the way that its seed has: what a sweep has to survive."""

import os
import resource
import signal
import time
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg

from ganlab.game.terms import Term
from ganlab.metrics.modes import ModeCounts

FigureCanvasAgg.draw = lambda canvas: canvas.get_renderer()  # a job's figures are blank, as in conftest.py

RAISE, DIVERGE, KILL, TERMINATE, GOOD = range(0, 2), range(2, 3), range(3, 4), range(4, 5), range(5, 7)
ALL = range(7)


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
        if self.seed in DIVERGE and self.calls >= 2:
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
        time.sleep(0.02)
        return seen.on_x.new_zeros(())


class Trouble(Term):
    """What the environment's FAULT asks for, in the third iteration; every iteration takes `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.calls = seconds, 0

    def forward(self, seen):
        self.calls += 1
        time.sleep(self.seconds)
        if self.calls == 3 and (fault := os.environ.get("FAULT")):
            FAULTS[fault]()
        return seen.on_x.new_zeros(())


def killed(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def in_a_save(stage):
    """SIGKILL within the next checkpoint's writing: before its first byte, after its half, before fsync, before and after the
    renaming, before an old one is deleted."""
    from ganlab.files import atomic, checkpoint

    def patch():
        if stage in ("open", "half"):
            write, written = checkpoint.Summed.write, []

            def half(self, data):
                if stage == "open" or written:
                    killed()
                written.append(1)
                return write(self, data)

            checkpoint.Summed.write = half
        elif stage == "fsync":
            atomic.os.fsync = killed
        elif stage in ("replace", "replaced"):
            replace = Path.replace
            Path.replace = lambda self, to: killed() if stage == "replace" else (replace(self, to), killed())
        else:
            Path.unlink = killed

    return patch


def full():
    """No file may have more than so many bytes, which has the errors of a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))


def slow_save():
    import ganlab.run.checkpoint

    save = ganlab.run.checkpoint.save_summed
    ganlab.run.checkpoint.save_summed = lambda *given: (time.sleep(1.5), save(*given))


SAVES = ("open", "half", "fsync", "replace", "replaced", "prune")
FAULTS = {**{stage: in_a_save(stage) for stage in SAVES}, "full": full, "slow_save": slow_save}


class SlowScore(ModeCounts):
    """Takes ten seconds, in small steps."""

    def compute(self):
        for _ in range(1000):
            time.sleep(0.01)
        return super().compute()


class Struck(Term):
    """In the third iteration: seed 0 is killed by SIGKILL, 1 by the kernel for its memory, in a control group of its own below
    `group`, and 2 finds the disk full."""

    def __init__(self, seed: int, group: str) -> None:
        super().__init__()
        self.seed, self.group, self.calls = seed, Path(group) / f"ganlab-{os.getpid()}", 0

    def forward(self, seen):
        self.calls += 1
        time.sleep(0.02)
        if self.calls == 3 and self.seed < 3:
            (killed, self.eat, full)[self.seed]()
        return seen.on_x.new_zeros(())

    def eat(self):
        self.group.mkdir()
        (limit,) = (file for name in ("memory.max", "memory.limit_in_bytes") if (file := self.group / name).exists())
        limit.write_text(str(64 << 20))
        (self.group / "cgroup.procs").write_text(str(os.getpid()))
        eaten = [b"\1" * (8 << 20) for _ in range(1000)]
        raise MemoryError(f"the limit did not hold: {len(eaten)}")
