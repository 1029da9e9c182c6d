"""MLflow (extra `mlflow`): a file of SQLite beside the runs, or a server. Rows go there a few seconds at a time, as each batch
waits for the database; Lightning's MLFlowLogger waits for each row, passes on what goes wrong, and redacts nothing."""

from __future__ import annotations

import logging
import os
import re
import shlex
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filelock import FileLock
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from ganlab.files.saved import leaves
from ganlab.files.status import Status
from ganlab.loggers.base import RunLogger, harmless
from ganlab.loggers.redact import redact, redact_text, redact_words

log = logging.getLogger(__name__)

EVERY = 5.0  # seconds between two batches
AT_ONCE = 1000  # values of a batch, which MLflow limits; of params 100
LONGEST = 5000  # signs of a tag or a param
ENDS = {Status.COMPLETED: "FINISHED", Status.INTERRUPTED: "KILLED"}  # in MLflow's words; others have FAILED
UNFIT = re.compile(r"[^\w\-. :/]")  # what no name in MLflow may have
LIMITS = {"MAX_RETRIES": "1", "TIMEOUT": "10"}  # of a request, where the environment says nothing: MLflow's own are minutes
REST = 20  # times as long as a call has failed for, nothing more is asked of who did not answer
TOLD = ("status", "error", "seed", "commit", "device", "resumed_from")


def rationed(method: Callable[..., Any]) -> Callable[..., Any]:
    """`harmless`, and not done for a while after a failure: training waits for a server that is gone a twentieth of its time at
    most. Rows of meanwhile are not there."""

    @harmless
    @wraps(method)
    def attempt(self: MLflow, *args: Any, **kwargs: Any) -> Any:
        if (began := time.monotonic()) < self.rests_until:
            return None
        try:
            return method(self, *args, **kwargs)
        except Exception:
            now = time.monotonic()
            self.rests_until = now + REST * (now - began)
            raise

    return attempt


class MLflow(RunLogger):
    """One MLflow run per run directory, also when it goes on (`mlflow.id`): config as params, rows as metrics by iteration,
    pictures as artifacts, how it ended as tags."""

    def __init__(
        self, run_dir: Path, name: str, group: str, tags: Sequence[str], runs: Path,
        experiment: str = "ganlab", uri: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if find_spec("mlflow") is None:
            raise ValueError("needs the package mlflow-skinny: pip install 'ganlab[mlflow]'")
        self.run_dir, self.runs, self.experiment = run_dir, runs.absolute(), experiment
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.runs / 'mlflow.db'}"
        self._name = redact_text(name)
        self._tags = {"group": redact_text(group), **{UNFIT.sub("_", f"choice.{redact_text(tag)}"): "yes" for tag in tags}}
        self._client: Any = None
        self._id = ""
        self._seen = -1  # the newest iteration that is there of before: MLflow keeps a second value beside the first
        self._row: tuple[int, set[str]] = (-1, set())  # the newest, and what is told of it
        self._waiting: list[Any] = []
        self._sent = self.rests_until = 0.0
        self._warned = False

    @property
    def name(self) -> str:
        return self.experiment

    @property
    def version(self) -> str:
        return self._id

    @property
    def client(self) -> Any:
        """MLflow's, after the run has begun, or goes on."""
        if self._client is None:
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            for name, value in LIMITS.items():
                os.environ.setdefault(f"MLFLOW_HTTP_REQUEST_{name}", value)
            from mlflow.tracking import MlflowClient

            for noisy in ("mlflow", "alembic"):
                logging.getLogger(noisy).setLevel(logging.WARNING)
            self.runs.mkdir(parents=True, exist_ok=True)
            with FileLock(self.runs / ".mlflow.lock"):  # tables are made by one process
                client = MlflowClient(self.uri)
                self._id = self._known(client) or self._begun(client)
            self._client = client
        return self._client

    def _known(self, client: Any) -> str | None:
        file = self.run_dir / "mlflow.id"
        if not file.exists():
            return None
        try:
            found = str(client.get_run(file.read_text().strip()).info.run_id)
            self._seen = max((value.step for value in client.get_metric_history(found, "iteration")), default=-1)
            client.update_run(found, status="RUNNING")
            return found
        except Exception:  # of another database
            return None

    def _begun(self, client: Any) -> str:
        found = client.get_experiment_by_name(self.experiment)
        where = {"artifact_location": (self.runs / "mlflow").as_uri()} if self.uri.startswith("sqlite:") else {}
        into = found.experiment_id if found else client.create_experiment(self.experiment, **where)
        begun = str(client.create_run(into, run_name=self._name, tags=self._tags).info.run_id)
        self.run_dir.mkdir(parents=True, exist_ok=True)
        (self.run_dir / "mlflow.id").write_text(begun + "\n")
        return begun

    def warn(self, problem: Exception | str, consequence: str) -> None:
        if not self._warned:
            log.warning("MLflow: %s; this run %s", redact_text(str(problem).strip().splitlines()[0]), consequence)
        self._warned = True

    @rank_zero_only
    @rationed
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """What a resumed run has otherwise is a tag: MLflow does not change a param."""
        from mlflow.entities import Param, RunTag

        with _quietly():
            before = self.client.get_run(self._id).data.params
            plain = {re.sub(r"\[(\d+)\]", r".\1", key): value for key, value in leaves(redact(params)) if value is not None}
            given = {UNFIT.sub("_", key): str(value)[:LONGEST] for key, value in plain.items()}
            new = [Param(key, value) for key, value in given.items() if key not in before]
            for start in range(0, len(new), 100):
                self.client.log_batch(self._id, params=new[start : start + 100])
            other = [RunTag(f"now.{key}", value) for key, value in given.items() if before.get(key, value) != value]
            self.client.log_batch(self._id, tags=other)

    @rank_zero_only
    @rationed
    def go_on(self, start: int, rows: Sequence[Mapping[str, float]]) -> None:
        """Rows that a kill kept from being sent are made up for."""
        for row in rows:
            if row["iteration"] <= start:
                self.log_metrics(dict(row), int(row["iteration"]))

    @rank_zero_only
    @rationed
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        from mlflow.entities import Metric

        with _quietly():
            client, now = self.client, int(1000 * time.time())
            t = step or 0
            if t != self._row[0]:
                self._row = (t, set())
            if t > self._seen:
                new = [key for key in metrics if key not in self._row[1]]  # each observer tells the iteration, too
                self._waiting += [Metric(UNFIT.sub("_", key), float(metrics[key]), now, t) for key in new]
                self._row[1].update(new)
            if time.monotonic() - self._sent > EVERY or len(self._waiting) >= AT_ONCE:
                self._send(client)

    def _send(self, client: Any) -> None:
        waiting, self._waiting = self._waiting, []  # what is refused is not tried for ever
        for start in range(0, len(waiting), AT_ONCE):
            client.log_batch(self._id, metrics=waiting[start : start + AT_ONCE])
        self._sent = time.monotonic()

    @rank_zero_only
    @rationed
    def log_picture(self, key: str, path: Path, step: int) -> None:
        with _quietly():
            self.client.log_artifact(self._id, str(path), key)

    @rank_zero_only
    @rationed
    def save(self) -> None:
        if self._client is not None:
            with _quietly():
                self._send(self._client)

    def close(self, result: dict[str, Any], figures: Sequence[Path]) -> list[str]:
        if self._client is None:
            return []
        self._end(result, figures)
        return [f"compare    mlflow ui --backend-store-uri {shlex.quote(redact_text(self.uri))}"]

    @harmless
    def _end(self, result: dict[str, Any], figures: Sequence[Path]) -> None:
        from mlflow.entities import RunTag

        with _quietly():
            self._send(self._client)
            for path in figures:
                self._client.log_artifact(self._id, str(path), "figures")
            about = redact({name: result[name] for name in TOLD if result.get(name) is not None})
            if result.get("command"):
                about["command"] = shlex.join(redact_words(shlex.split(result["command"])))
            about |= {"verdict": result["verdict"]["state"]}
            for kind in ("final", "best", "mean"):
                about |= {f"{kind}/{name}": score["value"] for name, score in result[kind].items()}
            tags = [RunTag(key, str(value)[:LONGEST]) for key, value in about.items()]
            for start in range(0, len(tags), 100):
                self._client.log_batch(self._id, tags=tags[start : start + 100])
            self._client.set_terminated(self._id, ENDS.get(Status.of(result), "FAILED"))


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what MLflow's own libraries warn each other of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
