"""Python's calls do what the command line does, and leave the process as it was."""

import logging
import os
import random
import signal
import sys
from threading import Thread

import numpy as np
import pytest
import torch
from conftest import same_state
from hydra.core.global_hydra import GlobalHydra

import ganlab
from ganlab.api.sweeps import several
from ganlab.api.words import words_of
from ganlab.commands.sample import sample
from ganlab.files.run import RunDirectory

SMALL = {"logger": "csv", "theory": "none", "iterations": 4, "metrics.n": 64, "metrics.every": 2, "checkpoint.every": 2}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    return ganlab.train("loss=minimax", "penalty=spectral_norm", k=2, runs=folder, **SMALL)


def surroundings():
    signals = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    states = (random.getstate()[1], np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    return sys.argv, [*sys.path], dict(os.environ), [*logging.getLogger().handlers], signals, GlobalHydra().hydra, states


def test_a_call_is_the_same_words_on_the_command_line(trained, run):
    same = run("loss=minimax", "penalty=spectral_norm", "k=2", *(f"{key}={value}" for key, value in SMALL.items()))
    ours, theirs = (torch.load(one.newest_checkpoint(), weights_only=True) for one in (RunDirectory(trained.path), same))
    assert same_state(ours["state_dict"], theirs["state_dict"])
    assert (trained.status, trained.result["iterations"], trained.config["k"]) == ("completed", 4, 2)
    assert trained.result["command"].startswith("ganlab train loss=minimax penalty=spectral_norm k=2 ")
    assert trained.scores.keys() == same.result["final"].keys() != set()


def test_what_a_run_has(trained, tmp_path):
    assert trained.metrics.index.tolist()[-1] == 4
    assert {"train/V", "eval/modes"} <= {*trained.metrics.columns}
    out = sample(RunDirectory(trained.path), n=5, seed=3, checkpoint=None, out=tmp_path, trust=False)
    torch.testing.assert_close(
        trained.sample(5, seed=3), torch.from_numpy(np.loadtxt(out / "samples.csv", delimiter=",", skiprows=1)).float()
    )
    assert trained.interpolate(walks=2, steps=3).shape == (2, 3, 2)
    state = torch.load(RunDirectory(trained.path).newest_checkpoint(), weights_only=True)["state_dict"]
    assert same_state(trained.D.state_dict(), {name[2:]: v for name, v in state.items() if name.startswith("D.")})
    assert trained.D(trained.sample(6), None).shape == (6,)
    assert trained.figures.curves.name == "curves.png"
    for told in (trained._repr_html_(), trained.figures._repr_html_()):
        assert "data:image/" in told
    assert trained.evaluate(n=50)["cards"]["modes"]["n_fake"] == 50
    with pytest.raises(ganlab.UserError, match=r"evaluate takes .*seed.*, and not sed"):
        trained.evaluate(sed=3)
    with pytest.raises(ganlab.UserError, match=r"^y 3: this G is not told any"):
        trained.sample(2, y=3)
    with pytest.raises(ganlab.UserError, match="y names no class"):
        trained.sample(2, y=[])


def test_what_is_asked_of_a_run_wrongly_is_a_mistake_of_the_users(trained, tmp_path):
    for wrong, told in (
        (lambda: trained.sample(2.5), r"n must be a whole number >= 1, got 2\.5"),
        (lambda: trained.sample("a"), "n must be a whole number >= 1, got 'a'"),
        (lambda: trained.sample(2, seed=None), "seed must be a whole number, got None"),
        (lambda: trained.sample(2, y="3"), "y = '3' is no class"),
        (lambda: trained.interpolate(0, 5), "walks must be a whole number >= 1, got 0"),
        (lambda: ganlab.load(3), "load takes the path of a run directory, got 3"),
        (lambda: trained.evaluate(metrics="nope"), "nope"),
        (lambda: ganlab.compare(trained).report("/proc/x"), "cannot use /proc/x: No such file or directory$"),
    ):
        with pytest.raises(ganlab.UserError, match=told):
            wrong()


def test_a_run_is_found_from_any_directory_and_its_nets_are_built_without_a_trace(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(trained.path.parent)
    found = ganlab.load(trained.path.name)
    monkeypatch.chdir(tmp_path)
    before = surroundings()
    assert ganlab.load(found).sample(3).shape == (3, 2)
    assert found.interpolate(walks=1, steps=2).shape == (1, 2, 2)
    assert found.D(found.G(found.prior.sample(3, torch.Generator()), None), None).shape == (3,)
    assert surroundings() == before


MISTAKES = {
    ("kk=3",): "unknown key kk: did you mean k?",
    ("k=0",): "k = 0: input should be greater than or equal to 1",
    ("data=rong",): "data = rong is no choice: did you mean ring?",
    ("replicas=2",): "replicas=2 is several runs, and train trains one: sweep('hydra/launcher=replicas', seed=range(10))",
    ("k=1,2",): "k=1,2 has several values, and train trains one run: use ganlab.sweep",
    ("-m", "k=1"): "'-m' is no override",
    ("k=",): "k= is empty",
    ("resume=nowhere",): "resume = nowhere is not a run directory",
}


@pytest.mark.parametrize("overrides", MISTAKES, ids=" ".join)
def test_a_mistake_is_one_exception_with_the_sentence_and_leaves_nothing(overrides, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = surroundings()
    with pytest.raises(ganlab.UserError) as caught:
        ganlab.train(*overrides)
    assert MISTAKES[overrides] in str(caught.value)
    assert len(str(caught.value)) <= 200
    assert surroundings() == before
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_calls_follow_each_other_and_leave_the_process_as_it_was(tmp_path):
    before = surroundings()
    small = SMALL | {"metrics": "none", "metrics.n": 8, "iterations": 2, "runs": tmp_path}
    first = ganlab.train(name="a", **small)
    again = ganlab.train(f"resume={first.path}", iterations=3)
    assert again.path == first.path
    assert again.result["iterations"] == 3
    assert surroundings() == before
    found = []
    other = Thread(target=lambda: found.append(ganlab.train(name="b", **small)))
    other.start()
    other.join()
    assert found[0].status == "completed"


def test_a_run_that_diverges_is_a_run(tmp_path):
    small = SMALL | {"metrics": "none", "runs": tmp_path, "iterations": 60, "optim.lr": 1e30}
    run = ganlab.train(optim="sgd", loss="wasserstein", **small)
    assert run.status == run.verdict == "diverged"


def test_words():
    given = {"k": 2, "optim.lr": 1e-4, "penalty": ["r1", "r2"], "images": None, "a": True, "b": "a b'c", "c": "null",
             "d": {"e": [1, 2]}, "f": np.float64(0.5)}  # fmt: skip
    words = ["k=2", "optim.lr=0.0001", "penalty=[r1,r2]", "images=null", "a=true", "b='a b\\'c'", "c='null'", "d={e:[1,2]}"]
    assert words_of(("data=ring", "~x"), given) == ["data=ring", "~x", *words, "f=0.5"]
    assert several({"k": range(3), "loss": ["hinge", "minimax"], "penalty": [["r1", "r2"], "r1"], "seed": 4}) == [
        "k=0,1,2", "loss=hinge,minimax", "penalty=[r1,r2],r1", "seed=4"]  # fmt: skip


def test_importing_ganlab_is_cheap_and_names_what_it_has():
    assert {"train", "load", "sweep", "compare", "Run", "UserError"} <= {*dir(ganlab)}
    assert callable(ganlab.sweep)
    with pytest.raises(AttributeError, match="'rong'"):
        ganlab.rong  # noqa: B018
    with pytest.raises(ganlab.UserError, match="is not a run directory"):
        ganlab.load("nowhere")


@pytest.mark.long
def test_a_sweep_from_python_leaves_the_files_of_the_command_line(tmp_path, monkeypatch, drawn):
    from conftest import ROOT
    from forked import Forked

    small = {key: value for key, value in SMALL.items() if key != "iterations"} | {"iterations": 2}
    monkeypatch.chdir(tmp_path)
    ours = ganlab.sweep(study="s", runs="ours", loss=["minimax", "hinge"], seed=range(2), **small)
    words = ["-m", "study=s", "runs=theirs", "loss=minimax,hinge", "seed=0,1", *(f"{key}={v}" for key, v in small.items())]
    assert Forked(ROOT / "train.py", *words, cwd=tmp_path).ended().returncode == 0
    assert [run.status for run in ours] == ["completed"] * 4
    theirs = tmp_path / "theirs" / "sweeps" / "s"
    names = {str(path.relative_to(theirs)) for path in theirs.rglob("*") if path.is_file()}
    assert {str(path.relative_to(ours.path)) for path in ours.path.rglob("*") if path.is_file()} == names
    for run in ours:
        other = RunDirectory(theirs / run.path.name)
        assert run.config | {"runs": ""} == other.config | {"runs": ""}
        states = (
            torch.load(one.newest_checkpoint(), weights_only=True)["state_dict"] for one in (RunDirectory(run.path), other)
        )
        assert same_state(*states)
    found = ganlab.compare(ours)
    assert found.scores.groupby("setting").size().index.tolist() == ["loss=hinge", "loss=minimax"]
    assert found.tests.query("score == 'modes'").shape[0] == 1
    assert "data:image/png" in found._repr_html_()
    assert found.report(tmp_path / "report").is_file()
    assert "modes" in found.figures
    with pytest.raises(ganlab.UserError, match="k = 0: input should be"):
        ganlab.sweep(k=[0, 1])
