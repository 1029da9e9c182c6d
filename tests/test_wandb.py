"""The offline files that W&B wrote, read back with W&B's own reader."""

import json
import subprocess
import sys

import pytest
import wandb

from ganlab.loggers.wandb import Wandb

OFFLINE = ("logger=wandb", "iterations=6", "metrics.every=3", "metrics.picture.every=3", "metrics.n=20", "log_every=2")


@pytest.fixture(autouse=True)
def logged_out(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # no netrc


def records(folder):
    (file,) = folder.glob("*.wandb")
    done = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)], capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def of(rows, kind):
    return [row[kind] for row in rows if row["type"] == kind]


@pytest.mark.slow
def test_one_offline_run_per_job_with_config_rows_pictures_and_no_question_asked(run, tmp_path, capsys):
    run(*OFFLINE, "seed=1", name="a")
    run(*OFFLINE, "seed=2", name="b")
    folders = sorted((tmp_path / "wandb").glob("offline-run-*"))
    assert len(folders) == 2
    assert wandb.run is None
    out = capsys.readouterr().out
    assert f"wandb leet {tmp_path}/wandb" in out
    assert f"wandb sync {folders[0]}" in out

    logged = [records(folder) for folder in folders]
    names = sorted(of(rows, "run")[0]["display_name"] for rows in logged)
    assert names == ["ring-mlp-non_saturating-k1-s1", "ring-mlp-non_saturating-k1-s2"]
    assert {of(rows, "run")[0]["run_group"] for rows in logged} == {"ring-mlp-non_saturating-k1"}  # seeds of one setting
    for rows, folder in zip(logged, folders, strict=True):
        config = of(rows, "config")[0]["update"]
        assert config["optim"]["D"]["betas"] == [0.5, 0.999]  # nested, as composed
        assert config["data"]["modes"] == 8
        history = [row["item"] for row in of(rows, "history")]
        assert [row["images"] for row in history if "train/loss_D" in row] == [2 * 128, 4 * 128, 6 * 128]
        assert [row["iteration"] for row in history if "eval/modes" in row] == [3, 6]
        axes = {metric.get("glob_name"): metric.get("step_metric") for metric in of(rows, "metric")}
        assert axes["train/*"] == axes["eval/*"] == "images"
        summary = {name: value for row in of(rows, "summary") for name, value in row["update"].items()}
        assert {"final/modes", "best/modes", "area/modes"} <= set(summary)
        assert summary["verdict"] == "unknown"  # after one reading
        cards = {name: card for row in of(rows, "config") for name, card in row["update"].get("cards", {}).items()}
        assert cards["modes"]["n_fake"] == 20
        assert len(list(folder.glob("files/media/images/samples_*.png"))) == 3
        measured = {row["iteration"]: row["theory/jsd"] for row in history if "theory/jsd" in row}
        assert {0, 6} <= set(measured)
        assert axes["theory/*"] == "images"
        assert summary["final/theory/jsd"] == measured[6]
        figures = {path.name.split("_")[0] for path in folder.glob("files/media/*/figures/*")}
        assert figures == {"curves", "samples", "training", "game", "figure1", "theory"}


def test_without_an_account_auto_is_offline(tmp_path):
    assert Wandb._available() == "offline"


def test_the_environment_decides_for_auto_only(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    arguments = {"run_dir": tmp_path, "name": "n", "group": "g", "tags": [], "runs": tmp_path}
    assert Wandb(**arguments).mode == "disabled"
    assert Wandb(**arguments, mode="offline").mode == "offline"


def test_an_unknown_mode_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="mode must be one of auto, online, offline, disabled, got 'of'"):
        Wandb(tmp_path, "n", "g", [], tmp_path, mode="of")
