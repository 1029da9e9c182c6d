"""Sweeps through submitit and Ray: the real ones, and for SLURM what stands in for its commands."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import ROOT

from ganlab.errors import UserError
from ganlab.files.status import Status
from ganlab.files.table import read
from ganlab.sweep.cluster import Submitit
from ganlab.sweep.jobs import Job

pytest.importorskip("submitit")

SMALL = ("logger=csv", "metrics=none", "theory=none", "log_every=1", "study=s")

# Keeps the files of a run and ends as train.py does, but in a second and without torch.
LIGHT = """
import json, signal, sys, time
from pathlib import Path
given = dict(line.split("=", 1) for line in sys.argv[1:])
run = Path(given["hydra.run.dir"].strip("'"))
run.mkdir(parents=True, exist_ok=True)
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
start = int((run / "at").read_text()) if "resume" in given else 0
(run / "config.yaml").write_text("{}")
(run / "at").write_text(str(start))
for t in range(start + 1, int(given["iterations"]) + 1):
    time.sleep(0.1)
    with (run / "rows").open("a") as file:
        file.write(f"{t}\\n")
    (run / "at").write_text(str(t))
    if asked:
        break
status = "interrupted" if asked else "completed"
(run / "result.json").write_text(json.dumps({"status": status, "iterations": t}))
print(status, t)
sys.exit(75 if asked else 0)
"""

# sbatch, srun, scontrol, sacct and scancel of one machine, which keep each job's state in a file of $STANDIN.
SLURM = r"""
import os, re, signal, subprocess, sys, time
from pathlib import Path
home = Path(os.environ["STANDIN"])
name, given = Path(sys.argv[0]).name, sys.argv[1:]
if name == "sbatch":
    text = Path(given[0]).read_text()
    array = re.search(r"--array=0-(\d+)%(\d+)", text)
    number = str(len([*home.glob("*.sh")]) + 100)
    (home / f"{number}.sh").write_text(text)
    ids = [f"{number}_{i}" for i in range(int(array[1]) + 1)] if array else [number]
    for one in ids:
        (home / one).write_text("PENDING")
    line = [sys.executable, str(Path(__file__).with_name("standin.py")), "serve", array[2] if array else "1", *ids]
    with (home / "log").open("a") as log:
        subprocess.Popen(line, start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    print("Submitted batch job", number)
elif given[:1] == ["serve"]:
    running = {}
    while True:
        states = {one: (home / one).read_text() for one in given[2:]}
        for one, state in states.items():
            number, _, index = one.partition("_")
            if one in running and (code := running[one].poll()) is not None:
                del running[one]
                (home / one).write_text("PENDING" if state == "REQUEUED" else state if code == 0 or "C" in state else "FAILED")
                if state == "RUNNING":
                    (home / one).write_text("FAILED" if code else "COMPLETED")
            elif state == "PENDING" and one not in running and len(running) < int(given[1]):
                (home / one).write_text("RUNNING")
                own = {"SLURM_JOB_ID": f"7{number}{index}", "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}
                own |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": index} if index else {"SLURM_JOB_ID": number}
                running[one] = subprocess.Popen(["bash", home / f"{number}.sh"], env={**os.environ, **own, "STANDIN_ID": one})
        if not running and not {"PENDING", "REQUEUED"} & {*states.values()}:
            break
        time.sleep(0.1)
elif name == "srun":
    one = os.environ["STANDIN_ID"]
    for stream, path in ((1, given[2]), (2, given[4])):
        number, _, index = one.partition("_")
        path = path.replace("%A", number).replace("%a", index).replace("%j", number).replace("%t", "0")
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    (home / f"{one}.pid").write_text(str(os.getpid()))
    os.execvp(given[5], given[5:])
elif name == "scontrol":
    (home / given[1]).write_text("REQUEUED")
elif name == "sacct":
    print("JobID|State|NodeList")
    for file in home.iterdir():
        if re.fullmatch(r"[\d_]+", file.name):
            print(f"{file.name}|{file.read_text()}|here")
elif name == "scancel":
    for one in given:
        if one[0] != "-" and (home / one).read_text() == "PENDING":
            (home / one).write_text("CANCELLED by 0")
"""


@pytest.fixture
def light(tmp_path):
    """script, and a function that makes jobs of so many iterations."""
    script = tmp_path / "light.py"
    script.write_text(LIGHT)

    def jobs(*iterations):
        return [
            Job(f"j{i}", tmp_path / f"s/j{i}", tmp_path / f"s/logs/j{i}.log", [f"iterations={n}"], n)
            for i, n in enumerate(iterations)
        ]  # fmt: skip

    return str(script), jobs


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A folder with the states of jobs."""
    states, commands = tmp_path / "slurm", tmp_path / "bin"
    states.mkdir()
    commands.mkdir()
    (commands / "standin.py").write_text(SLURM)
    for name in ("sbatch", "srun", "scontrol", "sacct", "scancel"):
        (commands / name).write_text(f"#!{sys.executable}\n{SLURM}")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setenv("STANDIN", str(states))
    return states


def submitit(script, **options):
    given = {
        "cluster": "local",
        "at_once": None,
        "requeue": 2,
        "cpus": 1,
        "gpus": None,
        "timeout_min": 60,
        "setup": [],
        "more": {},
    }
    return Submitit(script, **{**given, **options})


def until(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return found


def in_the_background(engine, jobs):
    thread = threading.Thread(target=lambda: [*engine.run(jobs)])
    thread.start()
    return thread


def rows(job):
    return [int(line) for line in (job.path / "rows").read_text().split()] if (job.path / "rows").exists() else []


def processes(*words):
    """Those whose command line has all of these words."""
    shown = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True).stdout.splitlines()
    return [int(line.split()[0]) for line in shown if all(word in line for word in words)]


def test_a_mistake_is_a_sentence(light, monkeypatch, tmp_path):
    with pytest.raises(UserError, match="cluster = pbs must be slurm, local or null"):
        submitit("x", cluster="pbs")
    with pytest.raises(UserError, match="at_once = 0 must be at least 1"):
        submitit("x", at_once=0)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="there is no sbatch here"):
        submitit("x", cluster="slurm")
    assert submitit("x", cluster=None).cluster == "local"


def test_what_sbatch_is_given(slurm, tmp_path):
    given = {"partition": "gpu", "account": "lab", "qos": "low", "mem_gb": 16, "more": {"constraint": "a100", "exclude": "n7"}}
    engine = submitit("x", cluster=None, at_once=8, cpus=4, gpus=1, timeout_min=90, setup=["module load cuda"], **given)
    assert (engine.cluster, engine.elsewhere, engine.threads) == ("slurm", True, 4)
    executor = engine.executor(tmp_path / "folder")._executor
    executor.parameters["map_count"] = 36
    text = executor._make_submission_file_text("python x", "u")
    wanted = "partition=gpu account=lab qos=low mem=16GB constraint=a100 exclude=n7 array=0-35%8 time=90 gpus-per-node=1"
    for line in f"{wanted} cpus-per-task=4 signal=USR2@90 open-mode=append job-name=ganlab".split():
        assert f"#SBATCH --{line}\n" in text
    assert "\nmodule load cuda\n" in text
    assert executor.max_num_timeout == 2
    with pytest.raises(UserError, match="mem_gb"):
        submitit("x", cluster="slurm", mem_gb="much").executor(tmp_path)


def test_a_preempted_job_of_slurm_is_requeued_and_does_each_iteration_once(slurm, light):
    script, jobs = light
    jobs = jobs(60, 5, 5)
    thread = in_the_background(submitit(script, cluster="slurm"), jobs)
    until(lambda: len(rows(jobs[0])) > 3)
    (running,) = slurm.glob("*_0.pid")
    os.kill(int(running.read_text()), signal.SIGUSR2)
    until(lambda: "resume" in " ".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in processes(script, "j0", "resume")))
    (other,) = processes(script, "j0", "resume")
    time.sleep(1)
    os.kill(other, signal.SIGTERM)  # somebody else ends the training itself
    thread.join(120)
    assert [(job.code, job.state) for job in jobs] == [(0, Status.COMPLETED)] * 3
    assert [rows(job) for job in jobs] == [[*range(1, 61)], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]]
    assert jobs[0].log.read_text().count("interrupted") == 2
    assert jobs[0].seconds > 6 > jobs[1].seconds
    assert json.loads((jobs[0].log.parent / "submitit/jobs.json").read_text()) == {}


def test_a_stop_ends_jobs_of_slurm_with_a_checkpoint_and_takes_the_queued_ones_back(slurm, light):
    script, jobs = light
    jobs = jobs(1000, 1000, 1000)
    engine = submitit(script, cluster="slurm", at_once=2)
    thread = in_the_background(engine, jobs)
    until(lambda: rows(jobs[0]) and rows(jobs[1]))
    engine.stop()
    thread.join(60)
    assert [(job.code, job.state) for job in jobs] == [(75, Status.INTERRUPTED)] * 2 + [(None, Status.WAITING)]
    assert rows(jobs[0])[-1] == jobs[0].result["iterations"]
    assert not processes(script, "hydra.run.dir")


@pytest.mark.parametrize("cluster", ["slurm", "local"])
def test_jobs_of_a_sweep_whose_process_was_killed_are_taken_up_again(slurm, light, cluster):
    script, jobs = light
    first, second = jobs(80, 5)
    lines = f"""
from pathlib import Path
from ganlab.sweep.cluster import Submitit
from ganlab.sweep.jobs import Job
job = Job("j0", Path({str(first.path)!r}), Path({str(first.log)!r}), ["iterations=80"], 80)
engine = Submitit({script!r}, {cluster!r}, at_once=None, requeue=2, cpus=1, gpus=None, timeout_min=60, setup=[], more={{}})
[*engine.run([job])]
"""
    with subprocess.Popen([sys.executable, "-c", lines]) as killed:
        until(lambda: len(rows(first)) > 3)
        killed.kill()
    began = len(rows(first))
    engine = submitit(script, cluster=cluster)
    assert {job.state for job in engine.run([first, second])} == {Status.COMPLETED}
    assert (rows(first), rows(second)) == ([*range(1, 81)], [1, 2, 3, 4, 5])
    assert 3 < began < 80
    assert first.log.read_text() == "completed 80\n"  # one process only


def test_jobs_on_this_machine_stop_with_a_checkpoint_and_at_once_the_second_time(light, monkeypatch):
    script, jobs = light
    jobs = jobs(1000, 1000)
    engine = submitit(script, setup=["export THERE=1"])
    thread = in_the_background(engine, jobs)
    until(lambda: rows(jobs[0]))
    assert not rows(jobs[1])  # one at a time
    engine.stop()
    thread.join(60)
    assert [(job.code, job.state) for job in jobs] == [(75, Status.INTERRUPTED), (None, Status.WAITING)]
    Path(script).write_text(LIGHT.replace("asked.append(1)", "None"))  # does not end when it is asked to
    done, engine = len(rows(jobs[0])), submitit(script)
    thread = in_the_background(engine, jobs)
    until(lambda: len(rows(jobs[0])) > done)
    engine.stop()
    time.sleep(4)
    assert thread.is_alive()
    engine.stop()
    thread.join(60)
    assert jobs[0].code == -signal.SIGKILL


# with train.py


def sweep(*arguments, cwd, code):
    """What a real sweep says, and its jobs by name; it has its output in files, which a job may hold open."""
    line = [sys.executable, ROOT / "train.py", "-m", *SMALL, *arguments]
    here = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "HOME": str(cwd), "OMP_NUM_THREADS": "1"}
    with (cwd / "said").open("w+") as said:
        done = subprocess.run(line, cwd=cwd, env=here, stdout=said, stderr=said, timeout=600)
        said.seek(0)
        text = said.read()
    assert done.returncode == code, text
    table = [json.loads(row) for row in (cwd / "runs/sweeps/s/jobs.jsonl").read_text().splitlines()]
    return text, {row["job"]: row for row in table}


@pytest.mark.long
def test_a_sweep_through_submitit_survives_a_preemption_and_is_not_done_twice(tmp_path):
    given = ("hydra/launcher=submitit", "hydra.launcher.cluster=local", "hydra.launcher.at_once=2", "k=1,2", "seed=0,1")
    given = (*given, "iterations=60", "+penalty.own._target_=faults.Slow")
    table = tmp_path / "runs/sweeps/s/k-1_seed-0/metrics.csv"

    def preempt():
        until(table.exists, 600)
        controllers = processes("submitit.core._submit", str(tmp_path))
        for pid in controllers:
            if "k-1_seed-0" in "".join(
                Path(f"/proc/{child}/cmdline").read_text()
                for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            ):
                os.kill(pid, signal.SIGUSR2)

    thread = threading.Thread(target=preempt)
    thread.start()
    _, jobs = sweep(*given, cwd=tmp_path, code=0)
    thread.join()
    assert {job["state"] for job in jobs.values()} == {"completed"}
    assert len(jobs) == 4
    result = json.loads((table.parent / "result.json").read_text())
    assert result["resumed_from"]
    for name in jobs:
        assert [row["iteration"] for row in read(table.parents[1] / name / "metrics.csv")] == [*range(1, 61)]
    text, _ = sweep(*given, cwd=tmp_path, code=0)
    assert "4 jobs, 4 of them over already" in text


RAY = """
import json, sys
from pathlib import Path
from ganlab.sweep.driver import still_open
from ganlab.sweep.jobs import Job
from ganlab.sweep.rays import Ray
script, folder = sys.argv[1], Path(sys.argv[2])
jobs = [Job(str(i), folder / str(i), folder / f"{i}.log", [f"iterations={3 + i}"], 3 + i) for i in range(3)]
engine = Ray(script, None, 1.0, 0.0, None)
for _ in range(2):
    codes = {job.name: job.code for job in engine.run(still_open(jobs))}
    print(json.dumps([codes, [job.row()["note"] for job in jobs]]))
"""


@pytest.mark.slow
def test_jobs_through_ray_and_only_the_one_that_failed_again(light, tmp_path):
    pytest.importorskip("ray")
    script, _ = light
    broken = "import pathlib, sys\nonce = pathlib.Path(__file__).with_name('failed')\nif 'iterations=3' in sys.argv and not "
    broken += "once.exists():\n    once.touch()\n    sys.exit('ganlab: error: cannot go on')\n"
    Path(script).write_text(broken + LIGHT)
    done = subprocess.run(
        [sys.executable, "-c", RAY, script, tmp_path], capture_output=True, text=True, timeout=300, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    first, again = map(json.loads, done.stdout.splitlines())
    assert first == [{"0": 1, "1": 0, "2": 0}, ["cannot go on", "", ""]]
    assert again == [{"0": 0}, ["", "", ""]]
    assert (tmp_path / "1" / "rows").read_text().split() == ["1", "2", "3", "4"]


@pytest.mark.long
def test_a_sweep_through_ray_retries_only_the_job_that_failed(tmp_path):
    pytest.importorskip("ray")
    (tmp_path / "starts").mkdir()
    given = (
        "hydra/launcher=ray",
        "seed=1,5,6",
        "iterations=4",
        "+penalty.own._target_=faults.Fault",
        "+penalty.own.seed=${seed}",
    )
    given = (*given, f"+penalty.own.folder={tmp_path}/starts")
    text, jobs = sweep(*given, cwd=tmp_path, code=1)
    assert [job["state"] for job in jobs.values()] == ["failed", "completed", "completed"]
    assert jobs["seed-1"]["note"] == "ArithmeticError: [/seed 1] cannot go on"
    assert "1 failed of 3 jobs: start the same command again for the rest" in text
    assert "ray" not in text.replace("hydra/launcher=ray", "").lower().replace("traceback", "")
    text, jobs = sweep(*given, cwd=tmp_path, code=0)
    assert "3 jobs, 2 of them over already" in text
    assert {job["state"] for job in jobs.values()} == {"completed"}
    assert {file.name: len(file.read_text().split()) for file in (tmp_path / "starts").iterdir()} == {"1": 2, "5": 1, "6": 1}
