"""Many iterations in one call of Lightning are the same as one in each; and the game's own count is Lightning's."""

import pytest
import torch
from conftest import ROOT

from ganlab.files.table import read
from ganlab.game.module import GAN

SMALL = ("model=maxout", "model.G.width=8", "model.D.units=8", "penalty=r1", "penalty.r1.every=3", "k=2", "theory=none",
         "batch_size=16", "iterations=50", "ema_decay=0.9", "metrics.n=20", "metrics.picture=null",
         "checkpoint.every=25")  # fmt: skip


def checkpoint(run):
    return torch.load(run.newest_checkpoint(), weights_only=True)


def weights(run):
    return {**checkpoint(run)["state_dict"], **{f"{i}.{j}.{k}": v for i, o in enumerate(checkpoint(run)["optimizer_states"])
                                                 for j, s in o["state"].items() for k, v in s.items()}}  # fmt: skip


def calls(monkeypatch):
    """How many iterations each call did."""
    done, original = [], GAN.training_step

    def step(gan, *arguments):
        before = gan.t
        original(gan, *arguments)
        done.append(gan.t - before)

    monkeypatch.setattr(GAN, "training_step", step)
    monkeypatch.setattr("ganlab.game.module.PATIENCE", 1e9)
    return done


@pytest.mark.parametrize("looks", [("log_every=50", "metrics.every=50"), ("log_every=5", "metrics.every=7", "health.every=9")])
def test_the_bits_are_the_same_for_any_number_of_iterations_in_a_call(run, monkeypatch, looks):
    done = calls(monkeypatch)
    found = {}
    for n in (1, 7, 50):
        done.clear()
        found[n] = run(*SMALL, *looks, f"at_once={n}", name=f"n{n}")
        assert sum(done) == 50
        assert max(done) == (n if looks[0] == "log_every=50" and n < 50 else max(done)) <= n
    for n in (7, 50):
        a, b = weights(found[1]), weights(found[n])
        assert a.keys() == b.keys()
        assert all(torch.equal(value, b[name]) for name, value in a.items())
        drop = [[{k: v for k, v in row.items() if k != "seconds"} for row in read(found[m].table_file)] for m in (1, n)]
        assert str(drop[0]) == str(drop[1])  # as text, where nan is nan


def test_state_of_terms_an_objective_and_several_steps_of_g_are_the_same_for_any_number(run, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests")
    monkeypatch.setattr("ganlab.game.module.PATIENCE", 1e9)
    own = ("+penalty.lecam={_target_: outsiders.LeCam, weight: 0.1, every: 3}",
           "+penalty.transport={_target_: outsiders.Transport, weight: 1}",
           "objective={_target_: outsiders.AuxiliaryClassifier}", "updates.g_steps=2", "model.G.width=8", "model.D.width=8",
           "theory=none", "metrics=none", "iterations=30", "batch_size=16")  # fmt: skip
    a, *others = (weights(run(*own, f"at_once={n}", name=f"n{n}")) for n in (1, 7, 30))
    assert any("terms.lecam" in name for name in a)
    for b in others:
        assert all(torch.equal(value, b[name]) for name, value in a.items())


def test_a_resumed_run_ends_where_a_whole_one_does_whatever_the_number(run, tmp_path):
    whole = run(*SMALL, "at_once=50", name="whole")
    run(*SMALL, "iterations=25", "at_once=7", name="parts")
    parts = run(*SMALL, "at_once=1", f"resume={tmp_path}/parts", name="parts")
    a, b = weights(whole), weights(parts)
    assert all(torch.equal(value, b[name]) for name, value in a.items())


def test_a_call_ends_where_somebody_looks_and_after_a_while(run, monkeypatch):
    done = calls(monkeypatch)
    run("metrics=none", "theory=none", "iterations=50", "log_every=20", "health.every=15", "checkpoint.every=50", name="looked")
    assert done == [15, 5, 10, 10, 5, 5]
    done.clear()
    monkeypatch.setattr("ganlab.game.module.PATIENCE", 0.0)
    run("metrics=none", "theory=none", "iterations=5", name="short")
    assert done == [1] * 5


@pytest.mark.parametrize(("k", "g_steps"), [(1, 2), (3, 2)])
def test_several_steps_of_g_are_counted_and_an_iteration_stays_one(run, k, g_steps):
    done = run(
        "metrics=none", "theory=none", "iterations=6", f"k={k}", f"updates.g_steps={g_steps}", "log_every=2", "batch_size=16"
    )
    last = checkpoint(done)
    assert (last["iteration"], last["global_step"]) == (6, 6)
    steps = [{state["step"].item() for state in optimizer["state"].values()} for optimizer in last["optimizer_states"]]
    assert steps == [{6.0 * g_steps}, {6.0 * k}]
    row = read(done.table_file)[-1]
    assert (row["iteration"], row["d_steps"], row["g_steps"], row["images"]) == (6, 6 * k, 6 * g_steps, 6 * k * 16)
    assert done.result["g_steps"] == 6 * g_steps
