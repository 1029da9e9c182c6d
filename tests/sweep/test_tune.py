"""A search asks, trains, tells, and goes on after whatever ends it."""

import csv
import json
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT, composed
from forked import Forked

from ganlab.errors import Diverged, Unfinished, UserError
from ganlab.files.run import RunDirectory
from ganlab.files.status import Status
from ganlab.run.config import resolve, validate
from ganlab.sweep.jobs import Job

optuna = pytest.importorskip("optuna")
from optuna.distributions import CategoricalDistribution as Category  # noqa: E402
from optuna.distributions import FloatDistribution as Float  # noqa: E402
from optuna.distributions import IntDistribution as Int  # noqa: E402
from optuna.trial import TrialState  # noqa: E402

from ganlab.sweep.outcomes import aim  # noqa: E402
from ganlab.sweep.space import override, parsed  # noqa: E402
from ganlab.sweep.tune import Options, Search, _mend  # noqa: E402

TINY = ("logger=csv", "iterations=8", "batch_size=16", "log_every=1", "metrics.picture=null", "metrics.every=4",
        "metrics.n=100", "theory=none", "health.every=1", "health.n=50", "health.patience=4", "checkpoint.every=2")  # fmt: skip
OPTIONS = {"metric": "loss", "value": "last", "direction": None, "n_trials": 30, "seeds": 1, "at_once": 1, "sampler_seed": 0,
           "startup_trials": 10, "prune": True}  # fmt: skip


# the space

SPACE = {
    "interval(0.5,2)": Float(0.5, 2.0),
    "tag(log,interval(1e-4,1e-2))": Float(1e-4, 1e-2, log=True),
    "int(interval(1,8))": Int(1, 8),
    "tag(log,int(interval(1,64)))": Int(1, 64, log=True),
    "range(1,5)": Int(1, 4),  # as in Hydra's grid, without its end
    "range(1,10,3)": Int(1, 7, step=3),
    "range(9,0,-4)": Int(1, 9, step=4),
    "tag(log,range(1,9))": Int(1, 8, log=True),
    "range(0.1,0.5,0.1)": Float(0.1, 0.4, step=0.1),
    "1,2,5": Category((1, 2, 5)),
    "0.5,1e-3,null": Category((0.5, 0.001, "null")),
    "choice(minimax,'a b',true,[1,2])": Category(("minimax", "a\\ b", "True", "[1,2]")),
}


@pytest.mark.parametrize("text", SPACE)
def test_the_grammar_of_sweeps_is_what_is_searched(text):
    fixed, space = parsed(["k=2", f"+key={text}", "~penalty"], None)
    assert space == {"+key": SPACE[text]}
    assert fixed == {"k": "2", "~penalty": ""}


@pytest.mark.parametrize(
    ("text", "words"),
    {
        "interval(2,1)": "2.0 is above 1.0",
        "interval(0,inf)": "two finite ends",
        "tag(log,interval(0,1))": "begins above 0",
        "tag(log,choice(1,2))": "a logarithmic scale is for",
        "tag(lgo,interval(1,2))": "the tag lgo is not known",
        "tag(log,range(1,9,2))": "take an interval",
        "range(3,3)": "the range is empty",
    }.items(),
)
def test_what_cannot_be_searched_is_one_sentence(text, words):
    with pytest.raises(UserError, match=words) as error:
        parsed([f"k={text}"], None)
    assert str(error.value).startswith(f"k={text} cannot be searched: ")


def test_steps_have_no_digits_of_rounding():
    assert override(0.1 + 2 * 0.1, Float(0.1, 0.4, step=0.1)) == "0.3"


# what is asked and told, with results that no network had to be trained for


class Played:
    """A search over x in [0, 1] whose runs end as `play` says, in result.json alone."""

    def __init__(self, folder, play, line="x=interval(0,1)", **options):
        fixed, space = parsed([line], None)
        self.search = Search(Options(**{**OPTIONS, **options}), fixed, space, folder, None, None, SimpleNamespace(seed=0))
        self.search.metric, self.search.direction = "loss", "minimize"
        folder.mkdir(exist_ok=True)
        self.search._open()
        self.folder, self.play = folder, play

    def go(self, batches):
        failures = 0
        for _ in range(batches):
            for trial in self.search._asked():
                path = self.folder / f"trial-{trial.number:03d}"
                path.mkdir(exist_ok=True)
                state, value = self.play(trial.params["x"])
                found = {"state": state, "since": 10, "why": ""}
                result = {"status": "completed", "iterations": 50, "verdict": found, "final": {"loss": {"value": value}}}
                RunDirectory(path).write_result(result)
                failures = self.search._tell(trial, [Job(path.name, path, path / "log", [], 50)], failures)
        return self.search.trials


def away_from_half(x):
    return ("collapsed", None) if x > 0.5 else ("healthy", (x - 0.3) ** 2)


def test_a_search_that_goes_on_asks_for_what_it_would_have_asked_for(tmp_path):
    whole = Played(tmp_path / "a", away_from_half, n_trials=16, at_once=3).go(6)
    Played(tmp_path / "b", away_from_half, n_trials=16, at_once=3).go(4)
    half = Played(tmp_path / "b", away_from_half, n_trials=16, at_once=3)
    half.search._ask(12)  # and then the process was killed
    parts = Played(tmp_path / "b", away_from_half, n_trials=16, at_once=3).go(2)
    assert [t.params for t in parts] == [t.params for t in whole]
    assert [t.state for t in parts] == [t.state for t in whole]
    assert len({t.params["x"] for t in whole}) == len(whole) == 16


def test_what_collapses_is_avoided(tmp_path):
    trials = Played(tmp_path / "a", away_from_half, n_trials=40).go(40)
    pruned = [t.number for t in trials if t.state == TrialState.PRUNED]
    assert len([n for n in pruned if n < 10]) >= 3  # at random
    assert len([n for n in pruned if n >= 15]) <= 6  # of 25
    assert min(t.value for t in trials if t.state == TrialState.COMPLETE) < 1e-3


@pytest.mark.parametrize("written", [True, False])
def test_a_trial_whose_disk_was_full_is_not_over(tmp_path, written):
    played = Played(tmp_path / "a", away_from_half, n_trials=4)
    (trial,) = played.search._asked()
    job = Job("trial-000", tmp_path / "a/trial-000", tmp_path / "log", [], 50, code=5)
    job.path.mkdir()
    if written:  # of a checkpoint that could not be
        result = {
            "status": "unsaved",
            "error": "no room",
            "iterations": 50,
            "verdict": {"state": "healthy"},
            "final": {"loss": {"value": 1.0}},
        }
        RunDirectory(job.path).write_result(result)
    assert played.search._tell(trial, [job], 0) == 0
    assert [t.state for t in played.search.trials] == [TrialState.RUNNING]
    played.search.jobs = {job.name: job}
    with pytest.raises(
        Unfinished, match=r"ended after 0 of 4 trials: start .* again for the rest; trial-000: the disk was full"
    ) as caught:
        played.search._end(0)
    assert caught.value.code == 5


def test_half_a_line_at_the_end_is_no_line(tmp_path):
    played = Played(tmp_path / "a", away_from_half, n_trials=4)
    played.go(2)
    with played.search.journal.open("ab") as file:
        file.write(b'{"op_code":4,"worker')
    assert len(Played(tmp_path / "a", away_from_half, n_trials=4).go(2)) == 4
    _mend(tmp_path / "nothing")


def test_another_search_takes_another_name(tmp_path):
    Played(tmp_path / "a", away_from_half).go(1)
    with pytest.raises(UserError, match=r"has another search \(value: last -> mean\): name a new study=NAME"):
        Played(tmp_path / "a", away_from_half, value="mean")
    with pytest.raises(UserError, match=r"has another search \(x: .*high=1\.0.* -> .*high=2\.0.*\): name a new study=NAME"):
        Played(tmp_path / "a", away_from_half, line="x=interval(0,2)")


def test_a_search_of_when_the_mean_was_called_area_goes_on(tmp_path):
    study = Played(tmp_path / "a", away_from_half, value="mean").search.study
    study.set_user_attr("search", {**study.user_attrs["search"], "value": "area"})
    Played(tmp_path / "a", away_from_half, value="mean")
    with pytest.raises(UserError, match=r"has another search \(value: mean -> best\)"):
        Played(tmp_path / "a", away_from_half, value="best")


# a run that has collapsed


def test_a_run_that_stays_collapsed_is_ended(run, tmp_path):
    far = ("data.radius=1000", *TINY, "health.stop=true")  # samples are all at one place, seen from there
    with pytest.raises(Diverged, match="ended at iteration 4: samples are alike"):
        run(*far, name="a")
    a = RunDirectory(tmp_path / "a")
    assert (a.result["status"], a.result["iterations"], a.result["verdict"]["state"]) == ("collapsed", 4, "collapsed")
    assert a.newest_checkpoint().name == "step-000000004.ckpt"
    job = Job("a", a.path, a.path / "log", [], 8)
    assert job.over
    assert job.state == Status.COLLAPSED
    before = a.result_file.read_text()
    run(*far, f"resume={a.path}", name="a")  # nothing has changed
    assert a.result_file.read_text() == before
    with pytest.raises(Diverged):
        run(*far, f"resume={a.path}", "health.patience=6", name="a")
    assert a.result["iterations"] == 6
    run(*far, f"resume={a.path}", "health.stop=false", name="a")
    assert (a.result["status"], a.result["iterations"]) == ("completed", 8)


# the command


def command(*arguments, cwd, drawn=False):
    return Forked(ROOT / "train.py", "-m", "hydra/sweeper=tune", *TINY, *arguments, cwd=cwd, drawn=drawn)


def ended(process):
    return process.ended(600)


def table(folder):
    with (folder / "tune.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def started(journal):
    """The parameters of the trials, as the journal has them."""
    lines = [json.loads(line) for line in journal.read_text().splitlines() if line]
    return [line["params"] for line in lines if line["op_code"] == 4]


@pytest.mark.slow
@pytest.mark.long
def test_a_search_that_is_killed_ends_with_all_its_trials_and_the_best_of_them(tmp_path):
    """Half of its settings collapse."""
    search = ("study=s", "hydra.sweeper.n_trials=5", "hydra.sweeper.at_once=2", "hydra.sweeper.metric=high_quality",
              "optim.lr=tag(log,interval(1e-4,1e-2))", "data.radius=0.3,1000", "model.G.width=16,32",
              "loss=choice(minimax,hinge)")  # fmt: skip
    folder = tmp_path / "runs/sweeps/s"
    process = command(*search, cwd=tmp_path)
    while not (folder / "trial-002/config.yaml").exists():
        assert process.poll() is None, process.ended()
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.ended()
    asked = started(folder / "study.journal")
    over = [file for file in folder.glob("*/result.json") if json.loads(file.read_text())["status"] != "interrupted"]
    results = {file: file.stat().st_mtime for file in over}
    assert len(asked) == 4
    assert len(results) >= 2
    code, out, error = ended(command(*search, cwd=tmp_path, drawn=True))
    assert code == 0, out + error
    assert started(folder / "study.journal")[:4] == asked
    assert all(file.stat().st_mtime == results[file] for file in results)
    rows = table(folder)
    assert [row["trial"] for row in rows] == list("01234")
    assert {row["state"] for row in rows} == {"completed", "pruned"}
    for row in rows:
        assert row["state"] == ("pruned" if row["data.radius"] == "1000" else "completed")
        result = RunDirectory(row["directory"]).result
        assert result["status"] == ("collapsed" if row["state"] == "pruned" else "completed")
        if row["state"] == "completed":
            assert float(row["high_quality"]) == result["final"]["high_quality"]["value"]
    best = max((row for row in rows if row["high_quality"]), key=lambda row: float(row["high_quality"]))
    assert f"optim.lr={best['optim.lr']}" in out
    assert Path(best["directory"]).name in out
    assert (folder / "tune.png").stat().st_size > 10_000


@pytest.mark.slow
def test_seeds_are_jobs_and_divergence_is_pruned(tmp_path):
    search = ("study=s", "hydra.sweeper.n_trials=2", "hydra.sweeper.seeds=2", "hydra.sweeper.sampler_seed=1")
    code, out, error = ended(
        command(*search, "data.radius=0.3", "optim=sgd", "loss=least_squares", "optim.lr=1e-3,1e20", cwd=tmp_path)
    )
    rows = table(tmp_path / "runs/sweeps/s")
    assert {row["optim.lr"]: row["state"] for row in rows} == {"0.001": "completed", "1e+20": "pruned"}, out + error
    assert code == 0
    (good,) = [row for row in rows if row["state"] == "completed"]
    values = [RunDirectory(tmp_path / f"runs/sweeps/s/trial-00{good['trial']}_seed-{s}").result["final"]["modes"]["value"]
              for s in (0, 1)]  # fmt: skip
    assert float(good["modes"]) == sum(values) / 2
    assert "diverged from iteration" in next(row["note"] for row in rows if row["state"] == "pruned")


MISTAKES = {
    ("hydra.sweeper.metric=mode", "k=1,2"): "metric = mode is not scored here: did you mean modes?",
    ("loss=minimax,hingge", "k=interval(1,2)"): "hingge",
    ("hydra.sweeper.value=first", "k=1,2"): "hydra.sweeper.value = 'first'",
    ("hydra.sweeper.value=area", "k=1,2"): "hydra.sweeper.value = 'area': it is called mean now",
    ("k=2",): "there is nothing to search",
}


@pytest.mark.slow
@pytest.mark.parametrize(("override", "words"), MISTAKES.items())
def test_a_mistake_is_one_sentence_and_leaves_nothing(override, words, tmp_path):
    code, out, error = ended(command(*override, cwd=tmp_path))
    assert (code, out) == (2, "")
    assert error.startswith("ganlab: error: ")
    assert error.count("\n") == 1
    assert words in error
    assert not list(tmp_path.iterdir())


def test_a_score_is_sought_in_the_direction_of_its_own_class_also_where_one_metric_gives_several(tmp_path):
    settings = validate(resolve(composed(path=tmp_path)))
    assert {name: aim(settings, name, "last", None)[1] for name in ("modes", "high_quality", "reverse_kl")} == {
        "modes": "maximize", "high_quality": "maximize", "reverse_kl": "minimize"}  # fmt: skip
    assert aim(settings, None, "last", None) == ("modes", "maximize")
    with pytest.raises(UserError, match=r"hydra.sweeper.metric = reverse_k is not scored here: did you mean reverse_kl\?"):
        aim(settings, "reverse_k", "last", None)


@pytest.mark.parametrize(("given", "first"), [({}, 7), ({"seed": "3"}, 3)])
def test_the_seeds_of_a_trial_begin_with_that_of_the_command_or_of_its_experiment(given, first):
    search = SimpleNamespace(fixed=given, config=SimpleNamespace(seed=7), opts=SimpleNamespace(seeds=2))
    assert [*Search._seeds(search)] == [first, first + 1]
