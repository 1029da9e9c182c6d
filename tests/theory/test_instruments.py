"""What the instruments read, where the truth is known; and that they only look."""

import csv
import math
from itertools import pairwise

import pytest
import scipy.integrate
import torch
from conftest import same_state
from PIL import Image
from sources import CONFIGS, source
from torch import nn

from ganlab.commands.figures import figures
from ganlab.data import toy
from ganlab.data.line import FAMILIES, mixture1d
from ganlab.data.line import Line as Law
from ganlab.errors import Diverged, UserError
from ganlab.figures.stages import stages
from ganlab.files.run import RunDirectory
from ganlab.game.losses import Hinge, LeastSquares, Minimax, NonSaturating, Wasserstein
from ganlab.game.priors import Normal, Uniform
from ganlab.game.relativistic import RelativisticPair
from ganlab.observers.adapter import evaluation
from ganlab.observers.measure import function_of
from ganlab.random import generator_of
from ganlab.theory.divergences import LOG2
from ganlab.theory.estimate import Estimate
from ganlab.theory.exact import Line
from ganlab.theory.optimum import Unsolved
from ganlab.theory.reading import frame_times
from ganlab.theory.trajectory import Dirac
from ganlab.types import Subject

NORMAL = mixture1d([0.0], [1.0])
TINY = ("model.G.width=8", "model.D.width=8", "metrics=none", "log_every=1", "batch_size=16")


def rules(data, prior, loss=None):
    blank = lambda x: torch.zeros(len(x))  # noqa: E731
    return Subject(data, prior, loss or NonSaturating(), blank, blank)


def line(data=NORMAL, prior=None, loss=None):
    return Line(rules(data, prior or Uniform(1), loss), cells=1000, z_points=8193)


def inverse_cdf(data, shift=0.0, sign=1):
    """G with p_g = p_data, moved, for z ~ U(-1, 1); rising or falling."""
    return lambda z: (data.quantile(((1 + sign * z[:, 0].double()) / 2).clamp(1e-6, 1 - 1e-6)) + shift).float()[:, None]


def shifted_D(mean):
    """D* of N(0, 1) against N(mean, 1)."""
    return lambda x: mean**2 / 2 - mean * x[:, 0]


# --- on the line


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("mean", "jsd"), [(0.5, 0.030311300521), (1.0, 0.111421482185), (2.0, 0.336830820347)])
def test_a_shifted_inverse_cdf_against_its_exact_discriminator(mean, jsd, sign):
    values, _ = line(prior=Normal(1)).measure(lambda z: mean + sign * z, shifted_D(mean))
    assert values["jsd"] == pytest.approx(jsd, abs=2e-6)
    assert values["C"] == pytest.approx(-math.log(4) + 2 * jsd, abs=4e-6)
    assert values["V"] == pytest.approx(values["C"], abs=4e-6)
    assert values["kl"] == pytest.approx(mean**2 / 2, rel=1e-4)
    assert values["w1"] == pytest.approx(mean, abs=1e-4)
    assert values["ks"] == pytest.approx(math.erf(mean / 2 / math.sqrt(2)), abs=1e-4)
    assert values["inverse_cdf_error"] == pytest.approx(mean, abs=1e-4)
    assert 0 <= values["D_gap"] < 4e-6
    assert values["D_error"] < 1e-3
    assert values["identity_error"] < 1e-12
    assert values["direction"] == sign
    assert values["monotone"] == pytest.approx(1.0)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_inverse_cdf_itself_is_read_as_the_solution(name):
    data = source(name)
    values, frame = line(data).measure(inverse_cdf(data), lambda x: torch.zeros(len(x)))
    assert values["jsd"] < 1e-3
    assert values["w1"] < 5e-3
    assert values["inverse_cdf_error"] < 1e-2
    assert values["V"] == pytest.approx(-math.log(4), abs=1e-9)
    assert values["D_gap"] == pytest.approx(2 * values["jsd"], abs=1e-9)
    assert (frame["pit"] - 0.05).abs().max() < 1e-3


def test_a_blind_discriminator_is_found_out():
    """V = -log 4, as at the solution, and the gap to C(G) says that it is not."""
    values, _ = line(prior=Normal(1)).measure(lambda z: z + 1, lambda x: torch.zeros(len(x)))
    assert values["V"] == pytest.approx(-math.log(4), abs=1e-9)
    assert values["D_gap"] == pytest.approx(2 * 0.111421482185, abs=4e-6)
    assert values["D_distance"] == pytest.approx(0.8956, abs=1e-3)  # E |1/2 - x| of N(0, 1): 0.8956, and of N(1, 1) as much
    assert values["D_error"] > 0.15


def test_a_collapsed_generator_is_told_apart_with_certainty():
    values = line().distances(lambda z: torch.full((len(z), 1), 0.3))
    assert values["jsd"] == pytest.approx(LOG2, abs=1e-4)
    assert values["kl"] == math.inf
    assert values["w1"] == pytest.approx(0.8332, abs=2e-3)  # E |X - 0.3|


def test_a_folded_generator_is_compared_after_its_rearrangement():
    """|z| with the right law: W1 is 0, the map itself is far from the inverse CDF, and it is monotone on half of z."""
    fold = lambda z: inverse_cdf(NORMAL)(2 * z.abs() - 1)  # noqa: E731
    values = line().distances(fold)
    assert values["w1"] < 5e-3
    assert values["jsd"] < 2e-3
    assert values["inverse_cdf_error"] > 0.5
    assert values["monotone"] == pytest.approx(0.5, abs=1e-3)


def test_a_normal_prior_makes_normal_data_of_itself():
    values = line(prior=Normal(1)).distances(lambda z: z)
    assert values["jsd"] < 1e-6
    assert values["w1"] < 1e-4
    assert values["kl"] < 1e-5


def test_what_p_g_does_not_reach_is_stated():
    narrow = lambda z: z * 1.0  # noqa: E731
    values = line().distances(narrow)  # U(-1, 1) against N(0, 1)
    assert values["uncovered"] == pytest.approx(0.3173105, abs=2e-3)
    assert values["kl"] == math.inf
    assert math.isfinite(values["reverse_kl"])


@pytest.mark.parametrize("loss", [LeastSquares(), Hinge(), Wasserstein(), RelativisticPair()], ids=repr)
def test_another_loss_is_measured_against_its_own_optimum(loss):
    instrument = line(loss=loss)
    values, frame = instrument.measure(inverse_cdf(NORMAL, 1.0), lambda x: 0.1 * x[:, 0])
    assert "V" not in values
    assert values["D_gap"] > 0.05
    best = lambda x: {  # noqa: E731
        LeastSquares: (0.5 - x[:, 0]).sigmoid(), Hinge: (0.5 - x[:, 0]).sign(), Wasserstein: -x[:, 0],
        RelativisticPair: 7 - x[:, 0],
    }[type(loss)]  # fmt: skip
    values, _ = instrument.measure(inverse_cdf(NORMAL, 1.0), best)
    assert values["D_gap"] == pytest.approx(0.0, abs=5e-3)
    exact = {LeastSquares: 0.0510136, Hinge: 2 * 0.3829249225, Wasserstein: 1.0,
             RelativisticPair: 0.201345471585}[type(loss)]  # fmt: skip
    assert values["divergence"] == pytest.approx(exact, abs=5e-3)
    assert frame["best"].isfinite().any()


def test_without_a_known_optimum_nothing_is_claimed_about_D(caplog):
    values, frame = line(loss=Unsolved(NonSaturating(), "a reason")).measure(inverse_cdf(NORMAL, 1.0), shifted_D(1.0))
    assert not {"D_gap", "D_distance", "divergence", "V"} & set(values)
    assert values["jsd"] == pytest.approx(0.1114, abs=1e-3)
    assert frame["best"].isnan().all()
    assert "D is not compared with D*: a reason" in caplog.text


@pytest.mark.parametrize(("name", "more"), [("cauchy", {}), ("t", {"df": 1.5}), ("lognorm", {"s": 2.0}), ("levy", {})])
def test_heavy_tails_do_not_hide_the_bulk(name, more):
    """G(z) = 0.3 z on U(-1, 1), against quadrature."""
    law = FAMILIES[name](**more)
    q = 1 / 0.6

    def integrand(x):
        p, m = law.pdf(x), (law.pdf(x) + q) / 2
        return 0.5 * (q * math.log(q / m) + (p * math.log(p / m) if p else 0.0))

    inside = scipy.integrate.quad(integrand, -0.3, 0.3, points=[0.0], limit=200)[0]
    exact = inside + 0.5 * LOG2 * (1 - (law.cdf(0.3) - law.cdf(-0.3)))  # where p_g is nothing
    values, _ = line(Law(name, **more)).measure(lambda z: 0.3 * z, lambda x: torch.zeros(len(x)))
    assert values["jsd"] == pytest.approx(exact, abs=2e-3)
    assert values["V"] == pytest.approx(-math.log(4), abs=1e-9)


def test_a_huge_generator_is_told_apart():
    assert line().distances(lambda z: 1e30 * z)["jsd"] == pytest.approx(LOG2, abs=1e-3)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_unbounded_inverse_cdf_is_finite_where_it_is_compared(sign):
    instrument = Line(rules(Law("norm"), Normal(1)), cells=1000, z_points=2049)  # as in conf/theory/line.yaml
    values = instrument.distances(lambda z: sign * z)
    assert values["inverse_cdf_error"] < 1e-4
    assert values["direction"] == sign


def test_laws_that_lie_apart_leave_no_distance_to_an_infinite_optimum():
    values, _ = line(Law("uniform")).measure(lambda z: z + 5, lambda x: x[:, 0])
    assert values["jsd"] == pytest.approx(LOG2, abs=1e-6)
    assert values["D_gap"] > 1
    assert not {"D_distance", "D_distance_max", "D_distance_at"} & set(values)


# --- in the plane


RING = toy.ring(8, 1.0, 0.1)


def plane(data=RING, loss=None, side=96, n=10_000, prior=None):
    return Estimate(rules(data, prior or Normal(2), loss), side=side, n=n)


def sampler(data, **other):
    draw = data.sample(10_000, generator_of(5, "as if by G"))[0]
    return lambda z: draw[: len(z)]


def test_the_sampler_of_the_data_reads_the_floor_that_is_stated():
    for data in (RING, toy.SwissRoll(0.25, 7.5), toy.grid(5, 0.7, 0.07)):
        values = plane(data).distances(sampler(data))
        assert 0 < values["jsd"] < 0.02
        assert values["jsd"] == pytest.approx(values["floor"], rel=0.25)
        assert values["sliced_w1"] < 0.03
        assert 0 < values["kl"] < 0.1
        assert 0 < values["reverse_kl"] < 0.1


def test_a_collapse_onto_one_of_eight_modes_costs_what_the_formula_says():
    one = toy.Mixture(RING.means[:1], RING.stds[:1])
    values = plane().distances(sampler(one))
    assert values["jsd"] == pytest.approx(0.496929, abs=0.005)
    assert values["total_variation"] == pytest.approx(7 / 8, abs=0.01)


def test_the_exact_discriminator_in_the_plane():
    """Two round Gaussians 1 apart: D* is that of the line, and the blur by a 12th of the spread hides little."""
    data, moved = toy.Mixture(torch.zeros(1, 2), torch.ones(1, 2)), toy.Mixture(torch.tensor([[1.0, 0.0]]), torch.ones(1, 2))
    values, frame = plane(data, n=40_000, side=96).measure(
        lambda z: moved.sample(len(z), generator_of(1, "moved"))[0], shifted_D(1.0)
    )
    assert values["jsd"] == pytest.approx(0.1114, abs=0.006)
    assert values["V"] == pytest.approx(-1.1634514, abs=0.012)
    assert 0 <= values["D_gap"] < 0.02
    assert values["identity_error"] < 1e-6
    assert frame["D"].shape == (96 * 96,)


def test_kantorovichs_potential_is_not_known_in_the_plane(caplog):
    values, _ = plane(loss=Wasserstein()).measure(sampler(RING), lambda x: x[:, 0])
    assert "D_gap" not in values
    assert "no known optimum" in caplog.text


def test_points_outside_of_the_grid_are_counted():
    values = plane().distances(lambda z: torch.full((len(z), 2), 50.0))
    assert values["total_variation"] == pytest.approx(1.0, abs=1e-5)
    assert values["jsd"] == pytest.approx(LOG2, abs=1e-4)
    high = plane()._cells(torch.full((10, 2), 1e25)).log_q
    assert high.argmax() == len(high) - 1  # the upper corner


def test_an_estimate_on_the_line_with_a_prior_of_any_dimension():
    instrument = plane(NORMAL, prior=Normal(3), n=40_000)
    values, _ = instrument.measure(lambda z: z[:, :1] + 1.0, shifted_D(1.0))
    assert values["jsd"] == pytest.approx(0.1114, abs=0.005)
    assert values["D_gap"] == pytest.approx(0.0, abs=0.01)


# --- what they refuse


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: line(RING), r"theory=line needs data on the line .* try theory=estimate"),
        (lambda: line(toy.Dirac()), "with a known density"),
        (lambda: line(prior=Normal(2)), r"needs prior.dim=1, found 2"),
        (lambda: plane(toy.Mixture(torch.zeros(1, 3), torch.ones(1, 3))), "use theory=none"),
        (lambda: plane(toy.Dirac()), "use theory=none"),
        (lambda: plane(side=2), "side"),
        (lambda: Dirac(rules(RING, Normal(2))), "use model=dirac"),
        (lambda: Dirac(rules(toy.Dirac(), Normal(1))._replace(G=lambda z: z, D=lambda x: x[:, 0])), "use model=dirac"),
    ],
)
def test_a_wrong_use_is_one_sentence(make, word):
    with pytest.raises(ValueError, match=word):
        make()


# --- in a run


def columns(run):
    with run.table_file.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("data", ["normal1d", "mixture1d", "ring"])
def test_a_run_logs_the_theory_and_leaves_pictures_of_the_game(run, data):
    done = run(f"data={data}", *TINY, "iterations=30", "k=2", "theory.every=10", "theory.frames=6", "ema_decay=0.9")
    rows = columns(done)
    measured = [row for row in rows if row["theory/jsd"]]
    expected = {0, 10, 20, 30} | frame_times(30, 6)
    assert {int(row["iteration"]) for row in measured} == expected
    assert all(float(row["theory/identity_error"]) < 1e-6 for row in measured)
    assert all(float(row["theory/D_gap"]) >= -1e-9 for row in measured)
    assert all(0 <= float(row["theory/jsd"]) <= LOG2 + 1e-9 for row in measured)
    assert [int(row["iteration"]) for row in rows if row["theory/ema_jsd"]] == [0, 10, 20, 30]
    assert done.result["final"]["theory/jsd"]["iteration"] == 30
    assert done.result["best"]["theory/jsd"]["value"] <= done.result["final"]["theory/jsd"]["value"]
    names = {path.name for path in done.figures.iterdir()}
    assert {"game.png", "game.gif", "figure1.png", "theory.png"} <= names
    assert ("inverse_cdf.png" in names) == (data != "ring")
    with Image.open(done.figures / "game.gif") as film:
        assert film.n_frames == len(frame_times(30, 6))
    for name in names - {"game.gif"}:
        with Image.open(done.figures / name) as picture:
            assert len(picture.convert("L").getcolors()) > 10, name  # it is not blank
    before = {path.name: path.read_bytes() for path in done.figures.iterdir()}
    for path in done.figures.iterdir():
        path.unlink()
    assert {path.name for path in figures(done, trust=False)} == names
    assert {path.name: path.read_bytes() for path in done.figures.iterdir()} == before


@pytest.mark.slow
@pytest.mark.parametrize("data", ["normal1d", "ring"])
def test_measuring_does_not_change_what_is_trained(run, data):
    small = (f"data={data}", *TINY, "iterations=12", "ema_decay=0.9")
    measured = run(*small, "theory.every=3", "theory.frames=0", name="measured")
    alone = run(*small, "theory=none", name="alone")
    a, b = (torch.load(r.newest_checkpoint(), weights_only=True)["state_dict"] for r in (measured, alone))
    assert same_state(a, b)


@pytest.mark.slow
def test_a_resumed_run_measures_what_an_uninterrupted_one_does(run):
    small = ("data=normal1d", *TINY, "theory.every=4", "theory.frames=5")
    whole = run(*small, "iterations=16", name="whole")
    part = run(*small, "iterations=16", "checkpoint.every=8", name="part")
    (part.checkpoints / "step-000000016.ckpt").unlink()  # as if it had been killed after iteration 8
    run(*small, "iterations=16", f"resume={part.path}", name="part")
    assert {p.name for p in whole.theory.iterdir()} == {p.name for p in part.theory.iterdir()}
    untimed = lambda r: [{k: v for k, v in row.items() if k != "seconds"} for row in columns(r)]  # noqa: E731
    assert untimed(whole) == untimed(part)
    assert whole.result["best"] == part.result["best"]


def test_networks_are_measured_in_evaluation_mode_and_go_on_training():
    net = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4))
    net.forward = lambda x, y: nn.Sequential.forward(net, x)
    before = net[1].running_mean.clone()
    with evaluation(net):
        function_of(net, torch.device("cpu"), torch.zeros)(torch.ones(8, 1))
    assert torch.equal(net[1].running_mean, before)
    assert net.training
    assert net[1].training


def test_a_run_that_diverges_is_measured_up_to_there(run, tmp_path):
    small = ("data=normal1d", *TINY, "iterations=50", "theory.every=1", "theory.frames=0", "metrics=points", "metrics.every=1")
    with pytest.raises(Diverged):
        run(*small, "metrics.n=50", "optim=sgd", "optim.lr=1e9")
    done = RunDirectory(tmp_path / "run")
    assert done.result["status"] == "diverged"
    assert math.isfinite(done.result["final"]["theory/jsd"]["value"])


def test_instance_noise_moves_the_optimum_and_so_none_is_claimed(run):
    done = run("data=normal1d", *TINY, "iterations=2", "augment=instance_noise", "theory.frames=0")
    assert "theory/D_gap" not in columns(done)[0]
    assert "theory/jsd" in columns(done)[0]


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("data=normal1d", "prior.dim=2"), "needs prior.dim=1, found 2: try theory=estimate"),
        (("data=ring", "theory=line"), "try theory=estimate"),
        (("data=ring", "theory=dirac"), "use model=dirac"),
        (("data=ring", "theory.every=0"), "theory.every = 0"),
        (("data=ring", "theory.instrument.side=4"), "side must be >= 8"),
        (("data=normal1d", "data.name=nrm"), "did you mean norm"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(run, tmp_path, overrides, sentence):
    with pytest.raises(UserError, match=sentence):
        run(*overrides)
    assert not (tmp_path / "run" / "config.yaml").exists()


# --- pictures


def test_moments_are_first_last_and_ever_further_apart():
    assert frame_times(1000, 0) == set()
    some = sorted(frame_times(1000, 20))
    assert some[0] == 0
    assert some[-1] == 1000
    assert len(some) <= 20
    steps = [b - a for a, b in pairwise(some)]
    assert len(steps) > 10
    assert all(a <= b + 1 for a, b in pairwise(steps))
    assert frame_times(1000, 1) == {1000}
    assert frame_times(1000, 2) == {0, 1000}
    assert frame_times(1, 5) == {0, 1}


def test_the_four_stages_are_told_from_the_readings():
    """(b) is where D sees most of what there is to see while p_g is far, (c) where the JSD has halved since."""
    jsd = [0.6, 0.59, 0.55, 0.5, 0.4, 0.2, 0.1, 0.01]
    gap = [1.2, 0.8, 0.1, 0.3, 0.2, 0.1, 0.05, 0.0001]
    frames = [(10 * i, {}) for i in range(8)]
    rows = [{"iteration": 10 * i, "theory/jsd": a, "theory/D_gap": b} for i, (a, b) in enumerate(zip(jsd, gap, strict=True))]
    titles = [stage.title.split("\n")[:2] for stage in stages(frames, rows)]
    assert titles == [
        ["(a) the beginning", "iteration 0"], ["(b) D near its optimum", "iteration 20"], ["(c) G has stepped", "iteration 50"],
        ["(d) the end", "iteration 70"],
    ]  # fmt: skip
    unread = stages(frames, [])
    assert [stage.title for stage in unread] == [
        "(a)\niteration 0",
        "(b)\niteration 20",
        "(c)\niteration 50",
        "(d)\niteration 70",
    ]
    assert len(stages(frames[:1], rows)) == 1
    blind = [{**row, "theory/D_gap": 1.5 * row["theory/jsd"]} for row in rows]  # of 2 JSD: D never sees half of it
    assert [stage.title.split("\n")[0] for stage in stages(frames, blind)] == ["(a)", "(b)", "(c)", "(d)"]


def test_the_minimax_and_the_non_saturating_discriminator_are_the_same_one():
    G, prior = (lambda z: z + 1), Normal(1)
    a, b = (line(prior=prior, loss=loss).measure(G, shifted_D(0.9))[0] for loss in (Minimax(), NonSaturating()))
    assert a["D_gap"] == b["D_gap"]
    assert a["divergence"] == pytest.approx(2 * 0.111421482, abs=4e-6)
    assert b["divergence"] == pytest.approx(0.5 - 2 * 0.111421482, abs=1e-4)
