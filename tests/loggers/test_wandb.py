"""What W&B was told: its offline files, read back with its own reader, and what reaches a small server."""

import json
import logging
import math
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import wandb
from wandb_server import Server

from ganlab.errors import Diverged
from ganlab.files.table import KINDS, read
from ganlab.loggers.wandb import SILENT, Wandb

OFFLINE = ("logger=wandb", "iterations=6", "metrics.every=3", "metrics.picture.every=3", "metrics.n=20", "log_every=2")
KEY = "0" * 40


@pytest.fixture(autouse=True)
def logged_out(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # no netrc
    SILENT.clear()
    yield
    SILENT.clear()


@pytest.fixture
def account(monkeypatch):
    """account(url) logs in at that server, in a W&B that has not read its settings yet."""

    def log_in(url):
        wandb.teardown()
        monkeypatch.setenv("WANDB_BASE_URL", url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)

    yield log_in
    wandb.teardown()


@pytest.fixture
def server(account):
    started = Server()
    account(started.url)
    yield started
    started.stop()


def records(folder):
    (file,) = folder.glob("*.wandb")
    done = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)], capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def of(rows, kind):
    return [row[kind] for row in rows if row["type"] == kind]


def id_of(rows):
    return of(rows, "run")[0]["run_id"]


def history(rows):
    return [row["item"] for row in of(rows, "history")]


def summary(rows):
    """What lies in mappings has dotted names."""
    return {name: value for row in of(rows, "summary") for name, value in row["update"].items()}


def folders(path):
    return sorted((path / "wandb").glob("*run-*"))


def logger(path, name="a", mode="auto"):
    (path / name).mkdir(exist_ok=True)
    return Wandb(path / name, name, "g", ["t"], path, mode=mode)


def row(t):
    return {"iteration": t, "images": 128 * t, "train/V": -t / 8}


def ended(status="completed", t=4):
    verdict = {"state": "healthy", "since": None, "why": ""}
    return {"status": status, "iterations": t, "verdict": verdict, "final": {}, "best": {}, "mean": {}, "cards": {}}


@pytest.mark.slow
def test_one_offline_run_per_job_with_config_rows_pictures_and_no_question_asked(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "+data.token=hunter2", "seed=1"])
    run(*OFFLINE, "seed=1", name="a")
    run(*OFFLINE, "seed=2", name="b")
    both = folders(tmp_path)
    assert len(both) == 2
    assert wandb.run is None
    out = capsys.readouterr().out
    assert f"wandb leet {tmp_path}/wandb" in out
    assert f"wandb sync {both[0]}" in out

    # by seed: folders are named by the second in which they began, which may be the same
    found = sorted((of(rows, "run")[0]["display_name"], folder) for folder in both for rows in [records(folder)])
    names, both = [name for name, _ in found], [folder for _, folder in found]
    logged = [records(folder) for folder in both]
    assert names == ["ring-mlp-non_saturating-k1-s1", "ring-mlp-non_saturating-k1-s2"]
    assert {of(rows, "run")[0]["run_group"] for rows in logged} == {"ring-mlp-non_saturating-k1"}  # seeds of one setting
    for seed, rows, folder in zip((1, 2), logged, both, strict=True):
        config = of(rows, "config")[0]["update"]
        assert config["optim"]["D"]["betas"] == [0.5, 0.999]  # nested, as composed
        assert config["data"]["modes"] == 8
        seen = history(rows)
        assert [r["_step"] for r in seen] == [r["iteration"] for r in seen] == [*range(7)]  # one row per iteration
        assert [r["images"] for r in seen] == [128 * t for t in range(7)]
        assert [r["iteration"] for r in seen if "train/loss_D" in r] == [2, 4, 6]
        assert [r["iteration"] for r in seen if "eval/modes" in r] == [3, 6]
        axes = {metric.get("glob_name") or metric.get("name"): metric.get("step_metric") for metric in of(rows, "metric")}
        assert {axes[f"{kind}/*"] for kind in (*KINDS, "figures")} == {axes["samples"]} == {"images"}
        assert {"iteration", "images"} <= set(axes)
        found, result = summary(rows), json.loads((tmp_path / "ab"[seed - 1] / "result.json").read_text())
        for name, best in result["best"].items():
            assert found[f"best/{name}"] == pytest.approx(best["value"])
            assert found[f"best_iteration/{name}"] == best["iteration"]
            assert found[f"final/{name}"] == pytest.approx(result["final"][name]["value"])
        assert {"final/modes", "best/modes", "mean/modes"} <= set(found)
        assert found["cards/modes"]["n_fake"] == result["cards"]["modes"]["n_fake"] == 20
        assert found["verdict"] == "unknown"  # after one reading
        assert [found[name] for name in ("status", "seed", "commit")] == ["completed", seed, result["commit"]]
        assert "hunter2" in result["command"]  # on the user's own disk
        assert found["command"] == "train.py '+data.token=<redacted>' seed=1"
        assert not [file for file in folder.rglob("*") if file.is_file() and b"hunter2" in file.read_bytes()]
        assert [e.get("exit_code", 0) for e in of(rows, "exit")] == [0]
        assert len(list(folder.glob("files/media/images/samples_*.png"))) == 3
        measured = {r["iteration"]: r["theory/jsd"] for r in seen if "theory/jsd" in r}
        assert {0, 6} <= set(measured)
        assert found["final/theory/jsd"] == measured[6]
        figures = {path.name.split("_")[0] for path in folder.glob("files/media/*/figures/*")}
        assert figures == {"curves", "samples", "training", "game", "figure1", "theory"}


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_under_its_id_with_each_row_once(run, tmp_path):
    """The newest checkpoint is that of iteration 4, and rows 5 and 6 are there already."""
    few = ("logger=wandb", "log_every=1", "checkpoint.every=4", "metrics.every=3", "metrics.picture.every=4", "theory=none",
           "metrics.n=20")  # fmt: skip
    first = run(*few, "iterations=6")
    first.newest_checkpoint().unlink()
    done = run(*few, "iterations=8", f"resume={tmp_path}/run")
    before, after = sorted((records(folder) for folder in folders(tmp_path)), key=lambda rows: len(history(rows)))
    assert (
        of(before, "run")[0]["run_id"] == of(after, "run")[0]["run_id"] == (tmp_path / "run" / "wandb.id").read_text().strip()
    )
    assert [r["_step"] for r in history(before)] == [0, 1, 2, 3, 4, 5, 6]
    assert [r["_step"] for r in history(after)] == [0, 1, 2, 3, 4, 5, 6, 7, 8]  # whole by itself
    for logged, kept in zip(history(after)[1:], read(done.table_file), strict=True):
        assert {name: float(logged[name]) for name in kept} == pytest.approx(kept, nan_ok=True)
    assert [r["_step"] for r in history(after) if "samples.path" in r] == [0, 4, 8]
    assert of(after, "config")[0]["update"]["iterations"] == 8


@pytest.mark.slow
def test_a_diverged_and_a_failed_run_end_as_such_and_leave_the_next_one_alone(run, tmp_path, monkeypatch):
    few = ("logger=wandb", "metrics=none", "theory=none", "log_every=1", "iterations=3")
    with pytest.raises(Diverged):
        run(*few, "optim=sgd", "optim.lr=1e30", "iterations=20", name="a")
    with monkeypatch.context() as patch:
        patch.setattr("ganlab.observers.log.statistics", lambda gan: (_ for _ in ()).throw(RuntimeError("token=hunter2")))
        with pytest.raises(RuntimeError, match="token=hunter2"):
            run(*few, name="b")
    run(*few, name="c")
    found = {}
    for folder in folders(tmp_path):
        rows = records(folder)
        (exit_record,) = of(rows, "exit")
        told = summary(rows)
        found[id_of(rows)] = (told["status"], exit_record.get("exit_code", 0), told.get("error"))
    a, b, c = (found[(tmp_path / name / "wandb.id").read_text().strip()] for name in "abc")
    assert (a, c) == (("diverged", 3, None), ("completed", 0, None))
    assert b == ("failed", 1, "RuntimeError: token=<redacted>")


def test_secrets_of_the_config_stay_here(tmp_path):
    told = logger(tmp_path)
    told.log_hyperparams({"data": {"source": "https://me:hunter2@host/x", "api_key": "hunter2", "token": None}, "k": 2})
    told.log_metrics({**row(1), "train/penalty": math.nan}, 1)
    told.close({**ended(), "error": "cannot read https://me:hunter2@host/x"}, [])
    (folder,) = folders(tmp_path)
    update = of(records(folder), "config")[0]["update"]
    assert update["data"] == {"source": "https://<redacted>@host/x", "api_key": "<redacted>", "token": None}
    assert not [file for file in folder.rglob("*") if file.is_file() and b"hunter2" in file.read_bytes()]


def test_a_directory_that_is_used_again_is_another_run(tmp_path):
    ids = []
    for _ in range(2):
        told = logger(tmp_path)
        ids.append(told._id())
        (tmp_path / "a" / "wandb.id").unlink()
    assert ids[0] != ids[1]


def test_online_everything_arrives_and_a_killed_run_goes_on_where_the_server_is(server, tmp_path):
    """The server has rows 0 to 4; the newest checkpoint is that of iteration 2."""
    told = logger(tmp_path)
    told.log_hyperparams({"k": 2, "password": "hunter2"})
    for t in range(5):
        told.log_metrics(row(t), t)
    lines = told.close(ended("interrupted"), [])
    assert lines == [f"compare    {server.url}/me/ganlab/runs/{told._id()}"]
    (rows,) = server.rows.values()
    assert [r["_step"] for r in rows] == [0, 1, 2, 3, 4]

    told = logger(tmp_path)
    told.log_hyperparams({"k": 2, "password": "hunter2"})
    told.go_on(2, [row(0), row(1), row(2)])
    for t in range(3, 8):
        told.log_metrics(row(t), t)
    told.close(ended(t=7), [])
    (rows,) = server.rows.values()
    assert [(r["_step"], r["images"]) for r in rows] == [(t, 128 * t) for t in range(8)]
    assert server.exit_codes == [75, 0]
    assert "hunter2" not in server.text
    assert KEY not in server.text


def test_a_server_that_goes_away_does_not_hold_the_run_back(server, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "3")
    told = logger(tmp_path)
    told.log_hyperparams({})
    server.stop()
    told.log_metrics(row(1), 1)
    began = time.monotonic()
    lines = told.close(ended(), [])
    assert time.monotonic() - began < 15
    (folder,) = folders(tmp_path)
    assert lines[1] == f"upload     wandb login && wandb sync {folder}"
    assert len(warnings(caplog)) == 1
    assert [r["_step"] for r in history(records(folder))] == [1]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["auto", "online"])
def test_a_server_that_does_not_answer_is_waited_for_once_and_not_for_long(mode, account, tmp_path, monkeypatch, caplog):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        account(f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("WANDB_HTTP_TIMEOUT", "3")
        for name, bound in (("a", 30), ("b", 5)):
            began = time.monotonic()
            told = logger(tmp_path, name, mode)
            told.log_hyperparams({})
            assert told.mode == "offline"
            assert time.monotonic() - began < bound
            assert told.close(ended(), [])[0] == f"compare    wandb leet {tmp_path}/wandb"
    assert len(folders(tmp_path)) == len(warnings(caplog)) == 2


def test_online_without_an_account_is_offline_with_a_warning(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    told = logger(tmp_path, mode="online")
    told.log_hyperparams({})
    assert told.mode == "offline"
    told.close(ended(), [])
    assert [text for text in warnings(caplog) if "there is no account" in text and "is logged offline" in text]


def test_where_wandb_cannot_begin_training_goes_on_with_one_warning(run, tmp_path, caplog):
    (tmp_path / "wandb").write_text("not a directory")
    done = run("logger=wandb", "metrics=none", "theory=none", "log_every=1", "iterations=3")
    assert done.result["status"] == "completed"
    assert len(read(done.table_file)) == 3
    (text,) = warnings(caplog)
    assert "this run is not logged there" in text


def test_a_run_that_cannot_begin_does_not_end_those_of_others_in_this_process(tmp_path, monkeypatch):
    """As replicas are: W&B's teardown is of the whole process."""
    calls, server = [], ["there"]

    def init(self, mode):
        if mode == "online" and not server:
            raise TimeoutError
        return SimpleNamespace(id=self.run_dir.name, dir=f"{tmp_path}/x/files", url="", finish=lambda exit_code: None)

    monkeypatch.setattr(Wandb, "_init", init)
    monkeypatch.setattr(Wandb, "_summary", lambda self, result: None)
    monkeypatch.setattr("ganlab.loggers.wandb._reached", lambda: ("online", None))
    monkeypatch.setattr(wandb, "teardown", lambda: calls.append(1))
    first, second, third = (logger(tmp_path, name) for name in "abc")
    assert first.experiment.id == "a"
    server.clear()
    assert second.experiment.id == "b"
    assert (first.mode, second.mode, calls) == ("online", "offline", [])
    for told in (first, second):
        told.close(ended(), [])
    assert third.experiment.id == "c"
    assert calls == [1]


def test_what_goes_wrong_on_the_way_is_told_once(tmp_path, caplog):
    told = logger(tmp_path)
    for t in range(3):
        told.log_picture("samples", tmp_path / "missing.png", t)
    told.log_metrics(row(5), 5)
    told.close(ended(), [tmp_path / "missing.gif"])
    assert len(warnings(caplog)) == 1
    (folder,) = folders(tmp_path)
    assert [r["_step"] for r in history(records(folder))] == [5]


def warnings(caplog):
    return [r.getMessage() for r in caplog.records if r.name == "ganlab.loggers.wandb" and r.levelno >= logging.WARNING]


def test_the_environment_decides_for_auto_only(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert logger(tmp_path).mode == "disabled"
    assert logger(tmp_path, mode="offline").mode == "offline"


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"mode": "of"}, "mode must be one of auto, online, offline, disabled, got 'of'"),
        ({"project": "a/b"}, "project must be 1 to 128 characters without any of / .*, got 'a/b'"),
    ],
)
def test_what_wandb_would_refuse_is_refused_by_name(tmp_path, own, sentence):
    with pytest.raises(ValueError, match=sentence):
        Wandb(tmp_path, "n", "g", [], tmp_path, **own)


def test_tensorboard_keeps_no_secret_either(tmp_path):
    from ganlab.loggers.tensorboard import TensorBoard

    told = TensorBoard(tmp_path, "n", "g", [], tmp_path)
    told.log_hyperparams({"data": {"token": "hunter2"}})
    told.save()
    told.close({}, [])
    files = [file for file in (tmp_path / "tensorboard").rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if b"hunter2" in file.read_bytes()]
