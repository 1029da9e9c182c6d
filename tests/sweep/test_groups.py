"""hydra/launcher=replicas: one process for jobs that differ in seed and optimizer alone."""

import json

import pytest
from conftest import ROOT, composed
from forked import Forked

from ganlab.files.run import RunDirectory
from ganlab.run.experiment import train
from ganlab.sweep.engines import Together
from ganlab.sweep.jobs import Group, Job

SMALL = ("iterations=20", "log_every=10", "logger=csv", "metrics=none", "theory=none", "study=s", "hydra/launcher=replicas",
         "model.G.width=8", "model.D.width=8", "batch_size=16")  # fmt: skip


@pytest.mark.long
def test_a_sweep_of_seeds_and_rates_is_one_process_and_a_run_for_each_job(tmp_path):
    line = (ROOT / "train.py", "-m", *SMALL, "seed=0,1", "optim.lr=1e-3,2e-4")
    done = Forked(*line, cwd=tmp_path).ended()
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "runs/sweeps/s"
    rows = [json.loads(row) for row in (folder / "jobs.jsonl").read_text().splitlines()]
    assert [row["state"] for row in rows] == ["completed"] * 4
    assert len([*(folder / "logs").glob("*.log")]) == 1
    for row in rows:
        run = RunDirectory(row["directory"])
        assert (str(run.config["seed"]), run.config["optim"]["lr"]) == (row["seed"], float(row["optim.lr"]))
        assert run.config["name"] == row["job"] == run.result["name"]
        assert run.config["replicas"] == 1
    again = Forked(*line, cwd=tmp_path).ended()
    assert "4 jobs, 4 of them over already" in again.stderr


@pytest.mark.parametrize(("more", "sentence"), [
    (("seed=0,1", "penalty=none,lecam"), "2 of 4 jobs have a mistake: seed-0_penalty-lecam and 1 more: replicas: penalty"),
    (("seed=0,1", "replicas=4"), "replicas are not of a sweep: leave them out, give hydra/launcher=replicas and more seeds"),
    (("seed=0,1", "hydra.launcher.n_jobs=0"), "hydra.launcher.n_jobs = 0 must be at least 1"),
])  # fmt: skip
def test_what_cannot_be_replicas_is_refused_before_anything_is_written(tmp_path, more, sentence):
    done = Forked(ROOT / "train.py", "-m", *SMALL, *more, cwd=tmp_path).ended()
    assert done.returncode == 2
    assert sentence in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_group_shares_what_all_its_jobs_have_in_common(tmp_path):
    jobs = [Job(f"seed-{i}", tmp_path / f"seed-{i}", tmp_path / f"{i}.log", ["k=2", f"seed={i}"], 5) for i in range(2)]
    line = Group.of(jobs).line("train.py")
    assert line[:2] == ["train.py", "k=2"]
    assert line[2].startswith("replicas=[{dir: ")
    assert "'seed=0', 'name=\\'seed-0\\''" in line[2]


def test_a_group_of_a_sweep_has_a_folder_of_its_own_and_leaves_no_overrides_in_that_of_the_sweep(tmp_path, monkeypatch):
    """Where those of the last group would be taken for those of all, and a group that is refused would let go of the lock."""
    jobs = [Job(f"seed-{i}", tmp_path / f"seed-{i}", tmp_path / f"logs/seed-{i}.log", [f"seed={i}"], 5) for i in range(4)]
    groups = [Group.of(jobs[:2]), Group.of(jobs[2:])]
    assert [group.path for group in groups] == [tmp_path / "logs/seed-0", tmp_path / "logs/seed-2"]
    for group in groups:
        assert f"hydra.run.dir='{group.path}'" in group.line("train.py")
        cfg = composed(*SMALL[1:5], *SMALL[-3:], "iterations=1", "figures=false", path=group.path)
        cfg.replicas = [{"dir": str(job.path), "set": job.overrides} for job in group.jobs]
        train(cfg)
    assert [RunDirectory(job.path).result["status"] for job in jobs] == ["completed"] * 4
    assert not [*tmp_path.glob("*.yaml"), *tmp_path.glob("logs/*/*.yaml")]


def test_a_sweep_that_varies_more_has_a_group_for_each_setting(tmp_path):
    def job(*own):
        return Job("-".join(own), tmp_path, tmp_path / "log", ["study=s", *own], 5)

    jobs = [job(f"seed={seed}", f"loss={loss}", f"optim.lr={lr}") for seed in (0, 1, 2) for loss in "ab" for lr in (1, 2)]
    jobs.append(job("loss=c", "optim.G._target_=torch.optim.SGD"))
    groups = [*Together("train.py", at_once=4, n_jobs=1).groups(jobs)]
    assert [len(group) for group in groups] == [4, 2, 4, 2, 1]
    assert [{one.overrides[2] for one in group} for group in groups[:4]] == [{"loss=a"}, {"loss=a"}, {"loss=b"}, {"loss=b"}]
    assert sorted(one.name for group in groups for one in group) == sorted(one.name for one in jobs)


@pytest.mark.long
def test_a_sweep_of_losses_is_trained_two_groups_at_a_time(tmp_path):
    line = (ROOT / "train.py", "-m", *SMALL, "loss=hinge,minimax", "seed=0,1", "hydra.launcher.n_jobs=2")
    done = Forked(*line, cwd=tmp_path).ended()
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "runs/sweeps/s"
    rows = [json.loads(row) for row in (folder / "jobs.jsonl").read_text().splitlines()]
    assert [(row["loss"], row["seed"], row["state"]) for row in rows] == [
        (loss, seed, "completed") for loss in ("hinge", "minimax") for seed in "01"
    ]
    assert len([*(folder / "logs").glob("*.log")]) == 2
    assert {RunDirectory(row["directory"]).config["threads"] for row in rows} == {1}
