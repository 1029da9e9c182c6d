"""The wheel: what is in it, and that it is enough."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT
from hatchling.builders.wheel import WheelBuilder

import ganlab
from ganlab.files.command import SCRIPT, program, typed
from ganlab.run.line import with_own_conf
from ganlab.run.tree import conf_dir, own_conf

SMALL = ("logger=csv", "metrics=none", "theory=none", "iterations=2")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    (file,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(file)


def test_the_wheel_has_each_file_of_the_code_and_of_conf_and_no_other(wheel):
    assert wheel.name == f"ganlab-{ganlab.__version__}-py3-none-any.whl"
    here = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*") if path.is_file()}
    here = {name for name in here if "__pycache__" not in name}
    here |= {str(Path("ganlab") / path.relative_to(ROOT)) for path in (ROOT / "conf").rglob("*.yaml")}
    here |= {str(Path("ganlab") / path.relative_to(ROOT)) for path in (ROOT / "claims").rglob("*.*")}
    assert "ganlab/conf/hydra/launcher/local.yaml" in here
    with zipfile.ZipFile(wheel) as file:
        inside = {name for name in file.namelist() if not name.startswith("ganlab-")}
        about = file.read(f"ganlab-{ganlab.__version__}.dist-info/METADATA").decode()
    assert inside == here
    assert "License-Expression: MIT" in about
    assert "Classifier: Programming Language :: Python :: 3.13" in about


@pytest.mark.long
def test_the_wheel_alone_trains_samples_and_compares_in_an_empty_folder(wheel, tmp_path):
    """In a fresh environment that has what we depend on, and nothing of the checkout."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    python = tmp_path / "env" / "bin" / "python"
    (packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))  # whose own .pth files, as ours, do not count
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--ignore-installed", wheel]
    subprocess.run(pip, check=True, capture_output=True)
    empty = tmp_path / "empty"
    empty.mkdir()
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HOME": str(tmp_path)}

    def ganlab(*words):
        line = [python.with_name("ganlab"), *words]
        done = subprocess.run(line, cwd=empty, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    ganlab("train", "-m", "seed=0,1", "study=s", *SMALL)
    runs = sorted((empty / "runs" / "sweeps" / "s").glob("seed-*"))
    assert len(runs) == 2
    assert ganlab("sample", str(runs[0]), "--n", "3").strip().endswith("-seed0")
    assert "report.html" in ganlab("compare", "runs/sweeps/s")
    where = subprocess.run([python, "-c", "import ganlab; print(ganlab.__file__)"], env=env, capture_output=True, text=True)
    assert where.stdout.startswith(str(packages))
    ganlab("train", f"resume={runs[1]}", "iterations=3")
    assert '"iterations": 3' in (runs[1] / "result.json").read_text()
    assert '"commit": null' in (runs[1] / "result.json").read_text()


def test_a_conf_in_the_working_directory_is_searched_beside_our_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT)])
    assert conf_dir() == ROOT / "conf"
    assert own_conf() is None
    folder = tmp_path / "conf" / "loss"
    folder.mkdir(parents=True)
    assert own_conf() is None  # it is empty
    (folder / "mine.yaml").write_text("_target_: mine.Loss")
    assert with_own_conf(["train.py", "k=2"]) == ["train.py", "--config-dir", str(tmp_path / "conf"), "k=2"]
    for flags in (["--config-dir", "other"], ["-cd", "other"], ["--config-path", "/other"]):
        assert with_own_conf(["train.py", *flags, "k=2"]) == ["train.py", *flags, "k=2"]
    assert with_own_conf(["train.py", "k=2", "-cp", "x"]) == ["train.py", "k=2", "-cp", "x", "--config-path", f"{tmp_path}/x"]
    (tmp_path / "conf" / "config.yaml").write_text("db: mysql")
    assert own_conf() is None  # another program's
    (tmp_path / "conf" / "config.yaml").write_text((ROOT / "conf" / "config.yaml").read_text())
    assert own_conf() == tmp_path / "conf"  # a whole tree
    monkeypatch.chdir(ROOT)
    assert own_conf() is None  # ours


def test_a_command_is_told_as_it_is_typed(monkeypatch):
    assert typed([str(SCRIPT), "-m", "k=1,2"]) == ["ganlab", "train", "-m", "k=1,2"]
    assert typed(["train.py", "k=2"]) == ["train.py", "k=2"]
    for argv0, told in ((str(SCRIPT), "ganlab train"), ("train.py", "python train.py"), ("/venv/bin/ganlab", "ganlab train")):
        monkeypatch.setattr(sys, "argv", [argv0])
        assert program() == told


def test_help_and_version_come_before_seconds_of_importing(tmp_path):
    line = [sys.executable, "-X", "importtime", "-m", "ganlab", "--version"]
    done = subprocess.run(
        line, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}
    )
    assert done.stdout == f"ganlab {ganlab.__version__}\n"
    assert not {"torch", "hydra", "pydantic"} & {name.split("|")[-1].strip() for name in done.stderr.splitlines()}
