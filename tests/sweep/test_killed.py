"""A sweep whose jobs end in the three ways that no program can catch or mend: SIGKILL, the kernel's killer, a full disk."""

import json
import os
from pathlib import Path

import pytest
from conftest import ROOT
from forked import Forked

HERE = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{os.environ.get('PYTHONPATH', '')}"}
GROUPS = [place for place in map(Path, ("/sys/fs/cgroup/memory", "/sys/fs/cgroup")) if (place / "cgroup.procs").exists()]


@pytest.fixture
def group(tmp_path):
    """Where control groups with a limit on memory can be made."""
    for place in GROUPS:
        mine = place / f"ganlab-test-{os.getpid()}"
        try:
            mine.mkdir()
            (place / "cgroup.subtree_control").write_text("+memory") if (place / "cgroup.subtree_control").exists() else None
            (mine / "cgroup.subtree_control").write_text("+memory") if (mine / "cgroup.subtree_control").exists() else None
        except OSError:
            continue
        yield mine
        for one in [*mine.glob("ganlab-*"), mine]:
            one.rmdir()
        return
    pytest.skip("no control group with a limit on memory can be made here")


@pytest.mark.slow
@pytest.mark.long  # SIGKILL and a full disk have shorter ones
def test_the_others_end_and_the_table_says_what_happened(group, tmp_path):
    words = ("seed=range(5)", "iterations=6", "log_every=1", "checkpoint.every=2", "logger=csv", "metrics=modes", "theory=none")
    struck = f"+penalty.own={{_target_: faults.Struck, seed: '${{seed}}', group: {group}}}"
    done = Forked(ROOT / "train.py", "-m", *words, "study=s", struck, cwd=tmp_path, env=HERE).ended()
    rows = {int(row["seed"]): row for row in map(json.loads, (tmp_path / "runs/sweeps/s/jobs.jsonl").read_text().splitlines())}
    states = {seed: row["state"] for seed, row in rows.items()}
    assert states == {0: "killed", 1: "killed", 2: "unsaved", 3: "completed", 4: "completed"}, done.stderr
    assert done.returncode == 1
    assert rows[0]["note"].startswith("by SIGKILL")
    assert rows[1]["note"].startswith("by SIGKILL (the kernel's for want of memory")
    assert "2 killed, 1 unsaved of 5 jobs" in done.stderr.splitlines()[-1], done.stderr
    assert all(f"seed-{seed}" in done.stdout for seed in range(5))
    for seed in (3, 4):
        assert rows[seed]["score"].startswith("modes ")
