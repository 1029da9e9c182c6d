"""Whole runs, small ones: counters, purity, resume, the run directory."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from conftest import composed
from outsiders import Noise

from ganlab.commands.sample import checkpoint_of, meant_by
from ganlab.errors import Diverged, UserError
from ganlab.files.run import RunDirectory, checkpoints
from ganlab.files.table import read
from ganlab.game.module import GAN
from ganlab.networks import mlp
from ganlab.run.build import game_of
from ganlab.run.config import resolve, validate
from ganlab.run.experiment import Experiment

TINY = ("model.G.width=8", "model.D.width=8", "metrics=none", "theory=none")


def newest(run):
    return torch.load(checkpoints(run.checkpoints)[-1], weights_only=True)


def assert_same_state(a, b):
    for part in ("state_dict", "optimizer_states"):
        left, right = (list(leaves(x[part])) for x in (a, b))
        assert len(left) == len(right) > 0
        assert all(torch.equal(torch.as_tensor(u), torch.as_tensor(v)) for u, v in zip(left, right, strict=True))


def leaves(tree):
    if isinstance(tree, dict):
        for value in tree.values():
            yield from leaves(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from leaves(value)
    elif isinstance(tree, torch.Tensor | int | float):
        yield tree


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("updates", ["alternating", "simultaneous"])
def test_global_step_is_the_iteration_for_every_k(run, k, updates):
    done = run(*TINY, "iterations=7", f"k={k}", f"updates={updates}", "log_every=1", "batch_size=16", "data=ring")
    assert newest(done)["global_step"] == 7
    rows = read(done.table_file)
    assert [row["iteration"] for row in rows] == list(range(1, 8))
    assert [row["d_steps"] for row in rows] == [k * t for t in range(1, 8)]
    assert [row["images"] for row in rows] == [k * 16 * t for t in range(1, 8)]
    steps = {state["step"].item() for net in newest(done)["optimizer_states"] for state in net["state"].values()}
    assert steps == {7.0, 7.0 * k}


def test_a_budget_in_images_is_one_in_iterations(run):
    done = run(*TINY, "images=1000", "k=2", "batch_size=100")
    assert done.result["iterations"] == 5
    assert done.result["images"] == 1000
    assert done.config["iterations"] == 5


def test_no_net_keeps_a_gradient_and_none_reaches_the_other(run, monkeypatch):
    """D's weights have no gradient after G's, and the reverse."""
    seen = []
    for name, own, other in (("D_gradient", "D", "G"), ("G_gradient", "G", "D")):
        original = getattr(GAN, name)

        def spy(gan, *arguments, original=original, own=own, other=other):
            assert all(p.grad is None for p in gan.parameters())
            original(gan, *arguments)
            seen.append(own)
            assert all(p.grad is not None for p in getattr(gan, own).parameters())
            assert all(p.grad is None for p in getattr(gan, other).parameters())

        monkeypatch.setattr(GAN, name, spy)
    run(*TINY, "iterations=2", "k=2")
    assert "".join(seen) == "DG" + "DDGDDG"  # the rehearsal first


@pytest.mark.slow
@pytest.mark.parametrize(
    "choices",
    [
        ("model=mlp", "penalty=gradient_penalty", "loss=wasserstein"),
        ("model=maxout", "model.G.width=8", "model.D.units=8", "penalty=r1", "updates=simultaneous"),
    ],
    ids=["gradient_penalty", "dropout"],
)
def test_an_interrupted_run_ends_bit_for_bit_where_an_uninterrupted_one_does(run, tmp_path, choices):
    choices = (*choices, "k=2", "ema_decay=0.9", "metrics=modes", "metrics.every=10", "log_every=5", "health.every=10",
               "theory.every=10", "theory.frames=0")  # fmt: skip
    run(*choices, "iterations=20", name="parts")
    run(*choices, "iterations=40", f"resume={tmp_path}/parts", name="parts")
    run(*choices, "iterations=40", "seed=0", name="whole")
    parts, whole = RunDirectory(tmp_path / "parts"), RunDirectory(tmp_path / "whole")
    assert_same_state(newest(parts), newest(whole))
    assert [drop_seconds(row) for row in read(parts.table_file)] == [drop_seconds(row) for row in read(whole.table_file)]
    assert parts.result["best"] == whole.result["best"]
    assert parts.result["seconds"] > read(parts.table_file)[3]["seconds"]  # goes on from the first part's


@pytest.mark.parametrize(
    "model",
    [
        ("model=dcgan", "penalty=r1"),  # BatchNorm
        ("model=sagan",),  # and power iterations in both nets
        ("model=stylegan2", "model.G.w_dim=4", "model.G.mixing=0.5", "penalty=[r1,path_length]", "penalty.r1.every=2"),
    ],
    ids=["dcgan", "sagan", "stylegan2"],
)
def test_images_with_statistics_and_flips_resume_bit_for_bit_across_epochs(run, tmp_path, model):
    from PIL import Image

    (tmp_path / "pictures").mkdir()
    for i in range(20):
        Image.effect_noise((16, 16), 90.0).save(tmp_path / "pictures" / f"{i}.png")
    data = ("data=images", f"data.source={tmp_path}/pictures", "shape=[1,16,16]", "data.flip=true", "batch_size=6", "k=2")
    choices = (*data, *model, "model.G.width=4", "model.D.width=4", "metrics=none", "updates=simultaneous")
    run(*choices, "iterations=7", name="parts")
    parts = run(*choices, "iterations=14", f"resume={tmp_path}/parts", name="parts")
    assert_same_state(newest(parts), newest(run(*choices, "iterations=14", name="whole")))


def drop_seconds(row):
    return str({name: value for name, value in sorted(row.items()) if name != "seconds"})  # as text, where nan is nan


@pytest.mark.slow
def test_looking_does_not_change_what_is_looked_at(run):
    """Scores, pictures, logging and checkpoints on or off: the same weights."""
    seen = run("metrics.every=3", "metrics.picture.every=4", "log_every=1", "checkpoint.every=5", "iterations=12", name="seen")
    unseen = run("metrics=none", "theory=none", "iterations=12", name="unseen")
    assert_same_state(newest(seen), newest(unseen))


def test_a_branch_starts_at_the_checkpoint_and_leaves_the_old_run_alone(run):
    old = run(*TINY, "iterations=6", "checkpoint.every=3", name="old")
    before = old.result_file.read_bytes()
    branch = run(*TINY, "iterations=8", f"resume={old.checkpoints}/step-000000003.ckpt", name="branch")
    straight = run(*TINY, "iterations=8", name="straight")
    assert_same_state(newest(branch), newest(straight))
    assert old.result_file.read_bytes() == before
    assert branch.result["resumed_from"].endswith("step-000000003.ckpt")


def test_a_damaged_checkpoint_is_passed_over(run, tmp_path):
    done = run(*TINY, "iterations=6", "checkpoint.every=2", name="parts")
    last = checkpoints(done.checkpoints)[-1]
    last.write_bytes(last.read_bytes()[:1000])
    run(*TINY, "iterations=8", f"resume={tmp_path}/parts", name="parts")
    assert done.result["resumed_from"].endswith("step-000000004.ckpt")
    assert_same_state(newest(done), newest(run(*TINY, "iterations=8", name="whole")))


def test_a_run_that_was_killed_after_its_last_checkpoint_still_gets_its_result(run, tmp_path):
    done = run("iterations=6", "metrics.every=3", "metrics.n=50", name="parts")
    before = done.result
    done.result_file.unlink()
    run("iterations=6", "metrics.every=3", "metrics.n=50", f"resume={tmp_path}/parts", name="parts")
    assert done.result["status"] == "completed"
    assert (done.result["iterations"], str(done.result["final"])) == (6, str(before["final"]))


def test_a_figure_that_fails_is_a_warning_and_not_the_end_of_the_run(run, monkeypatch):
    from ganlab.figures import pictures

    def broken(*_):
        raise RuntimeError("no font")

    monkeypatch.setattr(pictures, "curves", broken)
    assert run(*TINY, "iterations=2").result["status"] == "completed"


def test_when_all_checkpoints_are_damaged_the_run_does_not_silently_start_again(run, tmp_path):
    done = run(*TINY, "iterations=2", name="parts")
    checkpoints(done.checkpoints)[0].write_bytes(b"")
    with pytest.raises(UserError, match="damaged"):
        run(*TINY, "iterations=4", f"resume={tmp_path}/parts", name="parts")


def test_a_run_is_not_resumed_under_another_config(run, tmp_path):
    run(*TINY, "iterations=2", name="parts")
    with pytest.raises(UserError, match=re.escape("(optim.D.lr: 0.001 -> 0.1; k: 1 -> 2)")):
        run(*TINY, "iterations=4", "k=2", "optim.D.lr=0.1", f"resume={tmp_path}/parts", name="parts")


def test_a_run_without_checkpoints_is_not_begun_anew_in_its_place(run, tmp_path):
    done = run(*TINY, "iterations=2", name="parts")
    with pytest.raises(UserError, match=r"it has no config\.yaml; .*parts is one$"):
        meant_by(str(tmp_path), None)
    shutil.rmtree(done.checkpoints)
    with pytest.raises(UserError, match="is completed and has no checkpoint to go on from: start a new run"):
        run(*TINY, "iterations=4", f"resume={tmp_path}/parts", name="parts")
    with pytest.raises(UserError, match=r"has no checkpoint, and is completed: train it anew, with checkpoint\.every=N"):
        checkpoint_of(done, None)
    done.result_file.unlink()
    with pytest.raises(UserError, match="was trained with another config"):
        run(*TINY, "iterations=4", "k=2", f"resume={tmp_path}/parts", name="parts")
    assert run(*TINY, "iterations=4", f"resume={tmp_path}/parts", name="parts").result["iterations"] == 4


def test_the_newest_checkpoints_stay_and_no_half_written_file_does(run):
    done = run(*TINY, "iterations=10", "checkpoint.every=2", "checkpoint.keep=2")
    assert sorted(p.name for p in done.checkpoints.iterdir()) == ["step-000000008.ckpt", "step-000000010.ckpt"]


@pytest.mark.slow
def test_the_run_directory_is_what_the_docs_say(run):
    done = run("iterations=20", "metrics.every=10", "metrics.picture.every=10", "log_every=5", "metrics.n=100")
    with done.table_file.open() as file:
        header = next(csv.reader(file))
    assert header[:5] == ["iteration", "d_steps", "g_steps", "images", "seconds"]
    assert {name.split("/")[0] for name in header[5:]} == {"train", "eval", "theory", "health"}
    assert [p.name for p in sorted(done.samples.iterdir())] == [f"step-{t:09d}.png" for t in (0, 10, 20)]
    game = {"game.png", "game.gif", "figure1.png", "theory.png"}
    assert {p.name for p in done.figures.iterdir()} == {"curves.png", "samples.png", "training.gif", *game}
    assert done.theory.is_dir()
    assert yaml.safe_load(done.config_file.read_text())["data"]["modes"] == 8
    result = json.loads(done.result_file.read_text())
    assert result["status"] == "completed"
    assert {name for name in result["final"] if "/" not in name} == {"modes", "high_quality", "reverse_kl", "mode_jsd"}
    assert result["final"]["theory/C"]["value"] > -1.387
    assert result["final"]["modes"]["iteration"] == 20
    assert torch.__version__.startswith(result["versions"]["torch"])
    assert len([row for row in read(done.table_file) if row["iteration"] == 10]) == 1  # losses and scores share a row


def test_a_run_that_diverges_before_its_first_checkpoint_advises_what_can_work(run, monkeypatch, capfd):
    monkeypatch.setattr(GAN, "D_gradient", lambda gan, x, y, z, original=GAN.D_gradient: original(gan, x * float("nan"), y, z))
    with pytest.raises(Diverged):
        run(*TINY, "iterations=100", "log_every=5", "checkpoint.every=50")
    said = capfd.readouterr().out
    assert "next       it has no checkpoint of before: begin anew, with a smaller optim.lr or checkpoint.every=10" in said
    assert "rollback" not in said


class WithoutLabels(Noise):
    def sample(self, n, generator):
        return super().sample(n, generator)[0]


class HeadIsAMethod(mlp.Discriminator):
    def __init__(self, shape):
        super().__init__(shape, 4, 1, torch.nn.ReLU())
        self.last = self.head
        del self.head

    def head(self, features, y):
        return self.last(features, y)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("data=dirac", "data._target_=test_training.WithoutLabels", "shape=[3,16,16]"), "data gives no minibatch"),
        (("data=mixture2d", "condition=ac_gan", "~model.D", "+model.D._target_=test_training.HeadIsAMethod"),
         "how many features D has: give it a head that says so, as LinearHead"),
    ],
)  # fmt: skip
def test_what_a_class_of_ones_own_lacks_is_told(run, monkeypatch, overrides, told):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    with pytest.raises(UserError, match=told):
        run(*overrides, "iterations=2", "theory=none", "metrics=none")


def test_a_run_that_diverges_stops_says_so_and_keeps_a_good_checkpoint(run, tmp_path, monkeypatch):
    original = GAN.D_gradient

    def poisoned(gan, x, y, z):
        original(gan, x * (float("nan") if gan.t >= 12 else 1.0), y, z)

    monkeypatch.setattr(GAN, "D_gradient", poisoned)
    with pytest.raises(Diverged, match=r"between iterations 10 and 15: loss_D is nan; .* is step-000000010.ckpt"):
        run(*TINY, "iterations=100", "log_every=5", "checkpoint.every=5")
    done = RunDirectory(tmp_path / "run")
    assert done.result["status"] == "diverged"
    assert [p.name for p in checkpoints(done.checkpoints)] == ["step-000000005.ckpt", "step-000000010.ckpt"]
    assert all(torch.isfinite(v).all() for v in newest(done)["state_dict"].values())


def test_batchnorm_statistics_that_are_not_finite_are_not_saved(run, tmp_path, monkeypatch):
    """One poisoned minibatch of x can leave the weights alone and spoil the statistics."""
    from PIL import Image

    (tmp_path / "pictures").mkdir()
    for i in range(8):
        Image.effect_noise((16, 16), 90.0).save(tmp_path / "pictures" / f"{i}.png")
    original = GAN.D_step

    def poisoned(gan):
        original(gan)
        if gan.t == 5:
            next(buffer for name, buffer in gan.D.named_buffers() if "running_var" in name).fill_(float("inf"))

    monkeypatch.setattr(GAN, "D_step", poisoned)
    data = ("data=images", f"data.source={tmp_path}/pictures", "shape=[1,16,16]", "batch_size=4", "model=dcgan")
    done = run(*data, "model.G.width=4", "model.D.width=4", "metrics=none", "iterations=6", "checkpoint.every=2")
    assert checkpoints(done.checkpoints)[-1].name == "step-000000004.ckpt"


def test_a_failing_run_leaves_a_result_that_says_so(run, tmp_path, monkeypatch):
    original = GAN.G_gradient

    def broken(gan, *arguments):
        if gan.t:  # and not when it is rehearsed
            raise RuntimeError("broken on purpose")
        original(gan, *arguments)

    monkeypatch.setattr(GAN, "G_gradient", broken)
    with pytest.raises(RuntimeError, match="on purpose"):
        run(*TINY, "iterations=3")
    result = RunDirectory(tmp_path / "run").result
    assert (result["status"], result["error"]) == ("failed", "RuntimeError: broken on purpose")


def test_the_average_follows_g(run):
    """ema_decay = 0 is G itself; otherwise the recursion, batchnorm statistics copied."""
    state = newest(run(*TINY, "iterations=3", "ema_decay=0.0", name="off"))["state_dict"]
    of_G = [name for name in state if name.startswith("G.")]
    assert len(of_G) > 4
    assert all(torch.equal(state[name], state[name.replace("G.", "G_ema.", 1)]) for name in of_G)

    gan = game_of(validate(resolve(composed(*TINY, "ema_decay=0.75", path=RunDirectory("x").path))))
    from ganlab.networks.weights import follower

    old = [p.clone() for p in gan.G_ema.parameters()]
    with torch.no_grad():
        for p in gan.G.parameters():
            p.add_(1.0)
    follower(gan.G_ema, gan.G)(0.25)
    for before, now in zip(old, gan.G_ema.parameters(), strict=True):
        torch.testing.assert_close(now, before + 0.25)


def test_a_ramp_of_two_averages_all_iterations_alike(run):
    done = run(*TINY, "iterations=3", "checkpoint.every=1", "ema_decay=0.999", "ema_ramp=2")
    first, second, third = (
        torch.load(path, weights_only=True)["state_dict"] for path in sorted(done.checkpoints.glob("*.ckpt"))
    )
    of_G = [name for name in first if name.startswith("G.")]
    assert len(of_G) > 4
    for name in of_G:
        average = name.replace("G.", "G_ema.", 1)
        initial = 2 * first[average] - first[name]  # of the average after one iteration it is one half
        expected = (initial + first[name] + second[name] + third[name]) / 4
        torch.testing.assert_close(third[average], expected)


def test_a_batch_that_cannot_be_shared_or_filled_is_refused(tmp_path):
    cfg = composed("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "batch_size=127", path=tmp_path)
    with pytest.raises(UserError, match="batch_size = 127 cannot be shared by 2 processes"):
        Experiment(validate(resolve(cfg)), RunDirectory(tmp_path), {}, 0)
