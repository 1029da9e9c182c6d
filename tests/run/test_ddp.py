"""Two real processes over gloo against one with the joint batch."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import ROOT, same_state
from torch.testing import assert_close

from ganlab.files.run import RunDirectory
from ganlab.files.table import read

COMMON = ("iterations=6", "k=2", "optim=sgd", "optim.lr=0.05", "batch_size=32", "log_every=1", "ema_decay=0.5", "penalty=r1")
TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")


def probe(out, *overrides):
    script = ROOT / "tests" / "ddp_probe.py"
    # a port that an earlier test of this process has left in the environment may be somebody's by now
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MASTER_", "LOCAL_RANK", "WORLD_SIZE"))}
    done = subprocess.run([sys.executable, script, out, *overrides], capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 0, done.stderr
    return [torch.load(path) for path in sorted(out.glob("rank*.pt"))]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ddp")
    return folder, probe(folder / "two", *COMMON, *TWO), *probe(folder / "one", *COMMON, "trainer=cpu")


@pytest.mark.slow
def test_both_ranks_end_with_the_same_weights(ranks):
    _, (first, second), _ = ranks
    assert same_state(first["weights"], second["weights"])


@pytest.mark.slow
def test_ranks_see_different_noise_and_data_and_together_what_one_process_sees(ranks):
    _, (first, second), one = ranks
    for kind in ("noise", "x"):
        assert len(one[kind]) > 0
        for a, b, joint in zip(first[kind], second[kind], one[kind], strict=True):
            assert not torch.equal(a, b)
            assert torch.equal(torch.cat([a, b]), joint)


@pytest.mark.slow
def test_gradients_equal_those_of_one_process_with_the_joint_batch(ranks):
    _, (first, _), one = ranks
    assert len(one["gradients"]) == 6 * (2 + 1)
    for mine, joint in zip(first["gradients"], one["gradients"], strict=True):
        for a, b in zip(mine, joint, strict=True):
            assert_close(a, b, rtol=0, atol=3e-7)


@pytest.mark.slow
def test_a_signal_to_one_of_two_processes_ends_both_with_a_checkpoint(tmp_path):
    small = ("hydra.run.dir=run", "logger=csv", "metrics=none", "theory=none", "iterations=100000", "log_every=5", *TWO)
    line = [sys.executable, ROOT / "train.py", *small]
    table = tmp_path / "run" / "metrics.csv"
    with subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while not table.exists() or len(table.read_text().splitlines()) < 20:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=90)
    assert process.returncode == 75, told
    run = RunDirectory(tmp_path / "run")
    assert (run.result["status"], run.result["iterations"] % 5) == ("interrupted", 0)
    assert run.newest_checkpoint().stem == f"step-{run.result['iterations']:09d}"


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("first_dies", [True, False])
def test_where_one_of_two_processes_is_killed_the_other_ends_with_a_sentence_and_the_run_goes_on(tmp_path, first_dies):
    small = ("logger=csv", "metrics=none", "theory=none", "log_every=5", "checkpoint.every=50", *TWO)
    line = [sys.executable, ROOT / "train.py", *small]
    with (tmp_path / "told").open("w+") as told:
        first = subprocess.Popen([*line, "hydra.run.dir=run", "iterations=100000"], cwd=tmp_path, stdout=told, stderr=told)
        table = tmp_path / "run" / "metrics.csv"
        while not table.exists() or len(table.read_text().splitlines()) < 40:
            assert first.poll() is None
            time.sleep(0.05)
        second = int(Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()[0])
        os.kill(first.pid if first_dies else second, signal.SIGKILL)
        end = time.monotonic() + 60
        while running(second if first_dies else first.pid):
            assert time.monotonic() < end, "the other waits for it"
            time.sleep(0.1)
        assert first.wait() == (-signal.SIGKILL if first_dies else 1)
        told.seek(0)
        text = told.read()
    assert "another process of this run has died: resume=" in text
    assert "Traceback" not in text
    kept = int(RunDirectory(tmp_path / "run").newest_checkpoint().stem.removeprefix("step-"))
    assert kept >= 150
    subprocess.run([*line, "resume=run", f"iterations={kept + 10}"], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    assert [row["iteration"] for row in read(table)] == list(range(5, kept + 11, 5))


def running(pid):
    """Not over, nor waiting for its parent to hear of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_two_ranks_write_one_run(ranks):
    folder, *_ = ranks
    two, one = RunDirectory(folder / "two"), RunDirectory(folder / "one")
    assert two.result["processes"] == 2
    assert two.result["images"] == one.result["images"] == 6 * 2 * 32
    assert [row["iteration"] for row in read(two.table_file)] == list(range(1, 7))


@pytest.mark.slow
def test_ranks_leave_a_call_together_however_long_it_lasts(tmp_path):
    """Each rank has its own clock: one that left earlier would wait for ever for the other."""
    own = ("+penalty.lecam={_target_: outsiders.LeCam, weight: 0.1}", "log_every=1000", "health.every=1000", "iterations=120")
    line = [sys.executable, ROOT / "train.py", "hydra.run.dir=run", "logger=csv", "metrics=none", "theory=none", *own, *TWO]
    done = subprocess.run(
        line, cwd=tmp_path, env={**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert RunDirectory(tmp_path / "run").result["iterations"] == 120
