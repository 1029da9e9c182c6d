"""What does not fit together is a sentence about a key before anything is written, and looking for it changes nothing."""

import time

import numpy as np
import pytest
import torch
from conftest import composed, runs_in, same_state
from torch import nn

from ganlab.errors import LONGEST, UserError, brief, prose
from ganlab.files.checkpoint import read_checkpoint
from ganlab.files.run import RunDirectory
from ganlab.game.terms import Term
from ganlab.run.build import settings_of
from ganlab.run.config import resolve, validate
from ganlab.run.experiment import Experiment, rehearse
from ganlab.run.rehearsal import tried

SMALL = ("logger=csv", "model.G.width=8", "model.D.width=8", "metrics=none", "theory=none")


class OddLoss:
    def d(self, real, fake):
        return (fake - real).mean()

    def g(self, fake):
        return -fake.mean()


class LossOfRows(OddLoss):
    def g(self, fake, real):
        return -fake


class Flat(nn.Module):
    """[B, 1] in place of [B]."""

    def __init__(self, shape: list[int]) -> None:
        super().__init__()
        self.net = nn.Linear(shape[0], 1)

    def forward(self, x, y):
        return self.net(x)


class Wide(nn.Module):
    def __init__(self, z_dim: int) -> None:
        super().__init__()
        self.net = nn.Linear(z_dim, 1)

    def forward(self, z, y):
        return self.net(z)  # broadcasts against [B, 2]


class Broken(Term):
    def forward(self, seen):
        return seen.on_x @ torch.zeros(3)


class Training(Term):
    """Fails in the first iteration, and is no ValueError."""

    def forward(self, seen):
        raise KeyError("nothing there")


SCHEDULES = "ganlab.game.schedules"
HERE, BARE = "test_rehearsal", "~model.{0}.width ~model.{0}.depth ~model.{0}.activation"
MISFITS = {
    "+model.G.z_dim=3": "model.G: addmm: mat1 and mat2 shapes cannot be multiplied (128x2 and 3x8); prior.dim is 2",
    "+model.D.shape=[3]": "model.D:",
    f"loss._target_={HERE}.OddLoss": "loss.g: ",
    f"loss._target_={HERE}.LossOfRows": "loss.g: it gives [128], and not one number",
    f"model.D._target_={HERE}.Flat {BARE.format('D')}": "model.D gives [128, 1] for 128 inputs: it has to give one number",
    f"model.G._target_={HERE}.Wide {BARE.format('G')}": "model.",
    f"+penalty.own._target_={HERE}.Broken": "penalty.own: ",
    f"+penalty.own._target_={HERE}.Training": "penalty.own: KeyError",
    "loss._target_=abc": "loss._target_ = abc is no class and no function",
    "loss._target_=int": "loss._target_ = int",
    "loss._target_=torch.tensor": "loss._target_ = torch.tensor",
    "schedule.G={_target_:fractions.Fraction}": "schedule.G",
    f"iterations=20 schedule.D._target_={SCHEDULES}.Steps +schedule.D.values=[1,-1,1] +schedule.D.at=[5,8]": (
        "schedule.D gives -1.0 at iteration 5: it has to be finite and not negative"
    ),
    f"iterations=20 optim=sgd schedule.momentum={{_target_:{SCHEDULES}.Linear,start:0.5,end:1.5,iterations:4}}": (
        "schedule.momentum gives 1.0 at iteration 2: it has to lie in 0..1, 1 excluded"
    ),
    "model.G.width=true": "model.G.width = true",
    "optim=sgd optim.momentum=5": "optim.momentum = 5",
    "optim=rmsprop +optim.G.alpha=2": "optim.G.alpha = 2: it has to lie in 0..1",
    "ema_ramp=inf": "ema_ramp = inf: a number has to be finite",
    "data.radius=nan": "data.radius = nan",
    "optim.lr='nan'": "optim.lr = 'nan'",
    "optim.betas=[true,0.9]": "optim.betas",
    "model.D.activation.negative_slope=-3": "model.D.activation.negative_slope = -3",
    "name=a/b": "name = 'a/b': it names a directory",
    "shape=[]": "shape = []",
    "health.n=1": "health.n = 1",
    "model.G.width=200000": "model.G: ",
}


def test_a_sentence_that_is_too_long_loses_whole_words_of_its_middle():
    words = [f"word{i}" for i in range(60)]
    first, last = (part.split() for part in brief(" ".join(words)).split(" ... "))
    assert [*first, *last] == words[: len(first)] + words[-len(last) :]
    assert LONGEST - 2 * len(" word59") < len(brief(" ".join(words))) <= LONGEST
    assert len(brief("x" * 500)) <= LONGEST
    assert len(brief("name = " + "a/" * 5000)) <= LONGEST
    assert brief(" ".join(words[:20])) == " ".join(words[:20])
    deep = f"weights are not at {'/a-long-name' * 30}/weights.pt: put them there, or give features.path=PATH"
    assert brief(deep) == deep  # what somebody has to copy is whole, wherever they work


@pytest.mark.parametrize("overrides", MISFITS)
def test_a_misfit_is_a_sentence_about_a_key(tmp_path, overrides):
    own = overrides.split()
    given = [*(one for one in SMALL if f"~{one.partition('=')[0]}" not in own), *own]
    with pytest.raises(UserError) as caught:
        rehearse(settings_of(composed(*given, path=tmp_path), given), tmp_path, {}, False)
    assert MISFITS[overrides] in brief(str(caught.value))
    assert prose(brief(str(caught.value))) <= LONGEST


def test_a_rehearsal_changes_nothing_and_takes_no_time(tmp_path):
    cfg = composed(*SMALL, "penalty=r1", "schedule=cosine", "ema_decay=0.9", "optim=sgd", path=tmp_path)
    experiment = Experiment(validate(resolve(cfg)), RunDirectory(tmp_path / "run"), {}, 0)
    gan, settings = experiment.gan, experiment.settings
    before = {name: value.clone() for name, value in gan.state_dict().items()}
    drawn = torch.get_rng_state(), np.random.get_state()[1].copy()
    began = time.perf_counter()
    tried(gan, experiment.source, settings, experiment.trainer, None)
    assert time.perf_counter() - began < 0.5
    assert same_state(before, gan.state_dict())
    assert all(p.grad is None for p in gan.parameters())
    assert (gan.t, gan.opt_G.state, gan.opt_D.state) == (0, {}, {})
    assert torch.equal(torch.get_rng_state(), drawn[0])
    assert np.array_equal(np.random.get_state()[1], drawn[1])
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_other_networks_is_refused_before_anything_is_written(tmp_path):
    run = runs_in(tmp_path)
    one, other = (run(*SMALL[:1], f"model.G.width={width}", *SMALL[2:], "iterations=2", name=str(width)) for width in (8, 9))
    other.newest_checkpoint().replace(one.checkpoints / "step-000000009.ckpt")
    before = one.result_file.read_bytes()
    with pytest.raises(UserError, match="is not of these networks and optimizers"):
        run(*SMALL, "iterations=20", f"resume={one.path}", name="8")
    assert one.result_file.read_bytes() == before
    assert read_checkpoint(one.checkpoints / "step-000000002.ckpt")["iteration"] == 2
