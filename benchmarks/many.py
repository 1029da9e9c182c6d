"""Many finished runs for the price of one, and what the commands that read them cost.

    python benchmarks/many.py [--jobs 100 500] [--runs 200 800]

One job of a sweep is trained for real; its directory is copied under other seeds and settings, without its pictures, and its
scores are moved a little. Then the real commands run on them: seconds of the whole command, start and imports included.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("config.yaml", "overrides.yaml", "data.json", "metrics.csv", "result.json")
SHORT = ("iterations=300", "logger=csv", "metrics.picture=null", "health.every=50", "metrics.every=50", "theory=none")


def command(*words: str, cwd: Path) -> tuple[float, float, str]:
    """Wall and CPU seconds of a command, its children's included, and what it said; raises SystemExit where it fails."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{os.environ.get('PYTHONPATH', '')}"}
    before, start = os.times(), time.perf_counter()
    done = subprocess.run([sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True)
    after = os.times()
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr[-500:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - start, cpu, done.stdout + done.stderr


def train_py(*words: str, cwd: Path) -> tuple[float, float, str]:
    return command(str(ROOT / "train.py"), *words, cwd=cwd)


def compare_runs(folder: Path) -> tuple[float, float, str]:
    return command("-c", "import sys; from ganlab.commands.main import main; sys.exit(main())", "compare", ".", cwd=folder)


def one_job(cwd: Path) -> Path:
    """A finished job of `train.py -m seed=...`."""
    train_py("-m", "seed=0,1", *SHORT, "study=one", cwd=cwd)
    return cwd / "runs/sweeps/one/seed-0"


def copied(job: Path, to: Path, seed: int, study: str, k: int = 1, spread: float = 0.1) -> None:
    """The run as one of another seed, and setting."""
    to.mkdir(parents=True)
    rng = random.Random(1000 * k + seed)
    for name in KEPT:
        text = (job / name).read_text()
        text = text.replace("one", study) if name == "overrides.yaml" else text
        if name == "config.yaml":
            text = re.sub(r"(?m)^seed: 0$", f"seed: {seed}", re.sub(r"(?m)^k: 1$", f"k: {k}", text))
            text = text.replace("study: one", f"study: {study}").replace("name: seed-0", f"name: {to.name}")
        if name == "result.json":
            text = json.dumps(_moved(json.loads(text) | {"seed": seed, "name": to.name}, 1 + 0.1 * k, spread, rng))
        (to / name).write_text(text)


def _moved(result: dict[str, Any], factor: float, spread: float, rng: random.Random) -> dict[str, Any]:
    for kind in ("final", "best", "mean"):
        for entry in result[kind].values():
            if entry["value"] is not None:
                entry["value"] *= factor * (1 + spread * rng.gauss(0, 1))
    return result


def finished_jobs(cwd: Path, job: Path, n: int) -> tuple[tuple[float, float, str], tuple[float, float, str]]:
    """The same command twice, over a sweep of which all is finished: the second one finds what the first has checked."""
    for seed in range(n):
        copied(job, cwd / f"runs/sweeps/done{n}/seed-{seed}", seed, f"done{n}")
    line = ("-m", f"seed=range({n})", *SHORT, f"study=done{n}")
    first = train_py(*line, cwd=cwd)
    second = train_py(*line, cwd=cwd)
    assert f"{n} jobs, {n} of them over already" in second[2], second[2][-500:]
    return first, second


def many_runs(cwd: Path, job: Path, n: int, settings: int = 8) -> tuple[float, float, str]:
    """`ganlab compare` of n runs: so many settings, n / settings seeds each."""
    folder = cwd / f"many{n}"
    for i in range(n):
        k, seed = i % settings + 1, i // settings
        copied(job, folder / f"k-{k}_seed-{seed}", seed, f"many{n}", k)
    return compare_runs(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="*", default=[100, 500])
    parser.add_argument("--runs", type=int, nargs="*", default=[200, 800])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        cwd = Path(text)
        job = one_job(cwd)
        for n in arguments.jobs:
            for name, (wall, cpu, _) in zip(("first", "again"), finished_jobs(cwd, job, n), strict=True):
                print(f"sweep of {n} finished jobs, {name:6} {wall:6.1f} s, {cpu:6.1f} CPU s", flush=True)
        for n in arguments.runs:
            wall, cpu, _ = many_runs(cwd, job, n)
            print(f"compare of {n} runs             {wall:6.1f} s, {cpu:6.1f} CPU s", flush=True)


if __name__ == "__main__":
    main()
