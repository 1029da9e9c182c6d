"""What a newcomer runs: the default, and `ganlab sample` on any run directory."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from forked import Forked
from PIL import Image

from ganlab.commands.main import main
from ganlab.commands.sample import checkpoint_of, sample
from ganlab.errors import UserError
from ganlab.files.run import RunDirectory
from ganlab.files.table import read
from ganlab.run.command_line import mistake


@pytest.mark.slow
@pytest.mark.parametrize(
    ("iterations", "quality"), [(1500, 0.85), pytest.param(5000, 0.88, marks=pytest.mark.long)], ids=["short", "whole"]
)
def test_the_default_visibly_works(tmp_path, iterations, quality):
    """protocols: every seed covers 8 modes, high quality >= 88 %, reverse KL <= 0.02, V near -log 4; and nearly so after less
    than a third of the iterations."""
    given = [] if iterations == 5000 else [f"iterations={iterations}"]
    line = [sys.executable, ROOT / "train.py", "hydra.run.dir=run", "logger=csv", *given]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"ring-mlp-non_saturating-k1-s0: 0 of {iterations:,} iterations")
    run = RunDirectory(tmp_path / "run")
    assert str(run.figures) in done.stdout
    final = {name: score["value"] for name, score in run.result["final"].items()}
    assert final["modes"] == 8
    assert final["high_quality"] >= quality
    assert final["reverse_kl"] <= 0.02
    V = np.mean([row["train/V"] for row in read(run.table_file) if row["iteration"] > 0.6 * iterations and "train/V" in row])
    assert -1.42 < V < -1.34
    with Image.open(run.figures / "training.gif") as animation:
        assert animation.n_frames == iterations // 250 + 1
    for name in ("curves.png", "samples.png"):
        with Image.open(run.figures / name) as picture:
            assert len(picture.convert("L").getcolors()) > 10, name  # it is not blank


@pytest.fixture
def points(run):
    return run("iterations=4", "metrics=none", "theory=none", "checkpoint.every=2")


def test_samples_of_points(points):
    out = sample(points, n=100, seed=0, checkpoint=None, out=None, trust=False)
    assert out == points.path / "generated" / "step-000000004-seed0"
    assert {path.name for path in out.iterdir()} == {"samples.csv", "samples.png", "interpolation.png"}
    assert np.loadtxt(out / "samples.csv", delimiter=",", skiprows=1).shape == (100, 2)


def test_samples_are_those_of_the_averaged_generator(run, tmp_path):
    done = run("iterations=4", "metrics=none", "theory=none", "ema_decay=0.9")
    out = sample(done, n=3, seed=5, checkpoint=None, out=tmp_path / "out", trust=False)
    from ganlab.random import generator_of
    from ganlab.run.config import build

    config = done.config
    state = torch.load(done.newest_checkpoint(), weights_only=True)["state_dict"]
    G = build(config["model"]["G"], "model.G")
    G.load_state_dict({name.removeprefix("G_ema."): v for name, v in state.items() if name.startswith("G_ema.")})
    z = build(config["prior"], "prior").sample(3, generator_of(5, "sample"))
    expected = G.eval()(z, torch.zeros(3, dtype=torch.long)).detach().numpy()
    np.testing.assert_allclose(np.loadtxt(out / "samples.csv", delimiter=",", skiprows=1), expected, rtol=1e-5, atol=1e-6)


def test_samples_of_images(run, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(8):
        Image.effect_noise((16, 20), 90.0).save(pictures / f"{i}.png")
    small = ("model.G.width=4", "model.D.width=4", "batch_size=4", "iterations=2")
    done = run("data=images", "model=dcgan", f"data.source={pictures}", "shape=[1,20,16]", *small)
    out = sample(done, n=9, seed=0, checkpoint=None, out=None, trust=False)
    assert len(list(out.glob("0*.png"))) == 9
    with Image.open(out / "00000.png") as image:
        assert (image.mode, image.size) == ("L", (16, 20))
    assert (out / "grid.png").exists()
    assert (out / "interpolation.png").exists()
    (out / "mine.png").touch()
    assert sample(done, n=2, seed=0, checkpoint=None, out=None, trust=False) == out
    assert {file.name for file in out.iterdir()} == {"00000.png", "00001.png", "grid.png", "interpolation.png", "mine.png"}
    given = tmp_path / "given"
    for n in (3, 2):  # a folder that the user names is the user's
        sample(done, n=n, seed=0, checkpoint=None, out=given, trust=False)
    assert (given / "00002.png").exists()


def test_a_checkpoint_is_found_by_its_name(points):
    assert checkpoint_of(points, "step-000000002.ckpt") == points.checkpoints / "step-000000002.ckpt"
    with pytest.raises(UserError, match=r"has step-000000002.ckpt, step-000000004.ckpt"):
        checkpoint_of(points, "step-000000003.ckpt")


def test_what_cannot_be_sampled_is_told(points, tmp_path):
    arguments = {"n": 1, "seed": 0, "checkpoint": None, "out": None, "trust": False}
    with pytest.raises(UserError, match="not a run directory"):
        sample(RunDirectory(tmp_path), **arguments)
    with pytest.raises(UserError, match="--n must be >= 1"):
        sample(points, **{**arguments, "n": 0})
    points.config_file.write_text(points.config_file.read_text().replace("width: 128", "width: 64"))
    with pytest.raises(UserError, match="does not fit its config"):
        sample(points, **arguments)


def test_foreign_code_in_a_run_directory_is_not_run_unasked(points):
    text = points.config_file.read_text()
    for own, foreign in (
        ("_target_: ganlab.networks.mlp.Generator", "_target_: torch.nn.Identity"),
        ("_target_: ganlab.networks.mlp.Generator", "_target_: ganlab.commands.sample.torch.load"),
        ("    width: 128", "    width: {_target_: builtins.print, _args_: [gotcha]}"),
    ):
        assert own in text
        points.config_file.write_text(text.replace(own, foreign, 1))
        with pytest.raises(UserError, match="--trust"):
            sample(points, n=1, seed=0, checkpoint=None, out=None, trust=False)


@pytest.mark.slow
def test_the_sample_command(points):
    done = Forked("ganlab", "sample", points.path, "--n", "5", cwd=points.path.parent).ended()
    assert done.returncode == 0
    assert done.stdout.strip().endswith("step-000000004-seed0")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sample", "x", "--classes", "3-7"], "argument --classes: give numbers from 0 on, as 3,7, and not 3-7"),
        (["sample", "x", "--trusst"], "unrecognized arguments: --trusst"),
        (["evaluate"], "the following arguments are required: RUN; `ganlab evaluate --help` says how it is used"),
        ([], "the following arguments are required: COMMAND; `ganlab --help` says how it is used"),
    ],
)
def test_a_word_that_a_command_does_not_have_is_told_in_one_sentence(words, told, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ganlab", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert (said := capsys.readouterr().err).startswith(f"ganlab: error: {told}")
    assert said.count("\n") == 1


def test_a_place_that_cannot_be_used_is_told_with_the_key_that_names_another(monkeypatch):
    error = FileNotFoundError(2, "No such file or directory", "/nowhere/x")
    for argv, advice in (
        (["ganlab", "sample", "run", "--out", "/nowhere/x"], "; name another place with --out"),
        (["ganlab", "sample", "run", "--out=/nowhere/x"], "; name another place with --out"),
        (["ganlab", "figures", "run"], ""),
        (["train.py", "runs=/nowhere/x"], "; run directories go to runs=PATH"),
    ):
        monkeypatch.setattr(sys, "argv", argv)
        assert mistake(error, composing=False) == f"cannot use /nowhere/x: No such file or directory{advice}"
