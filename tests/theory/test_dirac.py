import math

import pytest
import torch
from conftest import points
from numpy.polynomial.hermite_e import hermegauss
from playing import value
from torch.testing import assert_close

from ganlab.game.losses import Minimax, NonSaturating, Wasserstein
from ganlab.game.terms import R1, GradientPenalty, Term
from ganlab.theory.dirac import (
    METHODS,
    Method,
    alternating,
    alternating_generator_first,
    flow,
    jacobian,
    minimax,
    r1,
    rate,
    simultaneous,
    trajectory,
    wasserstein,
)

START = torch.ones(2, dtype=torch.float64)
H = 0.2


def gan_stability_consensus(field, theta, psi):
    """Their `GAN_Consensus`, gamma = 1: the 1/2 at the cubic terms is not in the gradient of |v|^2 / 2."""
    slope = torch.sigmoid(-psi * theta)
    cubic = 0.5 * (theta**2 + psi**2) * slope * -slope * (1 - slope)
    return theta * slope**2 + psi * cubic, psi * slope**2 + theta * cubic


RULES = {
    "Sim": simultaneous,
    "G 1:1": alternating_generator_first,
    "G 1:5": lambda method, h: alternating_generator_first(method, h, k=5),
    "D 1:1": alternating,
    "D 1:5": lambda method, h: alternating(method, h, k=5),
}
NORMS = {  # after 500 iterations from (1, 1); simultaneous, G first (the order of GAN_stability) and D first
    "minimax": "3.097 1.421 1.85 1.413 1.710",
    "non_saturating": ".640 .284 .139 .2706 .1564",
    "wasserstein_clip_1": "1.002 1.02 .92 .9846 1.003",
    "wasserstein_gp_0.35": "1.80 1.22 .72 1.280 .7202",
    "instance_noise_0.7": "5.7e-5 4.0e-6 6.02e-28 4.378e-6 8.162e-28",  # 6.022005659559904e-28 in 50 digits
    "minimax_r1_0.3": "2.6e-6 2.3e-7 9e-34 2.383e-7 9.117e-34",
    "minimax_r1_1": "9.5e-22 7.5e-17 5e-12 8.489e-17 5.403e-12",
    "consensus_1": "2.579e-10 1.724e-11 10.97 1.790e-11 10.96",  # k = 5 diverges: |v| also falls where D saturates
    "gan_stability_consensus": "2.1e-10 1.3e-11 5e-33 1.405e-11 6.387e-33",
    "non_saturating_r1_0.3": "2.2e-6 1.5e-7 4e-34 1.639e-7 5.067e-34",
}
CASES = [(name, rule, norm) for name, row in NORMS.items() for rule, norm in zip(RULES, row.split(), strict=True)]


def rounded(value, like):
    """The value to as many significant digits as the number printed in `like` has."""
    digits = len(like.split("e")[0].lstrip(".0").replace(".", ""))
    return float(f"{float(value):.{digits - 1}e}")


def radius(path):
    return path.norm(dim=-1)


def eigenvalues(gamma):
    return torch.linalg.eigvals(jacobian(Method(minimax, r1(gamma))))


def test_every_method_has_its_row():
    assert set(NORMS) == {*METHODS, "gan_stability_consensus"}


@pytest.mark.parametrize(("name", "rule", "norm"), CASES)
def test_the_norm_after_500_iterations(name, rule, norm):
    method = METHODS.get(name, Method(minimax, gan_stability_consensus))
    last = trajectory(RULES[rule](method, H), START, 500)[-1]
    assert rounded(last.norm(), like=norm) == float(norm)


# the fields


@pytest.mark.parametrize(
    ("name", "loss", "penalty", "std"),
    [
        ("minimax", Minimax(), Term(), 0.0),
        ("non_saturating", NonSaturating(), Term(), 0.0),
        ("wasserstein_clip_1", Wasserstein(), Term(), 0.0),
        ("wasserstein_gp_0.35", Wasserstein(), GradientPenalty(0.35), 0.0),
        ("instance_noise_0.7", Minimax(), Term(), 0.7),
        ("minimax_r1_0.3", Minimax(), R1(0.3), 0.0),
        ("minimax_r1_1", Minimax(), R1(1.0), 0.0),
        ("non_saturating_r1_0.3", NonSaturating(), R1(0.3), 0.0),
    ],
)
def test_each_player_descends_the_loss_and_the_penalty_that_are_trained_with(name, loss, penalty, std):
    node, weight = map(torch.from_numpy, hermegauss(64))
    for w in points(4, seed=3):
        theta, psi = w.clone().requires_grad_(True).unbind()

        def D(x, psi=psi):
            return -psi * x[:, 0]

        d = g = torch.zeros((), dtype=torch.float64)
        for x, share in zip(std * node[:, None, None], weight / weight.sum(), strict=True):  # x [1, 1]: data at 0, with noise
            d = d + share * (loss.d(D(x), D(theta + x)) + value(penalty, D, x, theta.detach() + x))
            g = g + share * loss.g(D(theta + x), None)
        v_theta, v_psi = METHODS[name].field(theta, psi)
        assert_close(v_theta, -torch.autograd.grad(g, theta, retain_graph=True)[0], rtol=1e-10, atol=1e-12)
        assert_close(v_psi, -torch.autograd.grad(d, psi)[0], rtol=1e-10, atol=1e-12)


def test_both_players_of_consensus_descend_half_the_squared_norm_of_the_field_as_well():
    for w in points(4):
        theta, psi = w.clone().requires_grad_(True).unbind()
        energy = (theta**2 + psi**2) * torch.sigmoid(-psi * theta) ** 2 / 2
        taken = torch.stack(minimax(theta, psi)) - torch.stack(METHODS["consensus_1"].field(theta, psi))
        assert_close(taken, torch.stack(torch.autograd.grad(energy, (theta, psi), retain_graph=True)))


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_many_points_step_as_each_of_them_alone(method):
    step = alternating(method, H, k=2)
    assert_close(step(points(6).view(2, 3, 2)).view(6, 2), torch.stack([step(w) for w in points(6)]))


def test_clipping_brings_psi_back_after_each_of_its_steps():
    path = trajectory(simultaneous(METHODS["wasserstein_clip_1"], H), START, 500)
    assert path[:, 1].abs().max() == 1
    assert path[:, 0].abs().max() > 1


# the equilibrium


@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.3, 0.99, 1.01, 2.0])
def test_the_eigenvalues_with_r1(gamma):
    root = torch.tensor(gamma**2 / 4 - 1 / 4, dtype=torch.complex128).sqrt()
    found = sorted(eigenvalues(gamma).tolist(), key=lambda e: (e.real, e.imag))
    expected = sorted([(-gamma / 2 - root).item(), (-gamma / 2 + root).item()], key=lambda e: (e.real, e.imag))
    assert found == pytest.approx(expected, abs=1e-12)


def test_gamma_critical_is_one_the_eigenvalues_turn_from_complex_to_real():
    assert eigenvalues(1 - 1e-6).imag.abs().min() > 5e-4  # sqrt(2e-6) / 2 = 7.1e-4
    assert eigenvalues(1 + 1e-6).imag.abs().max() == 0
    assert_close(eigenvalues(1.0).real, torch.full((2,), -0.5, dtype=torch.float64), atol=1e-7, rtol=0)


@pytest.mark.parametrize(
    ("name", "rule", "expected", "printed"),
    [
        ("minimax", "Sim", math.sqrt(1 + H**2 / 4), "1.0049876"),
        ("non_saturating", "Sim", math.sqrt(1 + H**2 / 4), "1.0049876"),
        ("minimax", "D 1:1", 1.0, "1.000000"),
        ("minimax_r1_0.3", "Sim", math.sqrt(1 - 0.3 * H + H**2 / 4), ".9746794"),
        ("minimax_r1_0.3", "D 1:1", math.sqrt(1 - 0.3 * H), ".969536"),
        ("minimax_r1_1", "Sim", 1 - H / 2, ".900000"),
        ("wasserstein_clip_1", "Sim", math.sqrt(1 + H**2), "1.0198039"),
    ],
)
def test_the_rate_of_one_iteration(name, rule, expected, printed):
    found = rate(RULES[rule](METHODS[name], H))
    assert found == pytest.approx(expected, abs=1e-7 if name == "minimax_r1_1" else 1e-12)  # a double eigenvalue: root eps
    assert rounded(found, like=printed) == float(printed)


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_who_moves_first_does_not_change_the_rate(method, k):
    assert rate(alternating(method, H, k)) == pytest.approx(rate(alternating_generator_first(method, H, k)), abs=1e-12)


def test_both_eigenvalues_of_alternating_minimax_lie_on_the_unit_circle_and_are_not_real():
    found = torch.linalg.eigvals(torch.func.jacrev(alternating(METHODS["minimax"], H))(torch.zeros(2, dtype=torch.float64)))
    assert_close(found.abs(), torch.ones(2, dtype=torch.float64), atol=1e-14, rtol=0)
    assert found.imag.abs().min() > 0.09


def test_the_measured_growth_is_the_rate():
    near = radius(trajectory(simultaneous(METHODS["minimax"], H), 1e-5 * START, 100))
    assert_close(near[1:] / near[:-1], torch.full((100,), 1.0049876, dtype=torch.float64), atol=5e-8, rtol=0)
    far = radius(trajectory(simultaneous(Method(wasserstein), H), START, 100))  # linear: the rate holds everywhere
    assert_close(far[1:] / far[:-1], torch.full((100,), math.sqrt(1 + H**2), dtype=torch.float64), atol=1e-12, rtol=0)
    assert rounded(far[1] / far[0], like="1.0198039") == 1.0198039


def test_the_measured_decay_with_r1_turns_around_the_rate():
    near = radius(trajectory(simultaneous(METHODS["minimax_r1_0.3"], H), 0.01 * START, 3000))
    assert rounded((near[400] / near[200]) ** (1 / 200), like=".9738") == 0.9738  # from .9736 to .9758 over other windows
    assert ((near[3000] / near[0]) ** (1 / 3000)).item() == pytest.approx(0.9746794, abs=1e-4)


@pytest.mark.parametrize(("gamma", "largest"), [(0.1, "0.4000"), (0.3, "1.200"), (1.0, "4.000"), (2.0, "1.0718")])
def test_the_largest_stable_step_of_simultaneous_descent(gamma, largest):
    values = eigenvalues(gamma)
    h = (-2 * values.real / values.abs().square()).min().item()
    assert rounded(h, like=largest) == float(largest)
    method = Method(minimax, r1(gamma))
    assert rate(simultaneous(method, 0.999 * h)) < 1 < rate(simultaneous(method, 1.001 * h))


# the flow, and what is not linear


def test_the_flow_of_minimax_conserves_the_radius():
    r2 = radius(trajectory(flow(METHODS["minimax"], 0.01), START, 10_000)).square()
    assert rounded((r2 - 2).abs().max(), like="4e-11") == 4e-11


def test_the_radius_of_the_non_saturating_flow_falls_by_2_s_tanh_half_s():
    theta, psi = points().unbind(1)
    v_theta, v_psi = METHODS["non_saturating"].field(theta, psi)
    s = theta * psi
    assert_close(2 * (theta * v_theta + psi * v_psi), -2 * s * torch.tanh(s / 2))


def test_alternating_non_saturating_falls_as_the_root_of_8_over_t():
    r = radius(trajectory(alternating_generator_first(METHODS["non_saturating"], 0.1), START, 20_000))  # t = 2000
    assert rounded(r[-1], like=".0625") == 0.0625
    assert rounded(r[-126:].mean(), like=".0633") == 0.0633  # over the last turn, of 2 pi / (h/2) iterations
    assert r[-126:].mean().item() == pytest.approx(math.sqrt(8 / 2000), rel=1e-3)


def test_simultaneous_non_saturating_ends_on_a_cycle_of_radius_root_2_h():
    h = torch.tensor([0.05, 0.1, 0.2, 0.4], dtype=torch.float64)
    starts = torch.stack([START, 0.1 * START])[:, None].expand(2, 4, 2)  # from outside, from inside
    r = radius(trajectory(simultaneous(METHODS["non_saturating"], h), starts, 20_000))[-1000:]  # [1000, 2, 4]
    assert ((r / (2 * h).sqrt() - 1).abs() < 0.04).all()
    for mean in r.mean(0):
        assert [rounded(m, like=s) for m, s in zip(mean, (".316", ".447", ".632", ".89"), strict=True)] == [
            0.316, 0.447, 0.632, 0.89]  # fmt: skip
