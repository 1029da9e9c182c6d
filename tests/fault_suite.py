"""make faults: kills, signals, damage, full disks, mistakes and attacks by the hundred, and docs/reliability.md with how each
went. `python tests/fault_suite.py --quick` is a part of it in a few minutes, and writes nothing."""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import NamedTuple

import torch
from forked import Done, Forked

from ganlab.files.checkpoint import read_checkpoint
from ganlab.files.result import commit
from ganlab.files.run import RunDirectory, checkpoints
from ganlab.files.table import read

ROOT = Path(__file__).parent.parent
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled",
       "PYTHONPATH": f"{ROOT / 'tests'}:{os.environ.get('PYTHONPATH', '')}"}  # fmt: skip
TINY = ("logger=csv", "model.G.width=8", "model.D.width=8", "theory=none", "metrics.n=50", "metrics.every=40", "log_every=20",
        "health.every=40", "metrics.picture.every=40")  # fmt: skip
SLOW = ("+penalty.trouble._target_=faults.Trouble", "+penalty.trouble.seconds=0.004")
LATER = {"seconds", "seconds_of_theory", "started", "finished", "resumed_from", "name", "command"}


class Outcome(NamedTuple):
    good: int
    total: int
    note: str = ""


class Check(NamedTuple):
    name: str
    passes: str  # what has to be true of each
    lightning: str  # whether stock Lightning 2.6.6 would pass, too
    run: Callable[[Path, int], Outcome]
    many: int  # of them, in the whole suite
    few: int


def train(*overrides: str, cwd: Path, fault: str = "") -> Forked:
    """The last of the same key counts."""
    last = {one.partition("=")[0]: one for one in overrides}
    return Forked(ROOT / "train.py", *last.values(), cwd=cwd, env={**ENV, "HOME": str(cwd), "FAULT": fault})


def state(run: RunDirectory) -> list[torch.Tensor]:
    """Weights, averages and optimizers' states of the newest checkpoint."""

    def tensors(value: object) -> Iterator[torch.Tensor]:
        if isinstance(value, dict):
            for part in value.values():
                yield from tensors(part)
        elif isinstance(value, list):
            for part in value:
                yield from tensors(part)
        elif isinstance(value, torch.Tensor):
            yield value

    kept = read_checkpoint(checkpoints(run.checkpoints)[-1])
    return [*tensors(kept["state_dict"]), *tensors(kept["optimizer_states"])]


def records(run: RunDirectory) -> tuple[list[str], str]:
    rows = [str({name: value for name, value in row.items() if name != "seconds"}) for row in read(run.table_file)]
    return rows, json.dumps({k: v for k, v in (run.result or {}).items() if k not in LATER}, sort_keys=True)


def equal(a: RunDirectory, b: RunDirectory) -> bool:
    left, right = state(a), state(b)
    same = len(left) == len(right) > 0 and all(torch.equal(u, v) for u, v in zip(left, right, strict=True))
    return same and records(a) == records(b)


def begun(run: RunDirectory, process: Forked, rows: int = 2, timeout: float = 120) -> bool:
    """Once the table has so many rows; False where the process has ended before."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if run.table_file.exists() and run.table_file.read_text(errors="replace").count("\n") > rows:
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.01)
    return False


def damage(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if draw.random() < 0.5:
        path.write_bytes(content[: draw.randrange(len(content))])
    else:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)


def resumes(cwd: Path, n: int) -> Outcome:
    """After a signal at a random moment, per kind of data; the new command says nothing but resume."""
    images = ("data=images", f"data.source={pictures(cwd)}", "shape=[1,16,16]", "model=dcgan", "model.G.width=4",
              "model.D.width=4", "batch_size=6", "metrics=none")  # fmt: skip
    kinds = {"ring": (), "line": ("data=normal1d",), "images": images}
    draw, good = random.Random(1), 0
    for kind, choices in kinds.items():
        tiny = TINY if kind != "images" else ("logger=csv", "theory=none", "log_every=20", "health.every=40")
        given = (*tiny, *SLOW, *choices, "iterations=120", "checkpoint.every=50")
        assert train(*given, f"hydra.run.dir={kind}", cwd=cwd).ended().returncode == 0
        for i in range(n):
            run = RunDirectory(cwd / f"{kind}{i}")
            process = train(*given, f"hydra.run.dir={run.path}", cwd=cwd)
            begun(run, process, 0)
            time.sleep(draw.uniform(0, 0.5))
            process.send_signal(signal.SIGTERM)
            process.ended()
            if run.status != "completed":
                train(f"resume={run.path}", "--trust", cwd=cwd).ended()
            good += equal(run, RunDirectory(cwd / kind))
    return Outcome(good, n * len(kinds), ", ".join(kinds))


def pictures(cwd: Path) -> Path:
    from PIL import Image

    folder = cwd / "pictures"
    folder.mkdir(exist_ok=True)
    for i in range(20):
        Image.effect_noise((16, 16), 90.0).save(folder / f"{i}.png")
    return folder


def kills(cwd: Path, n: int) -> Outcome:
    """SIGKILL at a random moment, and between two lives now and then a damaged checkpoint, until the run is completed."""
    draw = random.Random(2)
    given = (*TINY, *SLOW, "iterations=600", "checkpoint.every=10")
    assert train(*given, "hydra.run.dir=whole", cwd=cwd).ended().returncode == 0
    done = lost = ends = runs = damaged = 0
    while done < n:
        runs += 1
        run = RunDirectory(cwd / f"run{runs}")
        line: tuple[str, ...] = (*given, f"hydra.run.dir={run.path}")
        while run.status != "completed":
            process = train(*line, cwd=cwd)
            if done < n and (begun(run, process, 0) or process.poll() is None):
                time.sleep(draw.uniform(0, 1.5))
                process.send_signal(signal.SIGKILL)
                process.ended()
                done += 1
                kept = checkpoints(run.checkpoints)
                if len(kept) > 1 and run.status != "completed" and draw.random() < 0.25:
                    damage(kept[-1], draw)
                    damaged += 1
            elif process.ended().returncode != 0:
                lost += 1
                break
            if run.config_file.exists():
                line = (*given, f"resume={run.path}")
        ends += run.status == "completed" and equal(run, RunDirectory(cwd / "whole"))
    return Outcome(
        done - lost, done, f"{damaged} checkpoints damaged between, {lost} lost, {ends} of {runs} ends bit for bit equal"
    )


def saves(cwd: Path, n: int) -> Outcome:
    """SIGKILL at each stage of a save."""
    import faults

    given, good = (*TINY, *SLOW, "iterations=30", "checkpoint.every=5", "checkpoint.keep=2"), 0
    assert train(*given, "hydra.run.dir=whole", cwd=cwd).ended().returncode == 0
    for stage in faults.SAVES[:n]:
        run = RunDirectory(cwd / stage)
        code = train(*given, f"hydra.run.dir={run.path}", cwd=cwd, fault=stage).ended().returncode
        again = train(*given, f"resume={run.path}", cwd=cwd).ended().returncode
        halves = [path.name for path in run.path.rglob(".*") if path.name not in (".lock",)]
        good += code == -signal.SIGKILL and again == 0 and not halves and equal(run, RunDirectory(cwd / "whole"))
    return Outcome(good, len(faults.SAVES[:n]))


def disk(cwd: Path, n: int) -> Outcome:
    """No file can be written whole any more from the third iteration on; afterwards there is room again."""
    good, given = 0, (*TINY, *SLOW, "iterations=30", "checkpoint.every=10")
    assert train(*given, "hydra.run.dir=whole", cwd=cwd).ended().returncode == 0
    for i in range(n):
        run = RunDirectory(cwd / f"full{i}")
        done = train(*given, f"hydra.run.dir={run.path}", cwd=cwd, fault="full").ended()
        told = "Traceback" not in done.stderr and done.stderr.splitlines()[-1].startswith("ganlab: ")
        unreadable = [path for path in checkpoints(run.checkpoints) if run.newest_checkpoint() is None]
        again = train(*given, f"resume={run.path}", cwd=cwd).ended().returncode
        good += done.returncode == 5 and told and not unreadable and again == 0 and equal(run, RunDirectory(cwd / "whole"))
    return Outcome(good, n)


def signals(cwd: Path, n: int) -> Outcome:
    """Each of four signals while it starts, trains, evaluates and saves: exit code 75, the checkpoint within 5 s."""
    good, slowest, wrong = 0, 0.0, list[str]()
    moments = ("start", "train", "evaluate", "save")
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
    cases = [(moment, number) for number in numbers for moment in moments][:n]
    for moment, number in cases:
        run = RunDirectory(cwd / f"{moment}{number}")
        given: tuple[str, ...] = (*TINY, *SLOW, "iterations=2000", "checkpoint.every=1000", f"hydra.run.dir={run.path}")
        if moment == "evaluate":
            given += ("++metrics.scores.modes._target_=faults.SlowScore", "metrics.every=20")
        if moment == "save":
            given += ("checkpoint.every=20",)
        process = train(*given, cwd=cwd, fault="slow_save" if moment == "save" else "")
        if moment == "start":
            time.sleep(random.Random(int(number)).uniform(0.1, 1.0))
        else:
            begun(run, process, 1)
            time.sleep(0.5)
        sent = time.time()
        process.send_signal(number)
        done = process.ended(120)
        kept = checkpoints(run.checkpoints)
        took = max(0.0, kept[-1].stat().st_mtime - sent) if kept else 0.0
        slowest = max(slowest, took)
        fine = done.returncode == 75 and "Traceback" not in done.stderr and took < 5
        fine = fine and (bool(kept) if moment != "start" else not run.path.exists() or bool(kept))
        good += fine
        wrong += [] if fine else [f"{moment} {number.name}: {done.returncode}, {took:.1f} s"]
    return Outcome(good, len(cases), f"at most {slowest:.1f} s to the checkpoint; {'; '.join(wrong)}".rstrip("; "))


def twice(cwd: Path, n: int) -> Outcome:
    """A second signal during a save ends it at once, and nothing is damaged."""
    good = 0
    for i in range(n):
        run = RunDirectory(cwd / f"twice{i}")
        given = (*TINY, *SLOW, "iterations=2000", "checkpoint.every=20")
        process = train(*given, f"hydra.run.dir={run.path}", cwd=cwd, fault="slow_save")
        begun(run, process, 1)
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
            time.sleep(1.1)
        code = process.ended().returncode
        good += code in (-signal.SIGTERM, 75) and (not checkpoints(run.checkpoints) or run.newest_checkpoint() is not None)
    return Outcome(good, n)


VALUES = ("-1", "0", "true", "nan", ".nan", "inf", "-inf", "abc", "[]", "{}", "1e400", "2.5", "-0.5", "'nan'", "null", "[1,2]",
          "99999999999999999999", "''", "{a:1}", "[true]", "1.5", "-1e-3")  # fmt: skip
NONSENSE = {"true", "nan", ".nan", "inf", "-inf", "abc", "{}", "1e400", "'nan'", "''", "{a:1}", "[true]"}  # of any number
BASES = {"ring": ("theory=none",), "line": ("data=normal1d", "theory=line"), "dirac": ("data=dirac", "model=dirac"),
         "sgd": ("optim=sgd", "penalty=[r1,gradient_penalty]", "theory=none", "augment=instance_noise"),
         "paper": ("schedule=paper", "theory=none", "prior=uniform"), "maxout": ("model=maxout", "theory=none")}  # fmt: skip


def mutations(cwd: Path, n: int) -> Outcome:
    """A random value for a random key, in this process: refused in one sentence, or no nonsense."""
    import logging

    from conftest import composed
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from ganlab.errors import LONGEST, UserError, brief, prose
    from ganlab.files.saved import leaves
    from ganlab.run.build import settings_of
    from ganlab.run.command_line import sentence
    from ganlab.run.config import resolve
    from ganlab.run.experiment import rehearse
    from ganlab.run.line import read_overrides

    logging.disable(logging.WARNING)
    draw, wrong = random.Random(3), list[str]()
    for i in range(n):
        base = BASES[[*BASES][i % len(BASES)]]
        numbers = [key for key, value in leaves(resolve(composed("logger=csv", *base, path=cwd)))
                   if isinstance(value, int | float) and not isinstance(value, bool) and "[" not in key]  # fmt: skip
        key, value = draw.choice(numbers), draw.choice(VALUES)
        line = [*base, f"{key}={value}"]
        try:
            read_overrides(line)
            rehearse(settings_of(composed("logger=csv", *line, path=cwd), line), cwd, {}, False)
            if value in NONSENSE:
                wrong.append(f"{key}={value} accepted")
        except (UserError, HydraException, OmegaConfBaseException) as error:
            told = brief(sentence(error))
            if "\n" in told or prose(told) > LONGEST:
                wrong.append(f"{key}={value}: {told[:60]}")
        except Exception as error:
            wrong.append(f"{key}={value}: {type(error).__name__}")
    logging.disable(logging.NOTSET)
    return Outcome(n - len(wrong), n, "; ".join(wrong[:5]))


DIVERGES = [("optim.lr=1e9",), ("data.radius=1e30",), ("optim=sgd", "optim.lr=1e6"), ("loss=wasserstein_toy", "penalty=none",
            "optim.lr=1e8"), ("optim=rmsprop", "optim.lr=1e9")]  # fmt: skip


def divergences(cwd: Path, n: int) -> Outcome:
    """Exit code 3, one sentence, and a newest checkpoint that is finite."""
    good, wrong = 0, list[str]()
    for i in range(n):
        run, what = RunDirectory(cwd / f"d{i}"), DIVERGES[i % len(DIVERGES)]
        given = (*TINY, *what, "iterations=300", "checkpoint.every=50", f"seed={i}", f"hydra.run.dir={run.path}")
        done: Done = train(*given, cwd=cwd).ended()
        kept = run.newest_checkpoint()
        finite = kept is None or all(bool(t.isfinite().all()) for t in state(run))
        fine = done.returncode == 3 and "diverged between" in done.stderr and "Traceback" not in done.stderr and finite
        good += fine
        wrong += [] if fine else [f"{' '.join(what)}: {done.returncode}"]
    return Outcome(good, n, "; ".join(dict.fromkeys(wrong)))


def tests(*which: str) -> Callable[[Path, int], Outcome]:
    """Those that `make test` has, too."""

    def run(cwd: Path, n: int) -> Outcome:
        line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not long", *which]
        done = subprocess.run(line, cwd=ROOT, env=ENV, capture_output=True, text=True)
        last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
        count = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", last)}
        good = count.get("passed", 0)
        return Outcome(good, good + count.get("failed", 0) + count.get("error", 0), " ".join(which))

    return run


CHECKS = [
    Check("exact resume", "weights, optimizers, metrics.csv and result.json as of a run in one piece", "no: 0 of 10", resumes,
          20, 1),
    Check("SIGKILL", "nothing is lost, all ends equal, although checkpoints are damaged between", "no: 1 in 15 unreadable",
          kills, 200, 4),
    Check("SIGKILL within a save", "an old or the new checkpoint is whole, no half is left", "on one file system only", saves,
          6, 2),
    Check("full disk", "exit code 5, one sentence, nothing unreadable, later it goes on", "no: it dies", disk, 3, 1),
    Check("signals", "exit code 75, the checkpoint within 5 s, no traceback", "no: SIGTERM ends with 0 and no checkpoint",
          signals, 16, 4),
    Check("a second signal", "ends at once, no damage", "no", twice, 3, 1),
    Check("mutations of numbers", "one sentence of at most 200 characters, no nonsense accepted", "no", mutations, 500, 20),
    Check("divergence", "exit code 3, the newest checkpoint finite", "no: exit code 0", divergences, 20, 2),
    Check("damage", "every byte of a checkpoint counts; old ones are read or refused", "no: a flipped byte loads",
          tests("tests/files/test_checkpoint.py"), 1, 1),
    Check("mistakes", "one sentence before anything is written", "in part", tests("tests/run/test_config.py", "-k",
          "mistake or line"), 1, 0),
    Check("attacks", "refused, and nothing has happened", "weights_only loads: yes; the rest it does not read",
          tests("tests/run/test_trust.py"), 1, 0),
    Check("interruptions", "no trace in the records", "no", tests("tests/run/test_interruptions.py"), 1, 0),
    Check("sweeps", "the others are done, a table says what happened, the same command goes on", "not its business",
          tests("tests/sweep/test_sweeps.py"), 1, 0),
    Check("secrets and W&B", "no secret leaves, no server is waited for", "in part", tests("tests/loggers"), 1, 0),
    Check("old runs", "go on, are sampled and compared", "with a converter", tests("tests/files/test_old_runs.py"), 1, 0),
]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a part of it")
    parser.add_argument("--only", nargs="*", default=[], help="checks by a part of their name")
    parser.add_argument("--share", type=float, default=1.0, help="of the counts of the whole suite")
    arguments = parser.parse_args()
    lines, failed = list[str](), 0
    for check in CHECKS:
        n = check.few if arguments.quick else max(1, round(check.many * arguments.share))
        if not n or (arguments.only and not any(word in check.name for word in arguments.only)):
            continue
        cwd, began = Path(mkdtemp(prefix="faults")), time.monotonic()
        try:
            good, total, note = check.run(cwd, n)
        finally:
            rmtree(cwd, ignore_errors=True)
        failed += good < total or not total
        seconds = time.monotonic() - began
        lines.append(f"| {check.name} | {good} of {total} | {check.passes} | {check.lightning} | {seconds:.0f} | {note} |")
        print(lines[-1], flush=True)
    if not arguments.quick and not arguments.only:
        write(lines)
    return int(failed > 0)


def write(lines: list[str]) -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    table = "\n".join(
        ["| what | passed | what has to be true | stock Lightning 2.6.6 | seconds | |", "|---|---|---|---|---|---|", *lines]
    )
    made = f"Made by `make faults` on {date.today()}, at commit {commit()}, torch {torch.__version__}, on a CPU.\n\n{table}\n"
    start, end = "<!-- counts -->\n", "<!-- end of counts -->"
    before, _, rest = text.partition(start)
    (ROOT / "docs" / "reliability.md").write_text(before + start + "\n" + made + "\n" + end + rest.partition(end)[2])


if __name__ == "__main__":
    sys.exit(main())
