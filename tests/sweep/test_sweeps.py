"""Sweeps of real processes that raise, diverge, are killed and are asked to end."""

import json
import os
import shlex
import signal
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import faults
import pytest
import yaml
from conftest import ROOT, loader_of
from forked import Forked
from rich.console import Console

from ganlab.files.run import RunDirectory
from ganlab.files.table import read
from ganlab.run.names import LONGEST, jobs_of, split, study_of
from ganlab.sweep.driver import stopped_by_signals, where_to_look
from ganlab.sweep.engines import Joblib
from ganlab.sweep.jobs import Job, quoted
from ganlab.sweep.known import Known
from ganlab.sweep.pool import Crew

SMALL = ("iterations=6", "log_every=1", "checkpoint.every=2", "logger=csv", "metrics=none", "theory=none")
HERE = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{os.environ.get('PYTHONPATH', '')}"}


def small(given):
    """SMALL without what is given anew: no key may be there twice."""
    return [one for one in SMALL if not any(word.startswith(f"{one.partition('=')[0]}=") for word in given)]


def sweep(*arguments, cwd, code):
    """The rows of jobs.jsonl by seed, of a real `train.py -m` that ends with this code."""
    done = Forked(ROOT / "train.py", "-m", *small(arguments), "study=s", *arguments, cwd=cwd, env=HERE).ended()
    assert done.returncode == code, done.stdout + done.stderr
    table = cwd / "runs/sweeps/s/jobs.jsonl"
    return done, [json.loads(row) for row in table.read_text().splitlines()] if table.exists() else []


def starts(folder):
    return {int(file.name): len(file.read_text().splitlines()) for file in folder.iterdir()}


# names


def test_a_study_is_named_by_what_varies_and_by_what_its_jobs_share():
    lines = [
        "k=1,2",
        "seed=range(5)",
        "data=mnist",
        "logger=csv",
        "runs=/elsewhere",
        "hydra.launcher.n_jobs=2",
        "optim.lr=1e-3",
    ]
    fixed, swept = split(lines)
    assert swept == ["k", "seed"]
    assert study_of(fixed, swept) == "k_seed__data-mnist_optim.lr-0.001"
    more, same = split(["seed=range(9)", "k=1,2,5", "optim.lr=1e-3", "data=mnist", "trainer=cpu"])
    assert study_of(more, ["k", "seed"]) == study_of(fixed, swept)
    assert set(same) == set(swept)
    assert study_of({}, ["k"]) == "k"
    assert study_of({}, ["metrics.n"]) != study_of({}, ["health.n"])
    assert study_of({"trainer.precision": "bf16-mixed"}, ["k"]) == "k__trainer.precision-bf16-mixed"


def test_a_long_name_is_cut_and_still_its_own():
    a, b = (study_of({"data.source": "x" * 300 + end}, ["seed"]) for end in "ab")
    assert len(a) == len(b) == LONGEST
    assert a != b


def test_jobs_are_named_by_what_varies_and_never_alike():
    jobs = [{"loss": "hinge", "optim.lr": lr, "seed": "0"} for lr in ("0.1", "0.2")]
    assert jobs_of(jobs, ["loss", "optim.lr"]) == ["loss-hinge_lr-0.1", "loss-hinge_lr-0.2"]
    same_last = [{"optim.D.lr": "1", "optim.G.lr": "2"}]
    assert jobs_of(same_last, ["optim.D.lr", "optim.G.lr"]) == ["optim.D.lr-1_optim.G.lr-2"]
    alike = jobs_of([{"shape": "[1,2]"}, {"shape": "[1;2]"}, {"shape": "3"}], ["shape"])
    assert len(set(alike)) == 3
    assert alike[2] == "shape-3"
    assert all(not set(name) & set("=,[]/ ") for name in alike)


@pytest.mark.parametrize("path", [r"/a b/c,d=e/it's\x", "/a\\'b", "/ends\\", "/plain"])
def test_a_path_with_any_character_is_one_value_of_hydras_grammar(path):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    (override,) = OverridesParser.create().parse_overrides([f"hydra.run.dir={quoted(path)}"])
    assert override.value() == path


# jobs


def job(folder, result=None, code=None, iterations=10):
    folder.mkdir(parents=True, exist_ok=True)
    if result is not None:
        (folder / "result.json").write_text(result if isinstance(result, str) else json.dumps(result))
    return Job("a", folder, folder / "a.log", ["k=1"], iterations, {"k": "1"}, code=code)


@pytest.mark.parametrize(
    ("result", "code", "state", "over"),
    [
        (None, None, "not started", False),
        ({"status": "completed", "iterations": 10}, None, "completed", True),
        ({"status": "completed", "iterations": 9}, None, "not started", False),  # a larger budget now
        ({"status": "diverged", "iterations": 3}, 3, "diverged", True),
        ({"status": "failed", "iterations": 3}, 1, "failed", False),
        ('{"status": "compl', 1, "failed", False),
        ({"status": "interrupted", "iterations": 12}, 0, "completed", False),  # a smaller budget now
        (None, 2, "failed", False),
        (None, 75, "interrupted", False),
        (None, -signal.SIGTERM, "interrupted", False),
        (None, -signal.SIGKILL, "killed", False),
        (None, -signal.SIGSEGV, "killed", False),
    ],
)
def test_how_a_job_stands(tmp_path, result, code, state, over):
    one = job(tmp_path, result, code)
    assert (one.state, one.over) == (state, over)
    assert one.row()["state"] == state


def test_a_failed_job_says_why_in_the_words_of_its_log(tmp_path):
    one = job(tmp_path, code=2)
    assert one.note.startswith("see ")
    one.log.write_text("Traceback\n  File\nganlab: error: [/data] data.source = x: there is no such file\n\n")
    assert one.note == "[/data] data.source = x: there is no such file"
    one.code = -signal.SIGKILL
    assert one.note.startswith("by SIGKILL (the kernel's for want of memory, or somebody's): ")


# real sweeps


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Seven jobs, of which two raise, one diverges, one is killed and one is asked to end; then the same command twice."""
    cwd = tmp_path_factory.mktemp("broken")
    marks = cwd / "marks"
    marks.mkdir()
    what = (
        f"seed=range({len(faults.ALL)})",
        "+penalty.own._target_=faults.Fault",
        "+penalty.own.seed=${seed}",
        f"+penalty.own.folder={marks}",
    )
    kept = []
    for code in (1, 3, 3):
        done, rows = sweep(*what, cwd=cwd, code=code)
        kept.append((done, {int(row["seed"]): row for row in rows}, starts(marks)))
    return cwd, kept


STATES = {faults.RAISE: "failed", faults.DIVERGE: "diverged", faults.KILL: "killed", faults.TERMINATE: "interrupted",
          faults.GOOD: "completed"}  # fmt: skip


@pytest.mark.slow
def test_faults_do_not_stop_a_sweep_and_its_table_says_which_is_which(broken):
    _, ((done, rows, count), *_) = broken
    assert {seed: row["state"] for seed, row in rows.items()} == {
        seed: state for seeds, state in STATES.items() for seed in seeds
    }
    assert count == dict.fromkeys(faults.ALL, 1)
    for seed in faults.RAISE:
        assert rows[seed]["note"] == f"ArithmeticError: [/seed {seed}] cannot go on"
        assert f"[/seed {seed}]" in done.stderr
    for seed in faults.KILL:
        assert rows[seed]["note"].startswith("by SIGKILL")
    assert all(f"seed-{seed}" in done.stdout for seed in faults.ALL)
    assert "2 failed, 1 diverged, 1 killed, 1 interrupted of 7 jobs" in done.stderr.splitlines()[-1]
    assert f"ganlab compare {Path('runs/sweeps/s')}" in done.stdout


@pytest.mark.slow
def test_the_same_command_again_trains_only_what_was_not_over(broken):
    _, (_, (done, rows, count), third) = broken
    once = {*faults.DIVERGE, *faults.GOOD}
    assert count == {seed: 1 if seed in once else 2 for seed in faults.ALL}
    assert {seed: row["state"] for seed, row in rows.items()} == {
        seed: "diverged" if seed in faults.DIVERGE else "completed" for seed in faults.ALL
    }
    assert "3 of them over already" in done.stderr
    assert third[2] == count  # and a third time: nothing


@pytest.mark.slow
def test_jobs_that_were_broken_off_went_on_from_their_checkpoints(broken):
    cwd, _ = broken
    for seed in (*faults.RAISE, *faults.KILL, *faults.TERMINATE, *faults.GOOD):
        run = RunDirectory(cwd / f"runs/sweeps/s/seed-{seed}")
        assert [row["iteration"] for row in read(run.table_file)] == list(range(1, 7))
        assert run.result["status"] == "completed"
        resumed = run.result["resumed_from"]
        assert (resumed is None) == (seed in faults.GOOD), (seed, resumed)


@pytest.mark.slow
def test_all_jobs_are_checked_before_the_first_and_nothing_is_left_behind(tmp_path):
    done, _ = sweep("k=1,0,2", "loss=minimax,hinge", "batch_size=64,x", cwd=tmp_path, code=2)
    assert done.stderr.count("\n") == 1
    assert "nothing was started, 8 of 12 jobs have a mistake: " in done.stderr
    assert "k-1_loss-minimax_batch_size-x and 3 more: batch_size = " in done.stderr
    assert "k = 0" in done.stderr
    assert not list(tmp_path.iterdir())
    done, _ = sweep("seed=0,1", "resume=auto", cwd=tmp_path, code=2)
    assert "resume is set by the sweep itself" in done.stderr
    done, _ = sweep("seed=0,1", "hydra/launcher=basic", cwd=tmp_path, code=2)
    assert "a sweep needs a launcher of ganlab's" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_directory_of_another_experiment_is_not_gone_on_with(tmp_path):
    _, rows = sweep("seed=0,0", "optim.D.lr=${..G.lr}", cwd=tmp_path, code=0)
    assert [row["seed"] for row in rows] == ["0"]  # once
    assert "train.py -m iterations=6 " in RunDirectory(rows[0]["directory"]).result["command"]
    done, _ = sweep("seed=0,0", "batch_size=64", cwd=tmp_path, code=2)
    assert "batch_size: 128 -> 64" in done.stderr
    assert "name a new study=NAME" in done.stderr
    _, rows = sweep("seed=0,1", "iterations=8", cwd=tmp_path, code=0)  # more seeds and a larger budget
    assert [row["iterations"] for row in rows] == [8, 8]


def test_who_finds_a_run_locked_leaves_it_alone(tmp_path):
    with RunDirectory(tmp_path / "run").locked():
        done = Forked(ROOT / "train.py", *SMALL, "hydra.run.dir=run", cwd=tmp_path).ended()
        assert (done.returncode, "another process is training there" in done.stderr) == (2, True)
        assert (tmp_path / "run" / ".lock").exists()


def test_a_sweep_says_how_to_upload_its_own_runs_each_once(tmp_path, capsys):
    """Of a job that was broken off, the newest part, which is whole; and nothing of other sweeps."""
    wandb = tmp_path / "my runs" / "wandb"
    parts = {"a": ["1-aa", "3-aa"], "b": ["2-bb"], "c": []}
    jobs = []
    for name, found in parts.items():
        told = [f"upload     wandb login && wandb sync {shlex.quote(f'{wandb}/offline-run-{part}')}" for part in found]
        (tmp_path / f"{name}.log").write_text("\n".join([f"compare    wandb leet {wandb}", *told]))
        jobs.append(Job(name, tmp_path / name, tmp_path / f"{name}.log", [], 10))
    where_to_look(Console(), jobs, tmp_path)
    out = capsys.readouterr().out
    assert out.count(f"compare    wandb leet {wandb}\n") == 1
    (line,) = [line for line in out.splitlines() if line.startswith("upload ")]
    typed = line.partition("&& ")[2].replace("xargs wandb sync", "xargs -n1 echo sync")
    done = subprocess.run(typed, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"sync {wandb}/offline-run-3-aa", f"sync {wandb}/offline-run-2-bb"]
    where_to_look(Console(), jobs[1:], tmp_path)
    assert f"upload     wandb login && wandb sync '{wandb}/offline-run-2-bb'" in capsys.readouterr().out


def test_a_second_signal_counts_only_after_a_while():
    class Engine:
        stops = 0

        def stop(self):
            self.stops += 1

    engine = Engine()
    with stopped_by_signals(engine):
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        assert engine.stops == 1
        time.sleep(1.1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert engine.stops == 2


@pytest.mark.slow
def test_a_signal_to_the_whole_group_is_an_interruption_and_no_failure(tmp_path):
    """As GNU timeout and a cluster's manager send it: to the forkserver, too."""
    what = ("seed=0,1", "iterations=150", "+penalty.own._target_=faults.Slow")
    folder = tmp_path / "runs/sweeps/s/seed-0"
    process = Forked(ROOT / "train.py", "-m", *small(what), "study=s", *what, cwd=tmp_path, env=HERE, session=True)
    wait_for(lambda: [*folder.glob("checkpoints/*.ckpt")] or process.poll() is not None)
    os.killpg(process.pid, signal.SIGTERM)
    told = process.ended().stderr
    assert process.returncode == 75, told
    assert "1 interrupted, 1 not started of 2 jobs" in told
    assert result(folder) == "interrupted"


@pytest.mark.slow
@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.long), signal.SIGKILL])
def test_a_sweep_that_is_ended_from_outside_takes_its_jobs_along_and_goes_on_later(tmp_path, number):
    what = ("seed=range(3)", "iterations=150", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    folder = tmp_path / "runs/sweeps/s"
    slow = (*what, "+penalty.own._target_=faults.Slow")
    process = Forked(ROOT / "train.py", "-m", *small(slow), "study=s", *slow, cwd=tmp_path, env=HERE)
    both = [folder / f"seed-{seed}" / "checkpoints" for seed in (0, 1)]
    wait_for(lambda: all([*one.glob("*.ckpt")] for one in both) or process.poll() is not None)
    process.send_signal(number)
    told = process.ended().stderr
    if number == signal.SIGTERM:
        assert process.returncode == 75, told
        assert "2 interrupted, 1 not started of 3 jobs" in told
    wait_for(lambda: all(result(run) == "interrupted" for run in folder.glob("seed-[01]")))  # each with a checkpoint, by itself
    _, rows = sweep(*slow, cwd=tmp_path, code=0)
    assert [row["state"] for row in rows] == ["completed"] * 3
    for row in rows[:2]:
        assert [line["iteration"] for line in read(Path(row["directory"]) / "metrics.csv")] == list(range(1, 151))


def result(run):
    return (RunDirectory(run).result or {}).get("status")


def wait_for(true):
    end = time.monotonic() + 300  # a busy machine
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


# joblib


@pytest.mark.slow
def test_each_gpu_has_one_job_at_a_time(tmp_path):
    """The processes are real, the two GPUs are names only: what CUDA makes of the variable is CUDA's."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys, time\n"
        "t = time.time(); time.sleep(0.3)\n"
        "print(os.environ['CUDA_VISIBLE_DEVICES'], t, time.time())\n"
        "sys.exit(int(sys.argv[1][-1]))\n"
    )
    engine = Joblib(str(script), n_jobs=None, gpus=[], per_gpu=1)
    engine.places, engine.n_jobs = ["3", "5"], 2
    jobs = [Job(str(i), tmp_path / str(i), tmp_path / f"{i}.log", [f"code={i}"], 1) for i in range(6)]
    for one in jobs:
        one.line = lambda script, one=one: [script, *one.overrides]
    assert sorted(one.code for one in engine.run(jobs)) == list(range(6))
    spans = {}
    for one in jobs:
        gpu, start, end = one.log.read_text().split()
        spans.setdefault(gpu, []).append((float(start), float(end)))
    assert set(spans) == {"3", "5"}
    for span in map(sorted, spans.values()):
        assert all(a[1] <= b[0] for a, b in pairwise(span))


def test_a_crew_that_was_stopped_starts_nothing(tmp_path):
    crew = Crew("script.py")
    crew.stop()
    assert crew.run(job(tmp_path), {}) is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"n_jobs": 0}, "hydra.launcher.n_jobs = 0"),
        ({"per_gpu": 0}, "per_gpu = 0"),
        ({"gpus": [77]}, "there is no GPU 77 here"),
    ],
)
def test_a_wrong_number_of_jobs_or_gpus(given, told):
    from ganlab.errors import UserError

    with pytest.raises(UserError, match=told):
        Joblib("train.py", **{"n_jobs": None, "gpus": None, "per_gpu": 1, **given})


# what jobs are given, and what is kept of a check for the next one


@pytest.mark.parametrize(
    ("own", "args", "wanted"),
    [
        ("", ["logger=csv"], "lightly"),
        ("", ["logger=csv,wandb"], "lightly wandb"),
        ("", ["logger=csv", "data=mnist"], "lightly utils"),
        ("", ["logger=csv", "shape=5"], "lightly"),  # a mistake, which the check of the jobs tells
        ("_target_: torchmetrics.image.fid.FrechetInceptionDistance\n", ["logger=csv"], ""),
        ("", ["logger=csv", "hydra.searchpath=[pkg://ganlab]"], ""),
    ],
)
def test_what_is_imported_for_jobs_is_what_their_parts_need(own, args, wanted, tmp_path, monkeypatch):
    from hydra.types import HydraContext, RunMode

    from ganlab.run.composing import Composer
    from ganlab.sweep import pool
    from hydra_plugins.ganlab_sweep.launchers import Local as Launcher

    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/mine.yaml").write_text(own)
    loader = loader_of(Composer, ROOT / "conf", tmp_path)
    launcher = Launcher()
    launcher.config = loader.load_configuration("config", args, RunMode.MULTIRUN)
    launcher.hydra_context = HydraContext(config_loader=loader, callbacks=None)
    before = [*pool.PRELOAD]
    monkeypatch.setattr(pool, "import_lightly", lambda configs: None)
    launcher.preload(["seed=0"])
    found, pool.PRELOAD[:] = [*pool.PRELOAD], before
    assert [name.rpartition(".")[2] for name in found] == [*wanted.split(), "preloaded"]


TOLD = """
from pathlib import Path
import hydra._internal.config_loader_impl as hydras
inner = hydras.ConfigLoaderImpl._compose_config_from_defaults_list
def composed(*args, **kwargs):
    Path({file!r}).write_text("by a job")
    return inner(*args, **kwargs)
hydras.ConfigLoaderImpl._compose_config_from_defaults_list = composed
Path({file!r}).write_text("by none")
"""


@pytest.mark.slow
def test_jobs_merge_no_configs_as_the_sweep_has_done_it(tmp_path):
    file = tmp_path / "told"
    (tmp_path / "sitecustomize.py").write_text(TOLD.format(file=str(file)))  # of the forkserver
    here = {**HERE, "PYTHONPATH": f"{tmp_path}:{HERE['PYTHONPATH']}"}
    given = ("study=s", "loss=hinge,minimax", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    done = Forked(ROOT / "train.py", "-m", *SMALL, *given, cwd=tmp_path, env=here).ended()
    assert done.returncode == 0, done.stdout + done.stderr
    assert file.read_text() == "by none"


def test_where_configs_come_from_counts_in_what_is_known_of_a_sweep(tmp_path):
    from hydra.types import HydraContext, RunMode

    from ganlab.run.composing import Composer
    from hydra_plugins.ganlab_sweep.launchers import Local as Launcher

    loader, launcher = loader_of(Composer, ROOT / "conf"), Launcher()
    launcher.hydra_context = HydraContext(config_loader=loader, callbacks=None)
    found = []
    for place in ([f"hydra.searchpath=[file://{tmp_path}]"], ["hydra.searchpath=[pkg://ganlab]"], []):
        launcher.config = loader.load_configuration("config", place, RunMode.MULTIRUN)
        found.append(launcher.folders())
    assert found == [[ROOT / "conf", tmp_path], None, [ROOT / "conf"]]
    worlds = [Known(launcher.config, folders)._world for folders in (found[0], found[0], None, None)]
    (tmp_path / "a.yaml").write_text("k: 2")
    (tmp_path / ".#a.yaml").symlink_to("nobody@nowhere")  # as an editor leaves them
    worlds.append(Known(launcher.config, found[0])._world)
    assert worlds[0] == worlds[1]
    assert len({*worlds}) == 4


def known_of(folder, conf):
    places = {"sweep": {"dir": str(folder)}, "overrides": {"task": []}, "job": {"config_name": "config"}}
    config = SimpleNamespace(hydra=SimpleNamespace(**{key: SimpleNamespace(**value) for key, value in places.items()}))
    return Known(config, [str(conf)])


GAMES = {"data": {"_target_": "ganlab.data.toy.Ring"}, "k": 1, "seed": 0}


@pytest.fixture
def checked(tmp_path):
    """A finished job that was composed and compared once, and what looks at it afterwards."""
    conf, run = tmp_path / "conf", tmp_path / "s/seed-0"
    conf.mkdir()
    (conf / "config.yaml").write_text("k: 1\n")
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump(GAMES))
    (run / "data.json").write_text("{}")
    (run / "result.json").write_text('{"status": "completed", "iterations": 10}')
    first = known_of(run.parent, conf)
    assert first.job("seed-0", ["seed=0"], {}) is None
    first.compose("seed-0", ["seed=0"], GAMES)
    first.write([Job("seed-0", run, run / "log", ["seed=0"], 10)])

    def job(*overrides, name="seed-0"):
        return known_of(run.parent, conf).job(name, list(overrides or ("seed=0",)), {"seed": "0"})

    return SimpleNamespace(conf=conf / "config.yaml", run=run, file=run.parent / "checked.json", job=job)


def test_a_job_that_was_found_over_is_over_without_being_composed(checked):
    job = checked.job()
    assert (job.state, job.note, job.path, job.values) == (
        "completed", "skipped: it was completed before", checked.run, {"seed": "0"}
    )  # fmt: skip
    assert checked.job("seed=0", "k=2") is None
    assert checked.job(name="seed-1") is None


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("run/config.yaml", "k: 2\n"),
        ("run/config.yaml", None),
        ("run/data.json", '{"fingerprint": 1}'),
        ("run/result.json", '{"status": "completed", "iterations": 9}'),
        ("run/result.json", '{"status": "failed", "iterations": 10}'),
        ("run/result.json", None),
        ("conf/config.yaml", "k: 3\n"),
        ("conf/more.yaml", ""),
    ],
)
def test_what_has_changed_since_is_composed_again(checked, file, text):
    place, _, name = file.partition("/")
    path = (checked.run if place == "run" else checked.conf.parent) / name
    assert checked.job() is not None
    path.unlink() if text is None else path.write_text(text)
    assert checked.job() is None


def test_no_damage_to_what_was_kept_is_believed(checked):
    whole = checked.file.read_bytes()
    for i in range(0, len(whole), 5):
        checked.file.write_bytes(whole[:i])
        assert checked.job() is None, i
    for i in range(0, len(whole), 11):
        checked.file.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        assert checked.job() is None, i
    checked.file.write_bytes(whole)
    assert checked.job() is not None


@pytest.mark.parametrize("change", [{"k": 2}, {"data": {"_target_": "mine.Data"}}])
def test_a_directory_of_another_config_or_of_foreign_parts_is_not_kept(checked, change):
    checked.file.unlink()
    (checked.run / "config.yaml").write_text(yaml.safe_dump(GAMES | change))
    again = known_of(checked.run.parent, checked.conf.parent)
    again.compose("seed-0", ["seed=0"], GAMES if "k" in change else GAMES | change)
    again.write([Job("seed-0", checked.run, checked.run / "log", ["seed=0"], 10)])
    assert checked.job() is None


@pytest.mark.parametrize("given", ["${oc.env:HOME_OF_DATA}", "1"])
def test_a_config_that_asks_for_the_environment_is_of_that_environment(checked, given, monkeypatch):
    checked.conf.write_text(f"k: {given}\n")
    again = known_of(checked.run.parent, checked.conf.parent)
    again.compose("seed-0", ["seed=0"], GAMES)
    again.write([Job("seed-0", checked.run, checked.run / "log", ["seed=0"], 10)])
    assert checked.job() is not None
    monkeypatch.setenv("HOME_OF_DATA", "/elsewhere")
    assert (checked.job() is None) == ("env" in given)
