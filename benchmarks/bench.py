"""`make bench`: writes docs/performance.md, of this machine; `make bench-quick` prints a part of it in two minutes.

    python benchmarks/bench.py [--quick] [--root data] [--out docs/performance.md]

Each row or table is measured by itself and kept beside the page's source in `.bench.json`: a bench that was broken off goes on
where it was, `--afresh` begins anew. Rows are ratios of interleaved rounds in one process, one thread, CPU time; whole commands
are processes of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import many  # noqa: E402
import speed  # noqa: E402
import torch  # noqa: E402

Table = list[list[str]]
Keep = Callable[[str, Callable[[], Any]], Any]  # what is measured once, by its name
TOY = ("data=ring", "model=mlp", "threads=1")
PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "numpy")
LARGE_LOAD = 0.5  # of other processes, above which the page says that it is not to be trusted


def dcgan(root: Path, width: int) -> tuple[str, ...]:
    return ("data=mnist", f"data.root={root}", "model=dcgan", "shape=[1,32,32]", "threads=1",
            f"model.G.width={width}", f"model.D.width={width}")  # fmt: skip


def against_loops(
    setting: tuple[str, ...],
    rounds: int,
    warm: int,
    n: int,
    defaults: tuple[str, ...] | None = None,
    of_loops: tuple[str, ...] = (),
) -> list[str]:
    """Speed of bare ganlab, and of whole runs with everything but `defaults` at its default, as multiples of each loop's, which
    have `of_loops` beside."""
    settings, _ = speed.configured(*setting, *of_loops)
    runs: dict[str, Callable[[], float]] = {
        "bare": lambda: speed.bench(setting, warm, n),
        **{name: (lambda loop=loop: loop(settings, warm, n)) for name, loop in speed.LOOPS.items()},  # type: ignore[misc]
    }
    if defaults is not None:
        runs["default"] = lambda: speed.default((*setting, *defaults))
    took: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(rounds):
        for name in [*runs][:: 1 if i % 2 else -1]:
            took[name].append(runs[name]())
    ours = [f"{1000 * statistics.median(took['bare']):.3g}"]
    for name in speed.LOOPS:
        ours.append(speed.quartiles([theirs / bare for theirs, bare in zip(took[name], took["bare"], strict=True)]))
    if defaults is not None:
        ours.append(speed.quartiles([a / b for a, b in zip(took["tuned"], took["default"], strict=True)]))
    return [*ours, "-"] if defaults is None else ours


def iterations(root: Path, quick: bool, keep: Keep) -> Table:
    rounds = 3 if quick else 5
    rows = [["setting", "ms, bare", *(f"bare / {name}" for name in speed.LOOPS), "default / tuned"]]
    wanted = {"toy, 2 x 128, batch 128": lambda: against_loops(TOY, rounds, 50, 300, ())}
    if not quick:
        wanted["toy, batch 2048"] = lambda: against_loops((*TOY, "batch_size=2048"), rounds, 10, 40)
    if (root / "MNIST" / "raw").is_dir():
        for width in (32,) if quick else (16, 32):
            setting = (*dcgan(root, width), "at_once=2")
            wanted[f"DCGAN 32 x 32, width {width}, batch 128"] = lambda given=setting: against_loops(  # type: ignore[misc]
                given, rounds, 2, 6, of_loops=speed.CONTIGUOUS
            )
    return [*rows, *([name, *keep(name, row)] for name, row in wanted.items())]


def whole_command(root: Path, quick: bool, keep: Keep) -> Table:
    """`python train.py`: CPU seconds of its parts, by what the run itself counts; the rest is start and end."""
    rows = [["part", "CPU s", "share"]]
    with tempfile.TemporaryDirectory() as text:
        cwd = Path(text)
        # as a run does
        lightly = "from ganlab.run.lightly import import_lightly; import_lightly(''); import ganlab.run.experiment"
        started = many.command("-c", lightly, cwd=cwd)[1]
        given = ("logger=csv", "hydra.run.dir=run", "threads=1", *(["iterations=500"] if quick else []))
        _, cpu, _ = many.train_py(*given, cwd=cwd)
        result = json.loads((cwd / "run/result.json").read_text())
        parts = {"training": result["seconds"], **{key.replace("_", " "): result[key] for key in result
                 if key.startswith("seconds_of_")}}  # fmt: skip
    parts = {"imports": started, **parts}
    parts["the rest: composing, drawing, closing"] = cpu - sum(parts.values())
    rows += [[name, f"{value:.1f}", f"{value / cpu:.0%}"] for name, value in parts.items()]
    return [*rows, ["all", f"{cpu:.1f}", "100%"]]


def scaling(root: Path, quick: bool, keep: Keep) -> Table:
    rows = [["command", "number", "wall s", "CPU s"]]
    with tempfile.TemporaryDirectory() as text:
        cwd = Path(text)
        job = many.one_job(cwd)
        for n in (20,) if quick else (20, 100, 500):
            first, again = many.finished_jobs(cwd, job, n)
            rows.append(
                ["a sweep, all of it finished, checked for the first time", str(n), f"{first[0]:.1f}", f"{first[1]:.1f}"]
            )
            rows.append(["the same once more", str(n), f"{again[0]:.1f}", f"{again[1]:.1f}"])
        for n in (200,) if quick else (50, 200, 800):
            wall, cpu, _ = many.many_runs(cwd, job, n)
            rows.append(["ganlab compare", str(n), f"{wall:.1f}", f"{cpu:.1f}"])
    return rows


TABLES: dict[str, tuple[str, Callable[[Path, bool, Keep], Table]]] = {
    "iterations": ("## An iteration\n\nSpeed as a multiple of that of each loop of `benchmarks/loops.py`, which have the same "
                   "networks, losses and data (DCGAN's in torch's own memory format, where ganlab's are in channels_last): "
                   "median [quartiles] over interleaved rounds, one thread, CPU time.", iterations),
    "command": ("## The whole command\n\n`python train.py logger=csv`, one thread. "
                "Training and theory are of the run's own clock, a wall clock: "
                "on a busy machine their rows are too large, and that of the rest too small.", whole_command),
    "scaling": ("## Many jobs, many runs\n\nWhole commands, start and imports included.", scaling),
}  # fmt: skip


def machine() -> str:
    """What it was measured on, and who else was there."""
    try:
        name = next(
            line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
        )
    except (OSError, StopIteration):
        name = platform.processor()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0]
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    doubt = " **Others were at work: walls mean nothing, ratios little.**" * (load > LARGE_LOAD)
    return (f"{name}, {cores} cores, load {load:.1f} before the bench began.{doubt} Python {platform.python_version()}, "
            f"{versions}; commit {commit or 'unknown'}; {time.strftime('%Y-%m-%d')}.")  # fmt: skip


def markdown(rows: Table) -> str:
    head, *rest = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *rest])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("data"), help="where MNIST lies (MNIST/raw); DCGAN's rows need it")
    parser.add_argument("--quick", action="store_true", help="in two minutes, and only printed unless --out is given")
    parser.add_argument("--afresh", action="store_true", help="measure again what is kept of a bench that was broken off")
    parser.add_argument("--out", type=Path, help="default: docs/performance.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"  # as where Lightning is not imported: the loops' own speed
    out = arguments.out or ROOT / "docs/performance.md"
    kept = out.with_name(".bench.json")
    found: dict[str, Any] = {} if arguments.quick or arguments.afresh or not kept.exists() else json.loads(kept.read_text())
    found.setdefault("machine", machine())

    def keep(name: str, measure: Callable[[], Any]) -> Any:
        if name not in found:
            found[name] = measure()
            if not arguments.quick:
                kept.write_text(json.dumps(found))
        return found[name]

    for name, (title, measure) in TABLES.items():
        rows = keep(name, lambda measure=measure: measure(arguments.root.resolve(), arguments.quick, keep))  # type: ignore[misc]
        print(f"\n{title}\n\n{markdown(rows)}", flush=True)
    if arguments.out or not arguments.quick:
        parts = [f"{title}\n\n{markdown(found[name])}\n" for name, (title, _) in TABLES.items()]
        made = "make bench-quick" if arguments.quick else "make bench"
        out.write_text("\n".join([f"# How fast it is\n\nWritten by `{made}`. {found['machine']}\n", *parts]))
        kept.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
