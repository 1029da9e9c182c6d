"""Sweeps on a real SLURM cluster of one node (tests/slurm.py): what the stand-in of test_engines.py cannot prove."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from conftest import ROOT
from slurm import Cluster, missing

from ganlab.files.run import RunDirectory, checkpoints
from ganlab.files.table import read

pytest.importorskip("submitit")
pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.skipif(bool(missing()), reason=missing() or "SLURM is here")]

SMALL = ("logger=csv", "metrics=none", "theory=none", "log_every=1", "study=s", "hydra/launcher=submitit")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("slurm")) as started:
        yield started


@pytest.fixture
def sweep(cluster, tmp_path):
    """Starts `train.py -m` on the cluster: (words, wait=exit code or None) -> the process, or what it said."""
    here = {**cluster.environment, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}

    def start(*words, wait=None):
        with (tmp_path / "said").open("w+") as said:
            line = [sys.executable, ROOT / "train.py", "-m", *SMALL, *words]
            process = subprocess.Popen(line, cwd=tmp_path, env=here, stdout=said, stderr=said)
            if wait is None:
                return process
            code = process.wait(900)
            said.seek(0)
            text = said.read()
        assert code == wait, text
        return text

    return start


def slow(seconds):
    return f"+penalty.own={{_target_: faults.Trouble, seconds: {seconds}}}"


def jobs(folder):
    lines = (folder / "runs/sweeps/s/jobs.jsonl").read_text().splitlines()
    return {row["job"]: row for row in map(json.loads, lines)}


def at(folder, job):
    """The last iteration in its table."""
    table = folder / f"runs/sweeps/s/{job}/metrics.csv"
    rows = read(table) if table.exists() else []
    return rows[-1]["iteration"] if rows else 0


def held(cluster, folder, condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, (cluster.logs(), (folder / "said").read_text())
        time.sleep(0.2)


def test_an_array_of_jobs_ends_and_is_not_done_twice(cluster, sweep, tmp_path):
    text = sweep("seed=range(3)", "iterations=20", "hydra.launcher.at_once=2", wait=0)
    assert "submitted  3 jobs to SLURM" in text
    assert {name: row["state"] for name, row in jobs(tmp_path).items()} == dict.fromkeys(
        ("seed-0", "seed-1", "seed-2"), "completed"
    )
    assert "srun" not in (tmp_path / "runs/sweeps/s/logs/seed-0.log").read_text()  # Lightning's advice, wrong here
    assert "3 jobs, 3 of them over already" in sweep("seed=range(3)", "iterations=20", wait=0)


def test_when_the_time_is_up_a_job_is_requeued_and_ends_as_an_uninterrupted_one(sweep, tmp_path):
    sweep("seed=0,1", "iterations=200", slow(0.6), "hydra.launcher.timeout_min=3", wait=0)
    run = RunDirectory(tmp_path / "runs/sweeps/s/seed-0")
    assert (run.result["status"], bool(run.result["resumed_from"])) == ("completed", True)
    line = [sys.executable, ROOT / "train.py", *SMALL[:4], "seed=0", "iterations=200", slow(0.0), "hydra.run.dir=whole"]
    here = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    subprocess.run(line, cwd=tmp_path, env=here, check=True, capture_output=True)
    whole = RunDirectory(tmp_path / "whole")
    found, wanted = (read(one.path / "metrics.csv") for one in (run, whole))
    assert [without_seconds(row) for row in found] == [without_seconds(row) for row in wanted]
    for ours, theirs in zip(*(last_weights(one) for one in (run, whole)), strict=True):
        assert torch.equal(ours, theirs)


def test_a_requeue_by_the_operator_goes_on_from_the_checkpoint(cluster, sweep, tmp_path):
    process = sweep("seed=0,1", "iterations=120", slow(0.2), "hydra.launcher.at_once=1")
    held(cluster, tmp_path, lambda: at(tmp_path, "seed-0") >= 20)
    (number,) = cluster.call("squeue", "-h", "-t", "RUNNING", "-o", "%i").split()
    cluster.call("scontrol", "requeue", number)
    assert process.wait(300) == 0, (tmp_path / "said").read_text()
    rows = read(tmp_path / "runs/sweeps/s/seed-0/metrics.csv")
    assert [row["iteration"] for row in rows] == [*range(1, 121)]
    assert RunDirectory(tmp_path / "runs/sweeps/s/seed-0").result["resumed_from"]


def test_scancel_leaves_a_checkpoint_and_the_same_command_goes_on(cluster, sweep, tmp_path):
    process = sweep("seed=0,1", "iterations=100", slow(0.2), "hydra.launcher.at_once=1")
    held(cluster, tmp_path, lambda: at(tmp_path, "seed-0") >= 10)
    cluster.call("scancel", "--user=root")
    assert process.wait(120) == 75, (tmp_path / "said").read_text()
    assert RunDirectory(tmp_path / "runs/sweeps/s/seed-0").result["status"] == "interrupted"
    reached = at(tmp_path, "seed-0")
    sweep("seed=0,1", "iterations=100", slow(0.0), wait=2)  # another penalty is another study
    sweep("seed=0,1", "iterations=100", slow(0.2), "hydra.launcher.at_once=2", wait=0)
    rows = read(tmp_path / "runs/sweeps/s/seed-0/metrics.csv")
    assert 10 <= reached < 100
    assert [row["iteration"] for row in rows] == [*range(1, 101)]
    assert {row["state"] for row in jobs(tmp_path).values()} == {"completed"}


def test_jobs_of_a_killed_driver_are_taken_up_again(cluster, sweep, tmp_path):
    words = ("seed=0,1", "iterations=100", slow(0.6))  # longer than a driver takes to start
    process = sweep(*words)
    held(cluster, tmp_path, lambda: at(tmp_path, "seed-0") >= 5)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert cluster.call("squeue", "-h", "-o", "%i")
    text = sweep(*words, wait=0)
    assert "waiting for" in text
    assert "submitted  2" not in text
    for seed in (0, 1):
        rows = read(tmp_path / f"runs/sweeps/s/seed-{seed}/metrics.csv")
        assert [row["iteration"] for row in rows] == [*range(1, 101)]


def without_seconds(row):
    return {key: value for key, value in row.items() if "second" not in key and "per_" not in key}


def last_weights(run):
    state = torch.load(checkpoints(run.path / "checkpoints")[-1], weights_only=True)["state_dict"]
    return [state[name] for name in sorted(state)]
