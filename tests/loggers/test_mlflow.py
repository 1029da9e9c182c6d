"""What MLflow was told, read back from its database with its own client; and several loggers at once."""

import math
import os
from types import SimpleNamespace

import pytest
import torch
from conftest import same_state

from ganlab.errors import UserError
from ganlab.files.table import read
from ganlab.loggers.mlflow import MLflow

pytest.importorskip("mlflow")
FEW = ("theory=none", "metrics.n=20", "metrics.every=2", "metrics.picture.every=4", "log_every=1", "health.every=4")


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No server of who tests, and nothing told to anybody."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name, value in (("DISABLE_TELEMETRY", "true"), ("HTTP_REQUEST_MAX_RETRIES", ""), ("HTTP_REQUEST_TIMEOUT", "")):
        monkeypatch.setenv(f"MLFLOW_{name}", value)  # what MLflow is told here is forgotten afterwards
        if not value:
            monkeypatch.delenv(f"MLFLOW_{name}")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Empty tables cost seconds of migrations."""
    return tmp_path_factory.mktemp("mlflow") / "mlflow.db"


@pytest.fixture
def client(database):
    import warnings

    from mlflow.tracking import MlflowClient

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield MlflowClient(f"sqlite:///{database}")


def warned(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "ganlab.loggers.mlflow"]


def history(client, run, key):
    return [(value.step, value.value) for value in client.get_metric_history(run, key)]


@pytest.mark.slow
def test_several_loggers_have_each_row_once_also_of_a_run_that_goes_on(run, database, client, tmp_path, caplog):
    """The newest checkpoint is that of iteration 4, and rows 5 and 6 are there already."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    given = ("logger=[tensorboard,mlflow]", f"logger.mlflow.uri=sqlite:///{database}", *FEW, "checkpoint.every=4")
    first = run(*given, "iterations=6")
    first.newest_checkpoint().unlink()
    done = run(*given, "iterations=8", f"resume={tmp_path}/run")
    assert warned(caplog) == []
    id_ = (done.path / "mlflow.id").read_text().strip()
    rows = read(done.table_file)
    for key in {key for row in rows for key in row}:
        wanted, there = {row["iteration"]: row[key] for row in rows if key in row}, history(client, id_, key)
        steps = [step for step, _ in there]
        assert sorted(set(steps)) == steps
        assert set(steps) - {*wanted} <= {6}  # the last look of the part that was killed: MLflow forgets nothing
        if key.startswith("seconds"):  # of a clock: rows 5 and 6 were written twice, and are not those of the table
            continue
        found = {step: value for step, value in there if step in wanted}
        assert found == pytest.approx(wanted, nan_ok=True, rel=1e-5)
    told = client.get_run(id_)
    assert (told.info.status, told.info.run_name) == ("FINISHED", "ring-mlp-non_saturating-k1-s0")
    assert (told.data.params["optim.D.betas.0"], told.data.params["iterations"]) == ("0.5", "6")
    assert told.data.tags["now.iterations"] == "8"
    assert float(told.data.tags["final/modes"]) == done.result["final"]["modes"]["value"]
    pictures = {file.path for folder in ("samples", "figures") for file in client.list_artifacts(id_, folder)}
    assert {f"samples/step-{t:09d}.png" for t in (0, 4, 8)} <= pictures
    assert "figures/curves.png" in pictures
    events = EventAccumulator(str(done.path / "tensorboard")).Reload()
    assert [e.step for e in events.Scalars("train/V")][-2:] == [7, 8]
    plain = run("logger=csv", *FEW, "checkpoint.every=4", "iterations=8", name="plain")
    states = (torch.load(one.newest_checkpoint(), weights_only=True)["state_dict"] for one in (done, plain))
    assert same_state(*states)  # who looks on changes nothing


def test_secrets_and_values_that_are_no_numbers(database, client, tmp_path, caplog):
    told = MLflow(tmp_path / "run", "n", "g", ["ring", "a[b]"], tmp_path, uri=f"sqlite:///{database}")
    told.log_hyperparams({"data": {"source": "https://me:hunter2@host/x", "api_key": "hunter2"}, "k": 2})
    told.log_metrics({"iteration": 1, "train/penalty": math.nan, "eval/kl": math.inf}, 1)
    result = {"status": "diverged", "iterations": 1, "verdict": {"state": "diverged"}, "final": {}, "best": {}, "mean": {},
              "command": "train.py +data.token=hunter2"}  # fmt: skip
    lines = told.close(result, [])
    assert lines == [f"compare    mlflow ui --backend-store-uri sqlite:///{database}"]
    assert warned(caplog) == []
    assert math.isnan(history(client, told.version, "train/penalty")[0][1])
    run = client.get_run(told.version)
    assert (run.info.status, run.data.tags["status"], run.data.params["k"]) == ("FAILED", "diverged", "2")
    assert b"hunter2" not in database.read_bytes()
    assert run.data.params["data.source"] == "https://<redacted>@host/x"


def test_a_database_that_cannot_be_written_is_one_warning(run, tmp_path, caplog):
    done = run("logger=mlflow", "logger.mlflow.uri=sqlite:////proc/nowhere/x.db", "metrics=none", "theory=none", "iterations=3")
    assert done.result["status"] == "completed"
    (text,) = warned(caplog)
    assert text.startswith("MLflow: ")
    assert text.endswith("metrics.csv has all rows")


def test_a_server_that_does_not_answer_is_waited_for_a_twentieth_of_the_time_at_most(tmp_path, monkeypatch, caplog):
    """Each row would wait for it again: 266 s with MLflow's own limits."""
    clock, asked = SimpleNamespace(now=0.0), []

    def silent(client, name):
        asked.append(clock.now)
        clock.now += 10.0
        raise OSError("nobody answers")

    monkeypatch.setattr("mlflow.tracking.MlflowClient.get_experiment_by_name", silent)
    told = MLflow(tmp_path / "run", "n", "g", [], tmp_path, uri="http://127.0.0.1:9")
    monkeypatch.setattr("ganlab.loggers.mlflow.time", SimpleNamespace(monotonic=lambda: clock.now, time=lambda: 0.0))
    for t in range(500):
        clock.now += 1.0
        told.log_metrics({"iteration": t}, t)
    assert asked == [1.0, 211.0, 421.0]
    assert len(warned(caplog)) == 1
    assert {os.environ[f"MLFLOW_HTTP_REQUEST_{name}"] for name in ("MAX_RETRIES", "TIMEOUT")} == {"1", "10"}


def test_without_the_package_it_says_what_to_install(run, monkeypatch):
    monkeypatch.setattr("ganlab.loggers.mlflow.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"logger\.mlflow: needs the package mlflow-skinny: pip install 'ganlab\[mlflow\]'"):
        run("logger=mlflow", "iterations=2")
