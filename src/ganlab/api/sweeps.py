"""Many runs: in a process of its own, which is `ganlab train -m`, since its jobs are started by the file of that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import IO, Any

from ganlab.api import show
from ganlab.api.runs import Run
from ganlab.api.words import words_of
from ganlab.errors import Interrupted, Mistakes, Storage, UserError
from ganlab.files.command import SCRIPT
from ganlab.files.run import RunDirectory
from ganlab.files.status import Status
from ganlab.sweep.driver import TOLD

SAYS = "ganlab: error: "
# of this process alone; the last are Jupyter's, and would have bars drawn into a pipe
OURS = ("GANLAB_OVERRIDES", "GANLAB_COMMAND", "FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


class Sweep(list[Run]):
    """The runs of a sweep, in the order of its jobs, without those that failed before they began; and its directory. `jobs` are
    the rows of jobs.jsonl, all of them."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.jobs: list[dict[str, Any]] = [json.loads(line) for line in (path / "jobs.jsonl").read_text().splitlines()]
        begun = (job["directory"] for job in self.jobs if RunDirectory(job["directory"]).config_file.exists())
        super().__init__(map(Run, begun))

    def _repr_html_(self) -> str:
        keys = [key for key in dict.fromkeys(key for job in self.jobs for key in job) if key not in ("directory", "seconds")]
        return show.pairs({"sweep": self.path}) + show.tabled(keys, ([job.get(key) for key in keys] for job in self.jobs))


def sweep(*overrides: str, **keys: Any) -> Sweep:
    """Train each value of a key with each of the others, as `ganlab train -m` does with the same words:
    `sweep(loss=["minimax", "hinge"], seed=range(5))`, or `sweep("seed=range(5)")`. Called again it trains what is missing.

    Returns when all jobs are over, also if some failed or diverged: see `jobs`. Raises UserError for a mistake, before anything
    is trained, and Interrupted after checkpoints. The processes of its jobs see this one's working directory and sys.path."""
    return Sweep(_trained([*words_of(overrides, {}), *several(keys)]))


def several(keys: Mapping[str, Any]) -> list[str]:
    """`{"k": [1, 2], "loss": "hinge"}` as `["k=1,2", "loss=hinge"]`."""
    lines = []
    for key, value in keys.items():
        values = value if isinstance(value, list | tuple | range) else [value]
        if not values:
            raise UserError(f"{key} = [] has no value to train with: give one, or leave it out")
        lines.append(",".join([words_of((), {key: values[0]})[0], *(_text(key, one) for one in values[1:])]))
    return lines


def _text(key: str, value: Any) -> str:
    return words_of((), {key: value})[0].removeprefix(f"{key}=")


def _trained(words: Sequence[str]) -> Path:
    """The directory of the sweep, when it is over."""
    with TemporaryDirectory() as folder:
        told = Path(folder) / "sweep"
        path = os.pathsep.join(dict.fromkeys(filter(None, sys.path)))
        own = {TOLD: str(told), "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
        kept = {name: value for name, value in os.environ.items() if name not in OURS}
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), "-m", *words],
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=kept | own,
        )
        last: list[str] = []
        readers = [Thread(target=_passed_on, args=(process.stdout, sys.stdout, [])),
                   Thread(target=_passed_on, args=(process.stderr, sys.stderr, last))]  # fmt: skip
        for reader in readers:
            reader.start()
        try:
            code = process.wait()
        except KeyboardInterrupt as error:
            process.terminate()  # a terminal's Ctrl-C has reached it already, a notebook's has not
            process.wait()
            raise Interrupted("interrupted: the same call goes on with what is missing") from error
        finally:
            for reader, stream in zip(readers, (process.stdout, process.stderr), strict=True):
                reader.join()
                if stream is not None:
                    stream.close()
        if not told.exists():
            mistakes = [line.removeprefix(SAYS) for line in last if line.startswith(SAYS)]
            if code == Status.UNSAVED.exit_code:
                raise Storage(mistakes[0] if mistakes else "there is no room on the disk")
            if len(mistakes) > 1:
                raise Mistakes(mistakes)
            if mistakes:
                raise UserError(mistakes[0])
            raise RuntimeError(f"the sweep ended with code {code}: {last[-1] if last else 'without a word'}")
        return Path(told.read_text())


def _passed_on(stream: IO[str] | None, to: Any, kept: list[str]) -> None:
    """What the process says is said here, but for mistakes, which are raised."""
    for line in stream or ():
        kept.append(line.rstrip("\n"))
        if not line.startswith(SAYS):
            to.write(line)
