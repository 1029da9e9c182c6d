"""A signal: the checkpoint comes first, and what the run leaves behind is what an uninterrupted one leaves."""

import json
import os
import signal
import time

import pytest
from conftest import ROOT, same_state
from forked import Forked

from ganlab.errors import Diverged, Interrupted, Unsaved
from ganlab.files.checkpoint import read_checkpoint
from ganlab.files.run import RunDirectory, checkpoints
from ganlab.files.table import read
from ganlab.game.module import GAN
from ganlab.metrics.modes import ModeCounts
from ganlab.observers.draw import Draw

SCORED = ("iterations=12", "log_every=4", "health.every=6", "metrics=modes", "metrics.every=3", "metrics.n=50",
          "theory.every=4", "metrics.picture.every=6", "checkpoint.every=5", "theory.frames=2", "model.G.width=8",
          "model.D.width=8")  # fmt: skip
LATER = {"seconds", "seconds_of_theory", "started", "finished", "resumed_from", "name"}


def recorded(run):
    rows = [{name: str(value) for name, value in row.items() if name != "seconds"} for row in read(run.table_file)]
    header = run.table_file.read_text().splitlines()[0]
    result = json.dumps({name: value for name, value in run.result.items() if name not in LATER}, sort_keys=True)
    return header, rows, result, sorted(path.name for path in run.samples.iterdir())


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    from conftest import runs_in

    return runs_in(tmp_path_factory.mktemp("straight"))(*SCORED)


def once(monkeypatch, owner, name, when):
    """A SIGTERM in the middle of a call of owner.name, the first for which `when` holds."""
    original, sent = getattr(owner, name), []

    def patched(self, *arguments, **more):
        if not sent and when(self, *arguments):
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *arguments, **more)

    monkeypatch.setattr(owner, name, patched)
    return sent


PLACES = {
    "iteration": (GAN, "body", lambda gan, _: gan.t == 6),  # 7 is nobody's
    "looked at": (GAN, "body", lambda gan, _: gan.t == 5),  # of 6 all want to see
    "evaluation": (ModeCounts, "compute", lambda score: True),
    "last": (ModeCounts, "compute", lambda score: score.computed == 3),
    "picture": (Draw, "observe", lambda draw, view: view.t == 6),
    "first picture": (Draw, "observe", lambda draw, view: view.t == 0),
    "save": (GAN, "on_save_checkpoint", lambda gan, _: gan.t == 5),
}


FAST = ("iteration", "evaluation", "save")


@pytest.mark.parametrize("place", [pytest.param(p, marks=[] if p in FAST else pytest.mark.slow) for p in PLACES])
def test_an_interruption_leaves_no_trace_in_the_records(run, tmp_path, monkeypatch, straight, place):
    computed, original = [], ModeCounts.compute
    with monkeypatch.context() as patch:
        patch.setattr(ModeCounts, "compute", lambda self: (computed.append(self), original(self))[1])
        patch.setattr(ModeCounts, "computed", property(lambda self: len(computed)), raising=False)
        sent = once(patch, *PLACES[place])
        with pytest.raises(Interrupted, match="go on with resume="):
            run(*SCORED, name="parts")
    assert len(sent) == 1
    part = RunDirectory(tmp_path / "parts")
    assert part.status == "interrupted"
    newest = part.newest_checkpoint()
    assert newest.stem == f"step-{part.result['iterations']:09d}"
    run(*SCORED, f"resume={part.path}", name="parts")
    assert same_state(*(read_checkpoint(checkpoints(each.checkpoints)[-1])["state_dict"] for each in (part, straight)))
    assert recorded(part) == recorded(straight)


def test_a_signal_before_the_first_iteration_leaves_nothing_and_one_after_the_last_only_cuts_figures_short(
    run, tmp_path, monkeypatch
):
    from ganlab.figures import pictures
    from ganlab.loggers.table import RunTable

    with monkeypatch.context() as patch:
        sent = once(patch, RunTable, "log_hyperparams", lambda *_: True)
        with pytest.raises(Interrupted):
            run(*SCORED, name="early")
        assert sent
    assert not checkpoints(tmp_path / "early" / "checkpoints")  # `job` takes the rest away
    original = pictures.curves
    with monkeypatch.context() as patch:
        patch.setattr(pictures, "curves", lambda *a: (os.kill(os.getpid(), signal.SIGTERM), original(*a)))
        late = run(*SCORED, name="late")
    assert late.status == "completed"
    assert not (late.figures / "samples.png").exists()


def test_a_branch_that_was_killed_before_its_first_checkpoint_goes_on_from_where_it_began(run, tmp_path, monkeypatch):
    tiny = ("iterations=6", "checkpoint.every=3", "metrics=none", "theory=none")
    old = run(*tiny, name="old")
    start = old.checkpoints / "step-000000003.ckpt"

    def killed(gan, batch):
        if gan.t > 3:
            raise SystemExit("killed")
        return body(gan, batch)

    with monkeypatch.context() as patch:
        body = GAN.body
        patch.setattr(GAN, "body", killed)
        with pytest.raises(SystemExit):
            run(*tiny, f"resume={start}", "checkpoint.every=100", name="branch")
    branch = run(*tiny, f"resume={tmp_path}/branch", name="branch")
    assert branch.result["resumed_from"].endswith("branch/checkpoints/step-000000003.ckpt")
    assert branch.config["resume"] == str(start)
    assert same_state(*(read_checkpoint(each.newest_checkpoint())["state_dict"] for each in (old, branch)))


def test_halves_of_killed_saves_and_damaged_files_are_in_nobodys_way(run, tmp_path, caplog):
    from ganlab.files.run import newest_like

    tiny = ("iterations=2", "metrics=none", "theory=none", "log_every=1")
    done = run(*tiny, name="a")
    half = done.checkpoints / f".step-000000009.ckpt.{'a' * 32}"
    half.write_bytes(b"half")
    other = tmp_path / "b"
    (other / "checkpoints").mkdir(parents=True)
    (other / "checkpoints" / "step-000000001.ckpt").write_bytes(b"")
    (other / "config.yaml").write_text("[")
    assert newest_like(done.config, tmp_path) == done.path
    done.result_file.write_text("{")
    lines = done.table_file.read_text().splitlines()
    done.table_file.write_text("\n".join([*lines[:2], "x,y", *lines[2:]]) + "\n")
    run(*tiny, "iterations=3", f"resume={done.path}", name="a")
    assert not half.exists()
    assert done.status == "completed"
    assert [row["iteration"] for row in read(done.table_file)] == [1, 3]
    assert (done.path / "metrics.csv.corrupt").exists()
    assert "line 3" in caplog.text


def test_another_number_of_threads_is_told(run, tmp_path, caplog):
    tiny = ("metrics=none", "theory=none")
    assert run(*tiny, "threads=1", "iterations=2", name="a").result["threads"] == 1
    run(*tiny, "threads=2", "iterations=4", f"resume={tmp_path}/a", name="a")
    assert "had 1 threads until here and goes on with 2" in caplog.text


# divergence


def broken(gan, batch):
    """An iteration after which D's optimizer is not finite, from the fifth on, as long as rates are what they were."""
    body(gan, batch)
    if gan.t >= 5 and gan.slower > 0.3:
        next(iter(gan.opt_D.state.values()))["exp_avg_sq"].fill_(float("inf"))


body = GAN.body
DIVERGING = ("iterations=12", "log_every=2", "checkpoint.every=4", "metrics=none", "theory=none")


def test_an_optimizer_that_is_not_finite_has_diverged(run, tmp_path, monkeypatch):
    monkeypatch.setattr(GAN, "body", broken)
    with pytest.raises(
        Diverged, match=r"between iterations 4 and 6: the largest number in D's optimizer is inf; .*000004.ckpt"
    ):
        run(*DIVERGING)
    assert [path.name for path in checkpoints(tmp_path / "run" / "checkpoints")] == ["step-000000004.ckpt"]


def test_a_rollback_goes_on_more_slowly_and_the_checkpoint_knows(run, tmp_path, monkeypatch):
    monkeypatch.setattr(GAN, "body", broken)
    done = run(*DIVERGING, "on_divergence=rollback", name="a")
    assert (done.result["status"], done.result["rollbacks"], done.result["rate_factor"]) == ("completed", 2, 0.25)
    state = read_checkpoint(done.newest_checkpoint())
    assert (state["slower"], state["slowed"]) == (0.25, 2)
    assert [group["lr"] for group in state["optimizer_states"][0]["param_groups"]] == [0.25e-3]
    assert [row["iteration"] for row in read(done.table_file)] == [2, 4, 6, 8, 10, 12]
    whole = run(*DIVERGING, "on_divergence=rollback", "iterations=16", name="b")
    again = run(*DIVERGING, "on_divergence=rollback", "iterations=16", f"resume={tmp_path}/a", name="a")
    assert same_state(*(read_checkpoint(each.newest_checkpoint())["state_dict"] for each in (whole, again)))
    with pytest.raises(Diverged):
        run(*DIVERGING, "on_divergence=rollback", "on_divergence.times=1", name="c")


# the disk


def test_a_full_disk_ends_no_training_and_is_told_in_the_end(run, tmp_path, monkeypatch, caplog):
    import errno
    from contextlib import contextmanager

    import ganlab.run.checkpoint

    original = ganlab.run.checkpoint.replaced

    @contextmanager
    def full(path):
        with original(path) as file:
            yield file
            if int(path.stem.removeprefix("step-")) in bad:
                raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ganlab.run.checkpoint, "replaced", full)
    bad = {4}
    done = run(*DIVERGING, name="a")
    assert done.status == "completed"
    assert "NO CHECKPOINT of iteration 4" in caplog.text
    assert [path.name for path in checkpoints(done.checkpoints)] == ["step-000000008.ckpt", "step-000000012.ckpt"]
    bad = {8, 12}
    with pytest.raises(Unsaved, match="No space left"):
        run(*DIVERGING, name="b")
    late = RunDirectory(tmp_path / "b")
    assert (late.status, [path.name for path in late.checkpoints.iterdir()]) == ("unsaved", ["step-000000004.ckpt"])


def test_there_is_looked_for_room_before_the_start(run, tmp_path, monkeypatch):
    import shutil

    from ganlab.errors import Storage

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(Storage, match="make room"):
        run(*DIVERGING)
    assert not (tmp_path / "run" / "config.yaml").exists()


# the real command


@pytest.mark.slow
@pytest.mark.parametrize("unread", ["closed", "/dev/full"])
def test_nobody_reads_what_it_says(tmp_path, unread):
    tiny = ("logger=csv", "iterations=40", "log_every=1", "metrics=none", "theory=none", "hydra.run.dir=run")
    done = Forked(ROOT / "train.py", *tiny, cwd=tmp_path, unread=unread).ended()
    assert done.returncode == 0
    assert RunDirectory(tmp_path / "run").status == "completed"
