"""Run directories of commit f81876f, made by: python train.py iterations=6 model.G.width=8 model.D.width=8 penalty=r1 ...: what
is theirs is in their overrides.yaml."""

import json
import shutil
import sys

import pytest
import torch
from conftest import ROOT, composed

from ganlab.commands.sample import sample
from ganlab.files.run import RunDirectory
from ganlab.observers.scores import Scores
from ganlab.report.compare import compare, studied
from ganlab.run.command_line import with_saved_overrides
from ganlab.run.experiment import train

NAMES = ["plain", "packed"]


@pytest.fixture
def old(tmp_path):
    shutil.copytree(ROOT / "tests" / "old_runs", tmp_path / "old")
    return lambda name: RunDirectory(tmp_path / "old" / name)


def resumed(run, *new):
    """As `train.py resume=RUN` does it."""
    argv = with_saved_overrides(["train.py", f"resume={run.path}", *new])
    train(composed(*argv[1:], path=run.path))


@pytest.mark.parametrize("name", NAMES)
def test_an_old_run_goes_on(old, name):
    run = old(name)
    known = run.result["mean"]  # there are more scores now, whose means begin now
    resumed(run, "iterations=9")
    assert (run.result["status"], run.result["iterations"]) == ("completed", 9)
    assert run.result["resumed_from"].endswith("step-000000006.ckpt")
    assert json.loads(run.result_file.read_text()).keys() >= {"final", "best", "mean"}
    assert "area" not in run.result
    assert {(mean["from"], mean["to"]) for mean in (run.result["mean"][k] for k in known) if mean["value"] is not None} == {
        (3, 9)
    }
    new = torch.load(run.newest_checkpoint(), weights_only=True)
    assert {s["step"].item() for s in new["optimizer_states"][1]["state"].values()} == {9.0 * run.config["k"]}


def test_an_old_penalty_is_set_by_its_name_now(old):
    run = old("plain")
    argv = with_saved_overrides(["train.py", f"resume={run.path}"])
    assert "penalty.r1.gamma=0.3" in argv
    assert run.config["penalty"] == {"r1": {"_target_": "ganlab.game.terms.R1", "gamma": 0.3, "every": 1}}
    assert old("packed").config["penalty"]["gradient_penalty"]["weight"] == 0.1


@pytest.mark.parametrize("name", NAMES)
def test_an_old_run_is_sampled_as_it_was(old, name, tmp_path):
    out = sample(old(name), n=8, seed=0, checkpoint=None, out=tmp_path / "out", trust=False)
    now = (out / "samples.csv").read_text().splitlines()
    then = (ROOT / "tests" / "old_runs" / f"{name}-samples.csv").read_text().splitlines()
    assert len(now) == len(then) == 9
    for a, b in zip(now[1:], then[1:], strict=True):
        assert [float(x) for x in a.split(",")] == pytest.approx([float(x) for x in b.split(",")], abs=1e-6)


def test_old_runs_are_compared_and_evaluated(old, tmp_path, monkeypatch, capsys):
    from ganlab.commands.evaluate import EvaluationRequest, evaluate

    compare([old("plain").path, old("packed").path], tmp_path / "compare")
    told = capsys.readouterr().out
    assert "modes" in told
    (file,) = evaluate([old("plain").path], EvaluationRequest(overrides=["metrics.n=50"]))
    assert json.loads(file.read_text())["scores"]["modes"]["value"] >= 0
    assert sys.modules["ganlab.report.compare"]


@pytest.mark.parametrize("name", NAMES)
def test_the_mean_over_iterations_was_called_area(old, name):
    run = old(name)
    written = json.loads(run.result_file.read_text())
    assert "mean" not in written
    assert run.result["mean"] == written["area"]


def test_old_means_are_compared(old):
    study = studied([old("packed").path])
    mean = {row.score: row.cells["mean"].mean.value for row in study.sections[0].rows if "mean" in row.cells}
    assert mean == {score: each["value"] for score, each in old("packed").result["mean"].items()}


def test_a_checkpoint_of_before_has_the_mean_as_area():
    scores = Scores(lower=["fid"])
    for t, value in ((100, 4.0), (200, 2.0)):
        scores.keep({"fid": value}, t)
    state = scores.state_dict()
    again = Scores(lower=["fid"])
    again.load_state_dict({"final": state["final"], "best": state["best"], "area": state["mean"]})
    assert again.state_dict() == state


def test_an_old_run_and_a_new_one_of_the_same_setting_are_one_setting(old, run, tmp_path):
    lines = [line for line in with_saved_overrides(["train.py", f"resume={old('plain').path}"])[1:] if "resume" not in line]
    new = run(*lines, "seed=1", name="new")
    from ganlab.files.run import differences

    assert differences(old("plain").config, new.config) == ["seed: 0 -> 1"]
