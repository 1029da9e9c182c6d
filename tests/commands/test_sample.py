"""`ganlab sample`: a checkpoint in place of a run, a film of a walk, truncation, and the dtype of the run."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from ganlab.commands.evaluate import EvaluationRequest, evaluate
from ganlab.commands.sample import meant_by, sample
from ganlab.commands.truncation import truncated
from ganlab.commands.walk import LEGS, path
from ganlab.errors import UserError
from ganlab.files.saved import read_plain
from ganlab.game.priors import Coded, Normal, Uniform
from ganlab.networks.stylegan2 import Generator
from ganlab.networks.told import OneHot
from ganlab.precision import computed_in
from ganlab.random import generator_of
from ganlab.run.config import build

TINY = ("metrics=none", "theory=none", "iterations=2", "model.G.width=8", "model.D.width=8")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_checkpoint_is_read_with_the_run_around_it(run, tmp_path, monkeypatch):
    done = run(*TINY, "checkpoint.every=1")
    first, second = sorted(done.checkpoints.glob("*.ckpt"))
    found, checkpoint = meant_by(str(first), None)
    assert (found.path, checkpoint) == (done.path, first)
    assert meant_by(str(done.path), None)[1] == second
    monkeypatch.chdir(done.checkpoints)
    assert meant_by(first.name, None)[0].path.resolve() == done.path.resolve()
    with pytest.raises(UserError, match="are two checkpoints"):
        meant_by(str(first), second.name)
    others = f"{first.name}, {second.name}"
    for given in (("nowhere.ckpt", None), (str(done.path), "nowhere.ckpt")):
        with pytest.raises(UserError, match=rf"nowhere\.ckpt: there is no such file; its folder has {others}$"):
            meant_by(*given)
    alone = tmp_path / "away" / "alone.ckpt"
    alone.parent.mkdir()
    first.rename(alone)
    with pytest.raises(UserError, match="leave it in checkpoints/ of its run"):
        meant_by(str(alone), None)


def test_a_truncated_normal_has_the_law_of_one_that_is_drawn_again():
    psi, n = 0.7, 200_000
    z = Normal(1).truncated(psi).sample(n, seeded()).flatten().double()
    again = Normal(1).sample(4 * n, seeded(1)).flatten().double()
    again = again[again.abs() <= psi]
    assert z.abs().max() <= psi
    phi = math.exp(-(psi**2) / 2) / math.sqrt(2 * math.pi)
    variance = 1 - 2 * psi * phi / math.erf(psi / math.sqrt(2))  # in closed form
    assert abs(z.square().mean() - variance) < 4 * z.square().std() / math.sqrt(n)
    both = torch.cat([z, again]).sort().indices < n  # Kolmogorov and Smirnov: p about 1e-4
    gap = both.cumsum(0) / n - (~both).cumsum(0) / len(again)
    assert gap.abs().max() < 2.2 * math.sqrt(1 / n + 1 / len(again))


def test_a_truncated_prior_keeps_the_order_of_its_seed_and_its_code():
    z, near = (prior.sample(50, seeded()) for prior in (Normal(3), Normal(3).truncated(0.5)))
    assert torch.equal(z.flatten().argsort(), near.flatten().argsort())
    assert_close(Normal(3).truncated(9.0).sample(50, seeded()), z, rtol=1e-5, atol=1e-6)
    coded = Coded(3, 4, 2)
    z, near = (prior.sample(50, seeded()) for prior in (coded, coded.truncated(0.5)))
    assert torch.equal(z[:, 3:], near[:, 3:])
    assert z[:, :3].abs().max() > 0.5 >= near[:, :3].abs().max()


def styled(told=None):
    G = Generator([1, 16, 16], z_dim=4, width=4, w_dim=5, depth=2, mixing=0.9, told=told).eval()
    for p in G.mapping.parameters():
        p.data.mul_(30)  # an untrained map is nearly constant
    return G


@computed_in("64-true")
@torch.no_grad()
@pytest.mark.parametrize("classes", [None, 3])
def test_w_goes_towards_its_mean(classes):
    torch.manual_seed(0)
    G, prior = styled(OneHot(3) if classes else None), Normal(4)
    z, y = prior.sample(6, seeded()), torch.arange(6) % 3
    whole, half, none = (truncated(G, prior, psi, classes)[0](z, y) for psi in (1.0, 0.5, 0.0))
    assert_close(whole, G(z, y))
    w = G.style(prior.sample(10_000, generator_of(0, "mean style")), torch.full((10_000,), 1)).mean(0)
    assert_close(half[1:2], G.drawn([(w + G.style(z, y)[1:2]) / 2]))
    assert_close(none[:3], none[3:])  # one sample of each class
    assert (none[0] - none[1]).abs().max() > 1e-4 or not classes
    assert (whole[0] - none[0]).abs().max() > 1e-3


def test_truncation_is_refused_where_it_means_nothing():
    G = torch.nn.Identity()
    with pytest.raises(UserError, match=r"--truncate 0.5: a uniform prior has no rarer part"):
        truncated(G, Uniform(2), 0.5, None)
    with pytest.raises(UserError, match="must be > 0"):
        truncated(G, Normal(2), 0.0, None)
    with pytest.raises(UserError, match="it is a share, from 0"):
        truncated(styled(), Normal(4), 1.5, None)


def test_a_walk_is_closed_even_and_does_not_leave_the_prior():
    ends = Normal(2).sample(LEGS * 3, generator_of(5, "walk")).unflatten(0, (LEGS, 3))
    z = path(Normal(2), walks=3, frames=40, seed=5)
    assert_close(z[:: 40 // LEGS], ends)
    steps = (torch.cat([z[1:], z[:1]]) - z).norm(dim=2)  # the last one leads to the first
    assert steps.max() < 0.15 * math.pi * ends.norm(dim=2).max()
    assert path(Normal(2), walks=1, frames=7, seed=5).shape == (7, 1, 2)
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([-3.0, 1e-3])  # opposite ones
    between = Normal(2).interpolate(a, b, torch.linspace(0, 1, 11)).norm(dim=1)
    assert_close(between, torch.linspace(1, 3, 11), rtol=1e-4, atol=1e-4)


def test_a_film_shows_each_class_that_is_asked_for(run, tmp_path):
    done = run("data=polygons", "shape=[1,16,16]", *TINY, "model=dcgan", "prior.dim=4", "condition=concat", "batch_size=8")
    own = sample(done, 2, 0, None, None, False, classes=[2, 0])
    assert own.name.endswith("-classes2,0")
    out = sample(done, 2, 0, None, tmp_path / "some", False, classes=[2, 0], walk=6, truncate=0.5)
    every = sample(done, 2, 0, None, tmp_path / "every", False, walk=2)
    with Image.open(out / "walk.gif") as film, Image.open(every / "walk.gif") as four:
        assert film.n_frames == 6
        assert film.width == four.width
        assert 1.7 * film.height < four.height < 2 * film.height  # rows of classes: two, and all four
    with pytest.raises(UserError, match="--walk 1: a film needs 2 frames"):
        sample(done, 2, 0, None, tmp_path / "no", False, walk=1)
    with pytest.raises(UserError, match="--truncate and --with-D"):
        sample(done, 2, 0, None, tmp_path / "no", False, truncate=0.5, with_D="mh")
    assert not (tmp_path / "no").exists()


def test_a_film_of_points_moves(run, tmp_path, drawn):
    out = sample(run(*TINY), 5, 0, None, tmp_path / "out", False, walk=3)
    with Image.open(out / "walk.gif") as film:
        assert film.n_frames == 3


def test_what_was_trained_in_float64_is_sampled_and_scored_in_it(run, tmp_path):
    done = run(
        "trainer.precision=64-true", "iterations=3", "theory=none", "metrics.n=200", "metrics.every=3", "model.G.width=8"
    )
    out = sample(done, n=20, seed=0, checkpoint=None, out=tmp_path / "out", trust=False)
    x = np.loadtxt(out / "samples.csv", delimiter=",", skiprows=1)
    assert (x != x.astype(np.float32)).any()
    config = read_plain(done.config_file)
    state = torch.load(done.newest_checkpoint(), weights_only=True)["state_dict"]
    G = build(config["model"]["G"], "model.G").double().eval()
    G.load_state_dict({name.removeprefix("G_ema."): v for name, v in state.items() if name.startswith("G_ema.")})
    torch.set_default_dtype(torch.float64)
    try:
        z = build(config["prior"], "prior").sample(20, generator_of(0, "sample"))
    finally:
        torch.set_default_dtype(torch.float32)
    assert_close(torch.from_numpy(x), G(z, None).detach(), rtol=1e-12, atol=1e-12)
    (file,) = evaluate([done.path], EvaluationRequest())
    scores = read_plain(file)["scores"]
    assert {name: score["value"] for name, score in scores.items()} == {
        name: score["value"] for name, score in done.result["final"].items()
    }
    assert torch.get_default_dtype() is torch.float32
