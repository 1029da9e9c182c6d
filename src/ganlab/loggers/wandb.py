"""Weights & Biases, without asking anything: online where there is an account, otherwise offline; never in training's way.
Lightning's WandbLogger passes on what W&B raises, logs a step of its own beside W&B's, and redacts nothing."""

from __future__ import annotations

import logging
import os
import secrets
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

import wandb
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from ganlab.files.status import Status
from ganlab.files.table import KINDS
from ganlab.loggers.base import RunLogger, harmless
from ganlab.loggers.redact import redact, redact_text, redact_words

log = logging.getLogger(__name__)

MODES = ("auto", "online", "offline", "disabled")
# seconds: what the server may take to answer at the beginning, and to take what is left at the end
LIMITS = {"init_timeout": 20, "finish_timeout": 120}
PROVENANCE = ("status", "error", "seed", "commit", "command", "versions", "device", "processes", "resumed_from")
OPEN: WeakSet[Wandb] = WeakSet()  # whose run has begun and has not ended
SILENT: dict[tuple[str | None, ...], Exception] = {}  # servers that are not waited for again by the next job of this process


class Wandb(RunLogger):
    """One W&B run per run directory, under the same id when the run is resumed (`wandb.id`). All runs share `<runs>/wandb`,
    where `wandb leet` and `wandb sync` find them side by side.

    W&B's own step is the iteration, so that all that is logged at an iteration is one row; the x axis of every chart is the
    number of real images seen.
    """

    def __init__(
        self,
        run_dir: Path,
        name: str,
        group: str,
        tags: Sequence[str],
        runs: Path,
        project: str = "ganlab",
        mode: str = "auto",
        entity: str | None = None,
        more_tags: Sequence[str] = (),
    ) -> None:
        """`entity`: the account or team, otherwise WANDB_ENTITY. `more_tags` and WANDB_TAGS come after the run's own."""
        super().__init__()
        mode = _mode(mode)
        if not project or len(project) > 128 or not set(project).isdisjoint("/\\#?%:"):
            raise ValueError(f"project must be 1 to 128 characters without any of / \\ # ? % :, got {project!r}")
        self.mode, self.run_dir, self.runs, self.project = mode, run_dir, runs, project
        self._about: dict[str, Any] = {
            "name": redact_text(name),
            "group": redact_text(group),
            "tags": [*dict.fromkeys(redact_text(tag)[:64] for tag in [*tags, *more_tags, *_words("WANDB_TAGS")])],
            **({"entity": entity} if entity else {}),
        }
        self._run: Any = None
        self._warned = False

    @property
    def name(self) -> str:
        return self.project

    @property
    def version(self) -> str | None:
        return self._run.id if self._run else None

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """W&B's run, which begins when it is first asked for; one that does nothing where W&B does not work."""
        if self._run is None:
            self._run = self._begin()
        return self._run

    def _begin(self) -> Any:
        """Online if that is wanted and possible within LIMITS, otherwise offline, otherwise nowhere."""
        problem: Exception | str | None = None
        if self.mode in ("auto", "online"):
            wanted, self.mode, problem = self.mode, *_reached()
            if (wanted, self.mode) == ("online", "offline") and problem is None:
                problem = "there is no account: see `wandb login`"
        for mode in MODES[MODES.index(self.mode) :]:
            try:
                self.mode, run = mode, self._init(mode)
                break
            except Exception as error:  # no space, no permission, a server that fails: whatever W&B raises
                problem = error
                if mode == "online":
                    SILENT[_server()] = error
                    if not OPEN:  # it would end the runs of others in this process, as replicas are
                        with suppress(Exception):
                            wandb.teardown()  # otherwise the id would be in use
        if problem is not None:
            self.warn(problem, {"offline": "is logged offline", "disabled": "is not logged there"}[self.mode])
        if self.mode != "disabled":
            OPEN.add(self)
        return run

    def _init(self, mode: str) -> Any:
        if mode == "disabled":
            return wandb.init(mode=mode, settings=wandb.Settings(reinit="create_new"))  # type: ignore[arg-type]
        limits = {name: seconds for name, seconds in LIMITS.items() if f"WANDB_{name.upper()}" not in os.environ}
        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,  # the remote's URL may have a password; the commit is in the summary
            reinit="create_new",  # a run of this process that was not ended is left alone, and does not swallow this one
            finish_timeout_raises=True,
            **limits,  # type: ignore[arg-type]
        )
        where: dict[str, Any] = {
            "dir": os.environ.get("WANDB_DIR") or str(self.runs),
            "project": self.project,
            "id": self._id(),
            "resume": "allow",
            "mode": mode,
        }
        self.runs.mkdir(parents=True, exist_ok=True)
        with _redacted_arguments():
            run = wandb.init(**where, **self._about, settings=settings)
        for axis in ("images", "iteration"):
            run.define_metric(axis)
        for group in (*(f"{kind}/*" for kind in KINDS), "samples", "figures/*"):
            run.define_metric(group, step_metric="images")
        return run

    def _id(self) -> str:
        """The run's id, from the first time on in its directory."""
        file = self.run_dir / "wandb.id"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(secrets.token_hex(5) + "\n")
        return file.read_text().strip()

    def warn(self, problem: Exception | str, consequence: str) -> None:
        if not self._warned:
            what = problem if isinstance(problem, str) else f"{type(problem).__name__}: {str(problem).strip()}"
            log.warning("Weights & Biases: %s; this run %s", redact_text(what.splitlines()[0]), consequence)
        self._warned = True

    @rank_zero_only
    @harmless
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.experiment.config.update(redact(params), allow_val_change=True)

    @rank_zero_only
    @harmless
    def go_on(self, start: int, rows: Sequence[Mapping[str, float]]) -> None:
        """Log again what a resumed run has of before: offline, each part is whole by itself; online, the gap that a kill left
        is closed, and what is there already is left out."""
        pictures = {int(path.stem.removeprefix("step-")): path for path in (self.run_dir / "samples").glob("step-*.png")}
        moments = {int(row["iteration"]): row for row in rows}
        for t in sorted(t for t in {*moments, *pictures} if t <= start):
            if t in moments:
                self.log_metrics(moments[t], t)
            if t in pictures:
                self.log_picture("samples", pictures[t], t)

    @rank_zero_only
    @harmless
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._log(dict(metrics), step)

    @rank_zero_only
    @harmless
    def log_picture(self, key: str, path: Path, step: int) -> None:
        self._log({key: wandb.Image(str(path))}, step)

    def _log(self, values: dict[str, Any], step: int | None) -> None:
        run = self.experiment
        if self.mode == "disabled" or (step is not None and step < run.starting_step):
            return  # W&B cannot replace what it has: a row of after the checkpoint and before a kill stays as it was
        run.log(values, step=step)

    def close(self, result: dict[str, Any], figures: Sequence[Path]) -> list[str]:
        """Add the final figures and the result, end the run, and say how to look at it."""
        run = self._run
        OPEN.discard(self)
        if run is None or self.mode == "disabled":
            return []
        for path in figures:
            self._figure(path, result["iterations"])
        self._summary(result)
        folder, uploaded = Path(run.dir).parent, self.mode == "online"
        try:
            run.finish(exit_code=Status.of(result).exit_code)
        except Exception as error:  # TimeoutError: the server does not take the rest
            uploaded = False
            self.warn(error, "is complete on this disk only")
        if uploaded:
            return [f"compare    {run.url}"]
        local, sync = shlex.quote(str(folder.parent)), shlex.quote(str(folder))
        return [f"compare    wandb leet {local}", f"upload     wandb login && wandb sync {sync}"]

    @harmless
    def _figure(self, path: Path, step: int) -> None:
        media = wandb.Video(str(path), format="gif") if path.suffix == ".gif" else wandb.Image(str(path))
        self._log({f"figures/{path.stem}": media}, step)

    @harmless
    def _summary(self, result: dict[str, Any]) -> None:
        """The last, best and mean value of each score, when the best was, how each was obtained, and what made them."""
        found = {name: result[name] for name in PROVENANCE if name in result}
        if found.get("command"):
            found["command"] = shlex.join(redact_words(shlex.split(found["command"])))
        found |= {"verdict": result["verdict"]["state"], "verdict_why": result["verdict"]["why"]}
        for kind in ("final", "best", "mean"):
            found |= {f"{kind}/{name}": score["value"] for name, score in result[kind].items()}
        found |= {f"best_iteration/{name}": score["iteration"] for name, score in result["best"].items()}
        found |= {f"cards/{name}": card for name, card in result["cards"].items()}
        self.experiment.summary.update(redact(found))


SYNONYMS = {"dryrun": "offline", "run": "online", "shared": "online"}  # W&B's own words
TRUE = {"1", "true", "yes", "on", "y", "t"}


def _mode(given: str) -> str:
    """One of MODES, in any capitals and in W&B's own words; `auto` asks the environment. Raises ValueError."""
    mode = SYNONYMS.get(given.strip().lower(), given.strip().lower())
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {given!r}")
    if mode != "auto":
        return mode
    if os.environ.get("WANDB_DISABLED", "").strip().lower() in TRUE:
        return "disabled"
    wanted = os.environ.get("WANDB_MODE", "").strip().lower()
    wanted = SYNONYMS.get(wanted, wanted)
    if wanted and wanted not in MODES:
        raise ValueError(
            f"the environment's WANDB_MODE must be one of {', '.join(MODES[1:])}, got {os.environ['WANDB_MODE']!r}"
        )
    return wanted or "auto"


def _words(variable: str) -> list[str]:
    return [word.strip() for word in os.environ.get(variable, "").split(",") if word.strip()]


def _server() -> tuple[str | None, ...]:
    return tuple(os.environ.get(name) for name in ("WANDB_BASE_URL", "WANDB_API_KEY"))


def _reached() -> tuple[str, Exception | None]:
    """Online if one is logged in and the server confirms it, within 10 seconds or WANDB_HTTP_TIMEOUT, otherwise offline; and
    what went wrong. Never asks."""
    if (problem := SILENT.get(_server())) is not None:
        return "offline", problem
    try:
        return "online" if wandb.login(prompt=False) else "offline", None
    except Exception as error:  # a key, but no network or a refused key
        SILENT[_server()] = error
        return "offline", error


@contextmanager
def _redacted_arguments() -> Iterator[None]:
    """W&B records the command line by itself."""
    argv = sys.argv
    sys.argv = redact_words(argv)
    try:
        yield
    finally:
        sys.argv = argv
