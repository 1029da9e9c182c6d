"""What the seams of the step are for: parts of one's own that the house knows nothing of."""

import math

import pytest
import torch
from conftest import ROOT
from outsiders import Exponential, LeCam

from ganlab.errors import UserError
from ganlab.files.table import read
from ganlab.theory.optimum import expected_d
from ganlab.types import Cells

SMALL = ("model.G.width=16", "model.D.width=16", "metrics=none", "theory=none", "log_every=1", "iterations=40",
         "checkpoint.every=10")  # fmt: skip
CONDITIONAL = ("model.G._target_=outsiders.ConditionalGenerator", "model.D.width=32", "theory=none", "log_every=1")


@pytest.fixture(autouse=True)
def outside(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests")


def state(run):
    return torch.load(run.newest_checkpoint(), weights_only=True)["state_dict"]


def test_a_relativistic_loss_trains_and_starts_at_log_2(run):
    done = run("loss={_target_: outsiders.RelativisticPair}", *SMALL)
    rows = read(done.table_file)
    assert (rows[0]["train/loss_D"], rows[0]["train/loss_G"]) == pytest.approx((0.6931, 0.6931), abs=0.05)
    assert min(row["train/loss_D"] for row in rows) < 0.68  # D has learnt to tell them apart


def test_a_lazy_penalty_has_state_that_a_checkpoint_holds(run, tmp_path):
    lecam = ("+penalty.lecam={_target_: outsiders.LeCam, weight: 0.1, every: 4}", "penalty=r1", *SMALL)
    whole = run(*lecam, name="whole")
    assert state(whole)["terms.lecam.real"].abs() > 0
    run(*lecam, "iterations=20", name="parts")
    parts = run(*lecam, f"resume={tmp_path}/parts", name="parts")
    assert all(torch.equal(value, state(parts)[name]) for name, value in state(whole).items())
    values = [row["train/penalty_lecam"] for row in read(whole.table_file)]
    assert len(set(values)) == 10  # in 40 iterations, and what it was in between
    assert all(len(set(values[i : i + 4])) == 1 for i in range(0, 40, 4))
    assert [row["train/penalty_lecam"] for row in read(parts.table_file)] == values


def test_an_average_follows_what_d_has_said():
    term, seen = LeCam(1.0, decay=0.5), type("Seen", (), {"on_x": torch.tensor([2.0, 4.0]), "on_fake": torch.tensor([-1.0])})
    term.after_step(None, seen)
    term.after_step(None, seen)
    assert (term.real.item(), term.fake.item()) == (2.25, -0.75)


def test_an_auxiliary_classifier_gives_each_class_its_mode(run):
    objective = "objective={_target_: outsiders.AuxiliaryClassifier}"
    choices = (objective, *CONDITIONAL, "iterations=1500", "metrics.picture=null", "log_every=50", "health.every=750")
    done = run(*choices, "data.modes=4", "optim.lr=2e-3", "metrics.every=1500")
    assert done.config["model"]["G"]["classes"] == 4  # from the data
    from ganlab.commands.sample import generator

    G, prior = generator(done.config, done.newest_checkpoint(), trust=True)
    y = torch.arange(4).repeat_interleave(250)
    with torch.no_grad():
        x = G(prior.sample(1000, torch.Generator().manual_seed(0)), y)
    angle = 2 * torch.pi * torch.arange(4) / 4
    nearest = torch.cdist(x, torch.stack([angle.cos(), angle.sin()], 1)).argmin(1)
    assert (nearest == y).float().mean() > 0.9


def test_a_conditional_g_is_sampled_with_the_labels_of_the_data_by_every_command(run, tmp_path):
    from ganlab.commands.sample import labels, sample

    done = run("objective={_target_: outsiders.AuxiliaryClassifier}", *CONDITIONAL, "iterations=2", "metrics.n=50")
    assert labels(done.config, 400, seed=0).unique().tolist() == list(range(8))
    out = sample(done, n=20, seed=0, checkpoint=None, out=tmp_path / "out", trust=True)
    assert len((out / "samples.csv").read_text().splitlines()) == 21
    again = run("objective={_target_: outsiders.AuxiliaryClassifier}", *CONDITIONAL, "iterations=4", f"resume={done.path}")
    assert again.result["iterations"] == 4


def test_a_term_of_g_pulls_samples_to_their_noise(run):
    pull = ("+penalty.transport={_target_: outsiders.Transport, weight: 100.0}", "augment=none")
    drift = {}
    for name, more in (("free", ()), ("pulled", pull)):
        done = run(*more, *SMALL, "iterations=300", "log_every=10", "ema_decay=0", name=name)
        from ganlab.commands.sample import generator

        if more:  # only the term itself knows whether it hung something on G
            with pytest.raises(UserError, match="pass --trust"):
                generator(done.config, done.newest_checkpoint())
        G, prior = generator(done.config, done.newest_checkpoint(), trust=True)
        z = prior.sample(500, torch.Generator().manual_seed(0))
        with torch.no_grad():
            drift[name] = (G(z, z) - z).square().sum(1).mean().item()
        assert ("train/penalty_G" in read(done.table_file)[0]) == (name == "pulled")
    assert drift["pulled"] < 0.2 * drift["free"]


def test_a_d_in_one_piece_goes_on_too(run, tmp_path):
    own = ("model.D={_target_: outsiders.Unstackable}", "~model.D.width", "~model.D.depth", "~model.D.activation")
    small = (*own, "model.G.width=8", "metrics=none", "theory=none")
    run(*small, "iterations=3", name="parts")
    parts = run(*small, "iterations=6", f"resume={tmp_path}/parts", name="parts")
    whole = run(*small, "iterations=6", name="whole")
    assert all(torch.equal(value, state(parts)[name]) for name, value in state(whole).items())


def test_a_loss_from_outside_trains_is_adjusted_and_has_its_optimum(run):
    p, q = torch.tensor([0.2, 0.8], dtype=torch.float64), torch.tensor([0.5, 0.5], dtype=torch.float64)
    cells, loss = Cells(torch.zeros(2, 1), p.log(), q.log()), Exponential()
    best = loss.optimal(cells).requires_grad_(True)
    (slope,) = torch.autograd.grad(expected_d(loss, best, cells), best)
    assert slope.abs().max() < 1e-12
    done = run("loss={_target_: outsiders.Exponential}", "adjust=[label_smoothing,top_k]", "penalty=[r1,lecam]", *SMALL)
    assert done.result["status"] == "completed"
    assert all(math.isfinite(row["train/loss_D"]) for row in read(done.table_file))
