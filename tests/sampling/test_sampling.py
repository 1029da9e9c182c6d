"""Sampling with D: by the exact D of two known laws what comes out is p_data; and what a calibration makes of other Ds."""

import json
import math

import numpy as np
import pytest
import scipy.stats
import torch
from conftest import ROOT, runs_in
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from torch.testing import assert_close

from ganlab.commands.evaluate import EvaluationRequest, evaluate
from ganlab.commands.sample import sample
from ganlab.data.line import Line
from ganlab.errors import UserError
from ganlab.files.run import RunDirectory
from ganlab.game.priors import Normal, Uniform
from ganlab.random import generator_of
from ganlab.sampling.calibration import AsIs, Calibration, Isotonic, Logistic, bins_z, brier, dawid_z, log_loss, measures
from ganlab.sampling.judged import Judged, Sampler
from ganlab.sampling.langevin import Langevin
from ganlab.sampling.metropolis import Metropolis, moves
from ganlab.sampling.rejection import Rejection, log_acceptance

A, B = 1.6, 0.4  # G(z) = A z + B
N = 4000
SAMPLERS = {"rejection": Rejection(2000, None, 100), "mh": Metropolis(30), "langevin": Langevin(60, 0.3, True)}
PRIORS = {"normal": Normal(1), "uniform": Uniform(1, -3.0, 3.0)}


def on_the_line(prior=PRIORS["normal"], sharpness=1.0):
    """data=line, N(0, 1), against G(z) = A z + B, judged by the exact D*; or by one that is too sure, by a factor."""
    source = Line("norm", loc=0.0, scale=1.0)

    def log_prior(z):
        return prior.coordinate.log_prob(z.double()).sum(1)

    def propose(n, generator):
        return prior.sample(n, generator).double(), torch.zeros(n, dtype=torch.long)

    def D(x):
        log_p = -0.5 * (x.square().sum(1) + math.log(2 * math.pi))  # with a gradient, which scipy's has not
        assert_close(log_p.detach(), source.log_prob(x.detach()), rtol=1e-6, atol=1e-6)
        return sharpness * (log_p - log_prior((x - B) / A) + math.log(A))

    real = D(source.sample(N, generator_of(0, "real"))[0].double())
    return source, Judged(propose, lambda z, y: D(A * z + B), log_prior, real)


def law(source, x, cells=20):
    """The p-values that x [n, 1] are of the source, by Kolmogorov and Smirnov's test, and by chi-square of equal cells."""
    ks = scipy.stats.kstest(x.flatten().numpy(), lambda t: source.cdf(torch.from_numpy(np.asarray(t))).numpy()).pvalue
    edges = source.quantile(torch.arange(1, cells, dtype=torch.float64) / cells)
    counts = torch.bincount(torch.searchsorted(edges, x.flatten()), minlength=cells)
    return ks, scipy.stats.chisquare(counts.numpy()).pvalue


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("name", SAMPLERS)
def test_with_the_exact_D_what_is_sampled_has_the_law_of_the_data(name, prior):
    source, judged = on_the_line(PRIORS[prior])
    z, _, about = SAMPLERS[name](judged, N, generator_of(1, "line"))
    assert z.shape == (N, 1)
    assert min(law(source, A * z + B)) > 0.01
    assert max(law(source, A * judged.propose(N, generator_of(1, "line"))[0] + B)) < 1e-10  # G's own are told from them
    assert 0 < about["accepted"] <= 1


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_D_that_is_twice_too_sure_is_found_out(name):
    """The tests above can fail: odds squared give another law."""
    source, judged = on_the_line(sharpness=2.0)
    z, *_ = SAMPLERS[name](judged, N, generator_of(1, "line"))
    assert min(law(source, A * z + B)) < 1e-6


def test_rejection_keeps_as_many_as_it_should():
    """P(keep) = E_g p_data / (p_g M) = 1 / M."""
    _, judged = on_the_line()
    *_, about = Rejection(20_000, None, 100)(judged, 20_000, generator_of(0, "share"))
    top = about["top"]
    highest = judged.logit(torch.linspace(-6, 6, 100_001, dtype=torch.float64)[:, None], None).max().item()
    assert highest - 1e-3 < top <= highest
    error = 3 * math.sqrt(math.exp(-top) * (1 - math.exp(-top)) / (20_000 * math.exp(top)))
    assert abs(about["accepted"] - math.exp(-top)) < error


def test_log_acceptance_is_the_papers_and_without_a_shift_the_ratio():
    logit = torch.tensor([-30.0, -2.0, 0.5, 1.0], dtype=torch.float64)
    assert_close(log_acceptance(logit, logit.max()), logit - 1.0)
    ratio = (logit[:3] - 1).exp()
    assert_close(log_acceptance(logit[:3], logit.max(), 0.7), torch.sigmoid((ratio / (1 - ratio)).log() - 0.7).log())
    assert log_acceptance(logit, logit.max(), -50.0).min() > math.log(0.99)


def test_a_percentile_keeps_more_than_the_ratio_or_less():
    _, judged = on_the_line()
    shares = [Rejection(2000, p, 100)(judged, 500, generator_of(0, "share")).about["accepted"] for p in (5.0, None, 95.0)]
    assert shares[0] > shares[1] > shares[2]


def test_where_D_agrees_to_nothing_it_is_said():
    judged = on_the_line()[1]
    seldom = judged._replace(logit=lambda z, y: torch.where(torch.arange(len(z)) == 0, 0.0, -40.0).double())
    with pytest.raises(ValueError, match=r"kept \d of 300 proposals: raise most=3, give percentile=80, or take mh"):
        Rejection(100, None, 3)(seldom, 100, generator_of(0, "seldom"))


def test_a_chain_moves_by_the_ratio_of_odds():
    current, proposed = torch.tensor([0.0, 1.0, 1.0]).double(), torch.tensor([2.0, 1.0 + math.log(0.3), -40.0]).double()
    D, D_new = torch.sigmoid(current), torch.sigmoid(proposed)
    alpha = ((1 / D - 1) / (1 / D_new - 1)).clamp(max=1)
    assert moves(current, proposed, alpha * (1 - 1e-6)).tolist() == [True, True, True]
    assert moves(current, proposed, alpha * (1 + 1e-6)).tolist() == [True, False, False]  # u > 1 never is


def test_a_chain_that_never_leaves_the_data_begins_again_at_a_sample():
    source, judged = on_the_line()
    far = judged._replace(real=judged.real + 50)  # no sample of G can compete
    z, _, about = Metropolis(30)(far, 1000, generator_of(1, "line"))
    assert about["never_moved"] == 1
    assert min(law(source, A * z + B)) > 0.01


def test_langevin_without_acceptance_is_biased_by_its_step():
    """The stationary variance of steps of size s on N(0, 1) is 1 / (1 - s / 4)."""
    judged = on_the_line()[1]._replace(logit=lambda z, y: 0 * z.sum(1).double())
    variance = [Langevin(60, 1.0, how)(judged, 20_000, generator_of(0, "bias")).z.var().item() for how in (True, False)]
    assert abs(variance[0] - 1) < 0.03
    assert abs(variance[1] - 4 / 3) < 0.04


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_seed_decides_all_and_the_sampler_has_no_state(name):
    judged = on_the_line()[1]
    first, again, other = (SAMPLERS[name](judged, 50, generator_of(seed, "seed")).z for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


# Calibration


def logits(n=20_000, separation=1.5, seed=0):
    """The exact logits of N(+s/2, 1) (real) against N(-s/2, 1): logit D*(x) = s x."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, n, generator=generator, dtype=torch.float64) + separation / 2 * torch.tensor([[1.0], [-1.0]])
    return [*(separation * x)]


def test_measures_are_their_definitions():
    real, fake = torch.tensor([0.0, 2.0]).double(), torch.tensor([-1.0, 3.0]).double()
    p, y = torch.sigmoid(torch.cat([real, fake])), torch.tensor([1.0, 1, 0, 0]).double()
    assert brier(real, fake) == pytest.approx((p - y).square().mean().item())
    assert log_loss(real, fake) == pytest.approx(-(y * p.log() + (1 - y) * (1 - p).log()).mean().item())
    assert dawid_z(real, fake) == pytest.approx(((y - p).sum() / (p * (1 - p)).sum().sqrt()).item())
    assert [brier(0 * real, fake * 0), log_loss(0 * real, 0 * fake)] == pytest.approx([0.25, math.log(2)])


def test_z_of_a_calibrated_D_is_standard_normal_and_narrower_where_there_are_as_many_of_either():
    tossed, fixed = [], []
    for seed in range(300):
        real, fake = logits(700, seed=seed)
        n = int(torch.empty(1000).bernoulli_(0.5, generator=generator_of(seed, "coins")).sum())
        tossed.append(dawid_z(real[:n], fake[: 1000 - n]))
        fixed.append(dawid_z(real[:500], fake[:500]))
    for found, least, most in ((tossed, 0.9, 1.1), (fixed, 0.5, 0.75)):
        assert abs(np.mean(found)) < 3 * np.std(found) / 300**0.5
        assert least < np.std(found) < most


def test_z_of_tenths_sees_a_D_that_is_too_sure_where_z_does_not():
    real, fake = logits()
    assert bins_z(real, fake) < 3.5
    assert abs(dawid_z(2 * real, 2 * fake)) < 3
    assert bins_z(2 * real, 2 * fake) > 10


@pytest.mark.parametrize("kind", [Logistic, Isotonic])
def test_a_calibration_undoes_what_was_done_to_the_logit(kind):
    real, fake = logits()
    held = logits(seed=1)
    distorted = [2.5 * part + 1 for part in held]
    calibration = kind()
    calibration.fit(2.5 * real + 1, 2.5 * fake + 1)
    after = [calibration(part) for part in distorted]
    assert abs(dawid_z(*distorted)) > 10
    assert abs(dawid_z(*after)) < 3
    assert bins_z(*after) < 6 < 30 < bins_z(*distorted)  # fitted to no more examples than measure it
    assert brier(*after) < brier(*distorted)
    assert brier(*after) == pytest.approx(brier(*held), abs=0.001)
    grid = torch.linspace(-6, 6, 200).double()
    assert (calibration(grid).diff() >= 0).all()


def test_logistic_is_that_of_scikit_learn_and_stays_finite_where_all_are_told_apart():
    real, fake = logits()
    found, theirs = Logistic(), LogisticRegression(C=math.inf, tol=1e-8)
    found.fit(2.5 * real + 1, 2.5 * fake + 1)
    theirs.fit(2.5 * torch.cat([real, fake]).numpy()[:, None] + 1, np.repeat([1, 0], len(real)))
    assert (found.a, found.b) == pytest.approx((theirs.coef_.item(), theirs.intercept_.item()), abs=1e-3)
    apart = Logistic()
    apart.fit(torch.arange(1.0, 11), -torch.arange(1.0, 11))
    assert 0 < apart.a < 50
    assert apart(torch.tensor([10.0])).item() > math.log(11)
    alike = Logistic()
    alike.fit(torch.ones(5), torch.ones(5))
    assert torch.sigmoid(alike(torch.ones(1))).item() == pytest.approx(0.5)


def test_isotonic_is_that_of_scikit_learn_within_what_its_examples_can_say():
    real, fake = logits(300)
    real, fake = real.round(decimals=1), fake.round(decimals=1)  # equal outputs
    ours, theirs = Isotonic(), IsotonicRegression(y_min=1 / 301, y_max=300 / 301, out_of_bounds="clip")
    ours.fit(real, fake)
    theirs.fit(torch.cat([real, fake]).numpy(), np.repeat([1, 0], 300))
    grid = torch.linspace(-9, 9, 500).double()
    np.testing.assert_allclose(torch.sigmoid(ours(grid)).numpy(), theirs.predict(grid.numpy()), atol=1e-9)


def test_the_parts_are_what_they_are_taken_for():
    assert all(isinstance(each, Sampler) for each in SAMPLERS.values())
    assert all(isinstance(each(), Calibration) for each in (AsIs, Logistic, Isotonic))
    assert set(measures(*logits(50))) == {"brier", "log_loss", "z", "z_of_tenths"}
    for wrong in (lambda: Rejection(0, None, 1), lambda: Rejection(1, 101, 1), lambda: Langevin(1, 0.0, True)):
        with pytest.raises(ValueError, match="must"):
            wrong()


# Of a run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    torch.set_num_threads(1)
    small = ("iterations=30", "metrics.n=64", "metrics.picture=null", "theory=none", "penalty=spectral_norm")
    return runs_in(tmp_path_factory.mktemp("with_D"))(*small, "model.G.width=16", "model.D.width=16").path


FEW = {"rejection": ("sampler.most=100000",), "mh": ("sampler.K=5",), "langevin": ("sampler.K=5",)}
CHOICES = sorted(path.stem for path in (ROOT / "conf" / "sampling").glob("*.yaml"))


def drawn(run, how, *overrides, seed=0, out=None):
    given = {"checkpoint": None, "out": out, "trust": False, "with_D": how}
    return sample(RunDirectory(run), n=40, seed=seed, overrides=("n=200", *FEW.get(how, ()), *overrides), **given)


@pytest.mark.parametrize("how", CHOICES)
def test_each_choice_samples_a_run_and_says_how(trained, how, tmp_path, capsys):
    first, again = (np.loadtxt(drawn(trained, how, out=tmp_path / name) / "samples.csv", delimiter=",", skiprows=1)
                    for name in "ab")  # fmt: skip
    assert first.shape == (40, 2)
    assert (first == again).all()
    about = json.loads((tmp_path / "a" / "with_D.json").read_text())
    assert about["unseen"]
    assert about["calibrated"].keys() == about["raw"].keys() == measures(*logits(50)).keys()
    assert 0 < about["samples"]["accepted"] <= 1
    assert "as it is -> calibrated: brier" in capsys.readouterr().err


def test_an_evaluation_of_samples_with_D_has_a_card_of_its_own(trained):
    with_D, without = (evaluate([trained], EvaluationRequest(with_D=how, overrides=given))[0]
                       for how, given in (("mh", ("n=200", "sampler.K=5")), (None, ())))  # fmt: skip
    found, plain = (json.loads(file.read_text()) for file in (with_D, without))
    card = found["cards"]["modes"]["with_D"]
    assert (card["name"], card["n"], card["sampler"]["K"]) == ("mh", 200, 5)
    assert "with_D" not in plain["cards"]["modes"]
    assert found["with_D"]["samples"]["accepted"] > 0


@pytest.mark.parametrize(
    ("how", "overrides", "sentence"),
    [
        ("nonsense", (), "--with-D nonsense: there is no such file in .*: use one of langevin, mh, rejection"),
        ("mh", ("k=2",), "k=2: of --with-D only n, calibration, sampler can change"),
        ("mh", ("n=3",), "n = 3: a calibration takes 20 examples"),
        ("mh", ("sampler.L=2",), "unknown key sampler.L"),
        ("langevin", ("calibration._target_=ganlab.sampling.calibration.Isotonic",), "climbs D, and calibration = .*Isotonic"),
        (None, ("sampler.K=2",), "nothing but how D has a say in samples can be changed"),
    ],
)
def test_what_cannot_be_sampled_with_D_is_told(trained, how, overrides, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    given = {"checkpoint": None, "out": tmp_path / "out", "trust": False, "with_D": how}
    with pytest.raises(UserError, match=sentence):
        sample(RunDirectory(trained), n=2, seed=0, overrides=overrides, **given)
    assert not (tmp_path / "out").exists()
