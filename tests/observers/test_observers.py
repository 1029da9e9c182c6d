"""Those who look at the game, and the one who lets them: when, on which rank, in which mode, and what becomes of it."""

import itertools
import signal
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest
import torch
from conftest import composed
from pytorch_lightning.loggers import CSVLogger
from torch import nn

from ganlab.errors import UserError
from ganlab.files.run import RunDirectory, checkpoints
from ganlab.files.status import Status
from ganlab.files.table import read
from ganlab.game.module import GAN
from ganlab.loggers.base import RunLogger
from ganlab.observers.adapter import Observation, evaluation, of_one_entry
from ganlab.observers.health import Health
from ganlab.observers.log import Log
from ganlab.observers.measure import Measure
from ganlab.observers.observer import Observer
from ganlab.run.build import game_of, logger_of, settings_of
from ganlab.run.config import resolve, validate
from ganlab.run.experiment import Experiment, rehearse
from ganlab.signals import END, NOTE, SIGNALS

TINY = ("model.G.width=8", "model.D.width=8", "metrics=none", "theory=none", "health.every=100")


class Spy(Observer):
    """Notes at which iterations it looked, and the modes of the nets."""

    def __init__(self, every=1, ends_at=None, **values):
        super().__init__(every)
        self.values, self.ends_at, self.seen, self.modes = values, ends_at, [], set()
        self.ends = Status.COLLAPSED if ends_at else None

    def observe(self, view):
        self.seen.append((view.t, view.last))
        self.modes |= {net.training for net in (view.game.G, view.game.D, view.game.G_ema)}
        return {f"eval/{name}": value for name, value in self.values.items()}

    def stop(self):
        return bool(self.seen) and self.seen[-1][0] == self.ends_at

    def state_dict(self):
        return {"looks": len(self.seen)}

    def load_state_dict(self, state):
        self.looks = state["looks"]


class Other(Spy): ...


class Notes(RunLogger):
    name = version = "notes"

    def __init__(self):
        super().__init__()
        self.told = []

    def log_hyperparams(self, *_): ...

    def log_metrics(self, metrics, step=None):
        self.told.append((step, metrics))

    def log_picture(self, key, path, step):
        self.told.append((step, key))

    def save(self):
        self.told.append("saved")


class Ranks:
    """What a rank says and hears when all agree; the others say `others`."""

    def __init__(self, others=False):
        self.others, self.asked = others, []

    def reduce_boolean_decision(self, decision, all=True):
        assert not all
        self.asked.append(decision)
        return decision or self.others


def trainer(first=True, others=False):
    datamodule = SimpleNamespace(source="p_data")
    saved = []
    return SimpleNamespace(
        is_global_zero=first, strategy=Ranks(others), should_stop=False, datamodule=datamodule, saved=saved,
        save_checkpoint=saved.append, global_step=0, world_size=1,
    )  # fmt: skip


@pytest.fixture
def gan(tmp_path):
    made = game_of(validate(resolve(composed(*TINY, path=tmp_path))))
    made.train()
    return made


def play(observation, gan, trainer, iterations):
    """Iterations that change nothing."""
    gan._trainer = trainer  # not Lightning's own
    gan.now.t = trainer.global_step
    observation.on_train_start(trainer, gan)
    while gan.t < iterations and not trainer.should_stop:
        gan.now.t += 1
        observation.on_train_batch_end(trainer, gan)


# --- when


@pytest.mark.parametrize("t", [0, 1, 6, 7, 20, 29])
def test_the_next_look_is_the_first_iteration_at_which_anybody_is_due(t, tmp_path):
    observers = [Spy(7), Other(5), Measure(11, None, tmp_path, frames=4, iterations=30)]
    looks = {s for s in range(1, 100) if any(observer.due(s) for observer in observers)} | {30}
    assert Observation(observers, 30, []).next_look(t) == min(s for s in looks if s > t)
    for observer in observers:
        assert observer.next_due(t) == min(s for s in range(t + 1, 100) if observer.due(s))


def test_without_observers_nobody_looks_before_the_end():
    assert Observation([], 30, []).next_look(3) == 30


def test_each_looks_at_its_own_iterations_and_at_the_last(gan):
    a, b = Spy(3), Other(4)
    play(Observation([a, b], 10, []), gan, trainer(), 10)
    assert a.seen == [(3, False), (6, False), (9, False), (10, True)]
    assert b.seen == [(4, False), (8, False), (10, True)]


def test_where_a_signal_stops_a_run_only_those_look_that_nobody_can_make_up_for(gan):
    a, b = Spy(3), Other(4)
    b.again, b.parting = False, True
    observation, stopped = Observation([a, b], 10, []), trainer()
    play(observation, gan, stopped, 4)
    gan.now.t, stopped.should_stop = 5, True
    observation.on_train_batch_end(stopped, gan)
    assert (a.seen, b.seen) == ([(3, False)], [(4, False), (5, False)])
    assert (observation.ended, observation.put_off) == (None, [])  # nobody was due


def test_what_was_due_when_a_signal_came_is_made_up_for(gan):
    a, b = Spy(3), Other(4)
    observation, stopped = Observation([a, b], 10, []), trainer()
    play(observation, gan, stopped, 5)
    gan.now.t, stopped.should_stop = 6, True
    observation.on_train_batch_end(stopped, gan)
    assert a.seen == [(3, False)]
    state = observation.state_dict()
    assert state["put_off"] == [a.name]
    later = Observation([a, b], 10, [])
    later.load_state_dict(state)
    again = trainer()
    again.global_step = 6
    play(later, gan, again, 7)
    assert a.seen == [(3, False), (6, False)]
    assert later.put_off == []


def test_a_signal_has_a_look_broken_off_and_its_state_left_as_it_was(gan):
    a, b = Spy(3), Other(3)
    b.parting, b.again = True, False

    def slow(view):
        a.seen.append("half")
        SIGNALS._come(signal.SIGTERM, None)
        a.seen.append("whole")

    a.observe, before = slow, SIGNALS.received
    observation, stopped = Observation([a, b], 10, []), trainer()
    try:
        SIGNALS.mode = NOTE
        play(observation, gan, stopped, 3)
    finally:
        SIGNALS.received, SIGNALS.mode = before, END
    assert a.seen == ["half"]
    assert b.seen == [(3, False)]
    assert (stopped.should_stop, observation.put_off) == (True, [a.name])


def test_a_game_is_watched_in_the_iterations_before_a_look_only(run, monkeypatch):
    watched = {}
    original = GAN.G_step

    def spy(gan):
        watched[gan.t + 1] = gan.now.looked_at
        original(gan)

    monkeypatch.setattr(GAN, "G_step", spy)
    run(*TINY[:-1], "iterations=10", "log_every=4", "health.every=3", "checkpoint.every=100")
    assert [t for t, is_watched in watched.items() if is_watched] == [3, 4, 6, 8, 9, 10]


# --- on which rank, and what they agree on


def test_the_others_look_only_with_those_that_look_everywhere_and_record_nothing(gan):
    here, there, told = Spy(2, a=1.0), Other(2, b=2.0), Notes()
    there.everywhere = True
    play(Observation([here, there], 4, [told]), gan, trainer(first=False), 4)
    assert (here.seen, [t for t, _ in there.seen]) == ([], [2, 4])
    assert told.told == []


@pytest.mark.parametrize(("first", "others"), [(True, False), (False, True)], ids=["that knows", "that is told"])
def test_one_rank_that_knows_ends_the_run_on_all(gan, first, others):
    ending, later = Spy(3, ends_at=3 if first else 99), Other(4)
    later.everywhere = True
    observation, rank = Observation([ending, later], 10, []), trainer(first, others)
    play(observation, gan, rank, 10)
    assert (observation.ended, observation.ended_at) == ("collapsed", 3)
    assert later.seen == [(3, False)]  # a last look, out of turn
    assert rank.strategy.asked == [first]  # and nothing was asked where the other ranks would not have come to


def test_who_ended_the_run_first_is_believed(gan):
    second = Other(1, ends_at=2)
    second.ends = Status.DIVERGED
    observation = Observation([Spy(2, ends_at=2), second], 10, [])
    play(observation, gan, trainer(), 10)
    assert (observation.ended, observation.ended_at) == ("collapsed", 2)


class Alike(Health):
    def observe(self, view):
        self.alike, self.last = view.t, view.last
        return {}


def test_a_collapse_in_the_last_iteration_is_that_of_a_completed_run(gan):
    for iterations, ended in ((3, None), (4, "collapsed")):
        observation = Observation([Alike(1, 8, 0, None, patience=3)], iterations, [])
        play(observation, gan, trainer(), iterations)
        assert observation.ended == ended


def test_samples_that_stay_alike_end_a_run_that_was_told_to(run, tmp_path, monkeypatch):
    from ganlab.errors import Diverged

    spread = itertools.cycle([0.01, 1.0])  # of samples, and of data
    monkeypatch.setattr("ganlab.observers.health._spread", lambda x: x.new_tensor(next(spread)))
    with pytest.raises(Diverged, match="ended at iteration 6: samples are alike"):
        run(*TINY[:-1], "iterations=20", "health.every=2", "health.stop=true", "health.patience=3", "checkpoint.every=100")
    done = RunDirectory(tmp_path / "run")
    assert (done.result["status"], done.result["iterations"]) == ("collapsed", 6)
    assert [path.name for path in checkpoints(done.checkpoints)] == ["step-000000006.ckpt"]


# --- in which mode, and in whose time


def modes(*nets):
    return [module.training for net in nets for module in net.modules()]


def test_each_part_of_a_net_has_its_own_mode_back_also_after_an_exception():
    a, b = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4)), nn.Linear(1, 1).eval()
    a[1].eval()
    before = modes(a, b)
    with suppress(RuntimeError), evaluation(a, b):
        assert not any(modes(a, b))
        raise RuntimeError
    assert modes(a, b) == before == [True, True, False, False]


def test_observers_see_nets_in_evaluation_mode_and_training_goes_on_in_its_own(gan):
    spy = Spy(1)
    gan.G_ema.eval()
    play(Observation([spy], 2, []), gan, trainer(), 2)
    assert spy.modes == {False}
    assert (gan.G.training, gan.D.training, gan.G_ema.training) == (True, True, False)


def test_an_observer_that_fails_leaves_modes_and_the_clock_as_they_were(gan):
    spy = Spy(1)
    spy.observe = lambda view: 1 / 0
    observation = Observation([spy], 2, [])
    with pytest.raises(ZeroDivisionError):
        play(observation, gan, trainer(), 2)
    assert all(modes(gan.G, gan.D, gan.G_ema))
    before = observation.clock.seconds
    time.sleep(0.01)
    assert observation.clock.seconds >= before + 0.01


def test_looking_is_not_training_time(gan):
    slow = Spy(1, a=1.0)
    slow.observe = lambda view: time.sleep(0.05) or {"eval/a": 1.0}
    told = Notes()
    observation = Observation([slow], 4, [told])
    play(observation, gan, trainer(), 4)
    assert observation.seconds["Spy"] > 0.2
    assert told.told[-1][1]["seconds"] < 0.1


# --- what becomes of it


def test_values_are_a_row_with_the_counters_and_nothing_is_none(gan):
    told = Notes()
    play(Observation([Spy(2, modes=8.0), Other(1)], 2, [told]), gan, trainer(), 2)
    ((step, values),) = told.told
    assert step == 2
    assert list(values) == ["iteration", "d_steps", "g_steps", "images", "seconds", "eval/modes"]
    assert (values["iteration"], values["images"], values["eval/modes"]) == (2, 256, 8.0)


def test_a_checkpoint_comes_after_its_rows_and_a_picture_reaches_all(gan, tmp_path):
    class Saves(Spy):
        def observe(self, view):
            view.show("samples", tmp_path)
            view.save(tmp_path / "a.ckpt")
            return {}

    told, rank = Notes(), trainer()
    rank.save_checkpoint = lambda path: told.told.append(path)
    play(Observation([Saves(1)], 1, [told]), gan, rank, 1)
    assert told.told == [(1, "samples"), "saved", tmp_path / "a.ckpt"]


def test_states_and_seconds_are_kept_by_name(gan):
    old, new = (Observation([Spy(1), Other(2), Log(100)], 4, []) for _ in range(2))
    old.seconds["Other"] = 2.5
    kept = old.state_dict()
    assert set(kept["states"]) == {"Spy", "Other"}  # Log has nothing to keep
    new.load_state_dict({**kept, "seconds": 100.0, "states": {**kept["states"], "Gone": {"a": 1}}})
    assert new.clock.seconds == 100.0  # it stands until training begins
    assert new.seconds["Other"] == 2.5
    assert new.observers[1].looks == 0


def test_two_observers_of_one_name_would_share_a_state_and_are_refused():
    with pytest.raises(ValueError, match="two observers have one name: Spy, Spy"):
        Observation([Spy(1), Spy(2)], 4, [])


def test_a_checkpoint_of_when_each_observer_was_a_callback_is_gone_on_from(run, tmp_path):
    few = (*TINY[:2], "metrics=modes", "metrics.every=2", "metrics.n=50", "data=ring", "theory.every=2", "theory.frames=0")
    run(*few, "iterations=4", name="old")
    (path,) = checkpoints(RunDirectory(tmp_path / "old").checkpoints)
    checkpoint = torch.load(path, weights_only=True)
    now = checkpoint["callbacks"]["Observation"]
    assert set(now["states"]) == {"Health", "Evaluate", "Measure"}
    states = {**now["states"], "Measure": {**now["states"]["Measure"], "seconds": 50.0}}
    checkpoint["callbacks"] = {"Log": {"seconds": 1000.0}, **states}
    del checkpoint["iteration"]  # which is in those of today
    assert of_one_entry(checkpoint["callbacks"])["Observation"]["spent"] == {"Measure": 50.0}
    torch.save(checkpoint, path)
    old = run(*few, "iterations=8", f"resume={tmp_path}/old", name="old")
    whole = run(*few, "iterations=8", name="whole")
    assert old.result["best"] == whole.result["best"]
    assert old.result["mean"] == whole.result["mean"]
    assert old.result["seconds"] > 1000
    assert old.result["seconds_of_theory"] > 50


# --- loggers of others


def test_a_logger_of_lightnings_own_gets_rows_and_no_secret(run, tmp_path):
    own = ("+logger.mine._target_=pytorch_lightning.loggers.CSVLogger", f"+logger.mine.save_dir={tmp_path}/theirs",
           "+logger.mine.name=rows", "+logger.mine.version=one")  # fmt: skip
    done = run(*TINY, "iterations=4", "log_every=2", *own)
    rows = read(tmp_path / "theirs" / "rows" / "one" / "metrics.csv")
    assert done.result["status"] == "completed"
    assert {row["iteration"] for row in rows if "train/V" in row} == {2, 4}
    told = logger_of({"_target_": "pytorch_lightning.loggers.CSVLogger", "save_dir": str(tmp_path / "b")}, "logger.mine")
    told.log_hyperparams({"data": {"token": "hunter2"}})
    told.save()
    assert isinstance(told.logger, CSVLogger)
    assert "hunter2" not in (tmp_path / "b" / "lightning_logs" / "version_0" / "hparams.yaml").read_text()
    assert told.close({}, []) == []


def test_a_sweep_rehearses_a_logger_of_others(tmp_path):
    cfg = composed("logger=csv", "+logger.mine._target_=pytorch_lightning.loggers.CSVLogger", *TINY, path=tmp_path)
    with pytest.raises(UserError, match=r"^logger.mine.save_dir is missing"):
        rehearse(settings_of(cfg, []), tmp_path, {}, False)


def test_what_is_no_logger_is_refused_in_a_sentence(tmp_path):
    cfg = composed("logger=csv", "+logger.mine._target_=fractions.Fraction", *TINY, path=tmp_path)
    with pytest.raises(UserError, match=r"^logger.mine = fractions.Fraction is not one of pytorch_lightning's loggers: give"):
        Experiment(validate(resolve(cfg)), RunDirectory(tmp_path), {}, 0)
