"""`replicas=R`: runs of their own, trained at once."""

import signal

import pytest
import torch
from conftest import composed
from torch.testing import assert_close

import ganlab.run.experiment
from ganlab.commands.figures import figures
from ganlab.errors import Unfinished, UserError
from ganlab.files.run import RunDirectory, checkpoints
from ganlab.files.table import read
from ganlab.game.replicas import Replicas
from ganlab.run.experiment import train
from ganlab.signals import SIGNALS

TINY = ("model.G.width=8", "model.D.width=8", "metrics=none", "theory=none", "batch_size=16", "log_every=10", "health.every=20",
        "health.n=50", "checkpoint.every=20", "logger=csv", "penalty=r1", "ema_decay=0.9")  # fmt: skip


@pytest.fixture
def group(tmp_path):
    def start(*overrides, name="group"):
        train(composed(*TINY, f"runs={tmp_path}", *overrides, path=tmp_path / name))
        return [RunDirectory(path) for path in sorted((tmp_path / name).glob("s[0-9]"))]

    return start


def state(run, at=-1):
    return torch.load(checkpoints(run.checkpoints)[at], weights_only=True)


def assert_close_state(a, b, rtol=1e-6):
    """Everything that a checkpoint has: the same names and values, but for the last digits of weights, and for times."""
    for key in a.keys() | b.keys():
        if key in ("seconds", "spent", "loops"):
            continue  # how many iterations a call of Lightning does is a matter of time
        if isinstance(a[key], dict):
            assert_close_state(a[key], b[key], rtol)
        elif isinstance(a[key], list) and a[key] and isinstance(a[key][0], dict):
            for one, other in zip(a[key], b[key], strict=True):
                assert_close_state(one, other, rtol)
        elif isinstance(a[key], torch.Tensor) and a[key].is_floating_point():
            scale = float(b[key].abs().max())
            assert_close(a[key], b[key], rtol=rtol, atol=rtol * scale)
        elif isinstance(a[key], float):
            assert a[key] == pytest.approx(b[key], rel=1e-4, abs=1e-6), key
        else:
            assert a[key] == b[key], key


def test_each_is_a_run_as_if_it_had_been_trained_alone(group, run):
    together = group("replicas=3", "seed=4", "iterations=40")
    assert [one.result["seed"] for one in together] == [4, 5, 6]
    alone = run(*TINY, "seed=5", "iterations=40")
    one = together[1]
    assert_close_state(state(one), state(alone))
    assert {file.name for file in one.path.iterdir()} == {file.name for file in alone.path.iterdir()}
    assert one.config == alone.config | {"runs": one.config["runs"]}
    ours, its = read(one.table_file), read(alone.table_file)
    assert [row.keys() for row in ours] == [row.keys() for row in its]
    for mine, other in zip(ours, its, strict=True):
        assert {k: v for k, v in mine.items() if k != "seconds"} == pytest.approx(
            {k: v for k, v in other.items() if k != "seconds"}, rel=1e-4, abs=1e-6
        )
    assert one.result.keys() == alone.result.keys()
    assert not [*one.figures.iterdir()]  # drawn on demand
    assert {path.name for path in figures(one, trust=False)} == {path.name for path in alone.figures.iterdir()}
    smallest = min(checkpoints(alone.checkpoints)[-1].stat().st_size, 10**9)
    assert checkpoints(one.checkpoints)[-1].stat().st_size < 1.1 * smallest  # and not the weights of all three


def test_bf16_is_computed_in_where_it_is_asked_for(group, monkeypatch):
    seen, play = [], Replicas.play

    def watched(self, *given):
        seen.append(torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu"))
        play(self, *given)

    monkeypatch.setattr(Replicas, "play", watched)
    assert all(
        one.result["status"] == "completed" for one in group("replicas=2", "iterations=1", "trainer.precision=bf16-mixed")
    )
    group("replicas=2", "iterations=1", name="other")
    assert seen == [torch.bfloat16, False]


def test_figures_are_drawn_of_replicas_too_where_they_are_asked_for(group):
    drawn = group("replicas=2", "iterations=4", "figures=true")
    assert all((one.figures / "curves.png").exists() for one in drawn)


def test_an_ordinary_run_goes_on_with_one_of_them(group, run, tmp_path):
    one = group("replicas=2", "iterations=20")[1]
    train(composed(*TINY, f"runs={tmp_path}", "seed=1", "iterations=40", f"resume={one.path}", path=one.path))
    alone = run(*TINY, "seed=1", "iterations=40")
    assert one.result["status"] == "completed"
    assert_close_state(state(one), state(alone))


def killed(monkeypatch, at):
    """All end at that iteration, of which the first run alone has written its checkpoint."""
    from ganlab.observers.checkpoint import Checkpoint

    whole = Checkpoint.observe

    def observe(self, view):
        if view.t > at or (view.t == at and view.game.seed > 0):
            raise RuntimeError("killed")
        return whole(self, view)

    monkeypatch.setattr(Checkpoint, "observe", observe)


def test_a_killed_group_goes_on_bit_for_bit_from_checkpoints_of_several_iterations(group, monkeypatch):
    whole = group("replicas=3", "iterations=60", name="whole")
    with monkeypatch.context() as patch:
        killed(patch, 40)
        with pytest.raises(RuntimeError, match="killed"):
            group("replicas=3", "iterations=60", name="cut")
    cut = RunDirectory(whole[0].path.parent.parent / "cut")
    left = [checkpoints(RunDirectory(cut.path / f"s{seed}").checkpoints)[-1].name for seed in range(3)]
    assert left == ["step-000000040.ckpt", "step-000000020.ckpt", "step-000000020.ckpt"]
    with pytest.raises(UserError, match=r"another config \(k: 1 -> 2"):
        group("replicas=3", "iterations=60", "k=2", f"resume={cut.path}", name="cut")
    with pytest.raises(UserError, match=r"health.split = test but this data has no splits"):  # as it is built
        group("replicas=3", "iterations=60", "health.split=test", f"resume={cut.path}", name="cut")
    assert len(checkpoints(RunDirectory(cut.path / "s0").checkpoints)) == 2  # a line that is refused takes nothing away
    again = group("replicas=3", "iterations=60", f"resume={cut.path}", name="cut")
    for one, other in zip(again, whole, strict=True):
        assert one.result["status"] == "completed"
        a, b = state(one), state(other)
        assert all(torch.equal(value, b["state_dict"][name]) for name, value in a["state_dict"].items())
        assert [row["train/loss_D"] for row in read(one.table_file)] == [row["train/loss_D"] for row in read(other.table_file)]


@pytest.mark.long
def test_a_signal_ends_all_with_checkpoints_and_the_group_goes_on(group, monkeypatch):
    from ganlab.observers.log import Log

    whole = group("replicas=2", "iterations=60", name="whole")
    observe = Log.observe

    def interrupted(self, view):
        if view.t == 30 and not SIGNALS.received:
            signal.raise_signal(signal.SIGTERM)
        return observe(self, view)

    with monkeypatch.context() as patch:
        patch.setattr(Log, "observe", interrupted)
        with pytest.raises(Unfinished, match=r"2 interrupted of 2 replicas: go on with resume=") as caught:
            group("replicas=2", "iterations=60", name="cut")
    assert caught.value.code == 75
    SIGNALS.received = 0.0
    cut = whole[0].path.parent.parent / "cut"
    for one, other in zip(group("replicas=2", "iterations=60", f"resume={cut}", name="cut"), whole, strict=True):
        a, b = state(one)["state_dict"], state(other)["state_dict"]
        assert all(torch.equal(value, b[name]) for name, value in a.items())


def test_one_that_diverges_goes_on_more_slowly_and_is_played_until_its_end(group, monkeypatch):
    from ganlab.observers.log import Log

    observe = Log.observe

    def broken(self, view):
        if view.t == 6 and view.game.seed == 1 and view.game.slower > 0.3:
            next(iter(view.game.opt_D.state.values()))["exp_avg_sq"].fill_(float("inf"))
        return observe(self, view)

    monkeypatch.setattr(Log, "observe", broken)
    ones = group("replicas=2", "iterations=12", "log_every=2", "checkpoint.every=4", "on_divergence=rollback")
    assert [(one.result["status"], one.result["rollbacks"], one.result["rate_factor"]) for one in ones] == [
        ("completed", 0, 1.0),
        ("completed", 2, 0.25),
    ]
    assert [[row["iteration"] for row in read(one.table_file)] for one in ones] == [[2, 4, 6, 8, 10, 12]] * 2
    assert [state(one)["optimizer_states"][0]["param_groups"][0]["lr"] for one in ones] == [1e-3, 0.25e-3]


def test_what_ends_their_iterations_is_the_end_of_each_as_of_one_alone(group, tmp_path, monkeypatch, caplog):
    play = Replicas.play

    def broken(self, until, stop):
        if until > 10:
            raise RuntimeError("out of memory")
        play(self, until, stop)

    monkeypatch.setattr(Replicas, "play", broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        group("replicas=2", "iterations=20", "name=ring")
    results = [RunDirectory(tmp_path / "group" / f"s{seed}").result for seed in range(2)]
    assert [(one["status"], one["error"], one["iterations"]) for one in results] == [
        ("failed", "RuntimeError: out of memory", 10)
    ] * 2
    assert "2 of 2 replicas failed: ring-s0, ring-s1" in caplog.text


@pytest.mark.parametrize(("overrides", "sentence"), [
    (["~model.D.activation", "+model.D.activation={_target_: torch.nn.Dropout, p: 0.5}"],
     r"replicas: an iteration of many at once fails \(RuntimeError: .*random.*\): leave replicas out"),
    (["replicas=[]"], r"replicas has to be a number, or a list"),
    (["penalty=lecam"], r"replicas: penalty.lecam keeps what it has seen"),
    (["+model.G.norm=batch"], r"replicas: G.* is a BatchNorm1d"),
    (["updates=consensus"], r"replicas: updates \(Consensus\)"),
    (["resume=auto"], r"resume = auto is of one run"),
])  # fmt: skip
def test_what_cannot_be_stacked_is_refused_by_name_before_anything_is_written(group, tmp_path, overrides, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        group(*(["replicas=2"] if "replicas=[]" not in overrides else []), "iterations=4", *overrides)
    assert len(str(caught.value)) <= 200
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_replicas_that_differ_in_more_than_seed_and_optimizer_are_refused(group, tmp_path):
    ones = [{"dir": str(tmp_path / "a"), "set": ["seed=0", "k=1"]}, {"dir": str(tmp_path / "b"), "set": ["seed=1", "k=2"]}]
    given = ",".join(f"{{dir: '{one['dir']}', set: [{', '.join(map(repr, one['set']))}]}}" for one in ones)
    with pytest.raises(UserError, match=r"these do in k: 1 -> 2"):
        group(f"replicas=[{given}]")
    assert ganlab.run.experiment
