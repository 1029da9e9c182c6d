"""The exact values of the research notes' table of fixtures, and the identities of the paper's proofs, in float64."""

import math

import pytest
import scipy.integrate
import scipy.stats
import torch
from torch.distributions import Normal, Uniform
from torch.testing import assert_close

from ganlab.theory import maps
from ganlab.theory.divergences import (
    F_DIVERGENCES,
    LOG2,
    LOG4,
    C,
    V,
    expectation,
    identity_error,
    jsd,
    kl,
    log_ratio,
    mixed,
    quadrature,
    total_variation,
)

EXACT = {"atol": 1e-10, "rtol": 0}


def normal(mean, std):
    return Normal(torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64))


class Mix:
    """Equal parts, for fixtures."""

    def __init__(self, *parts):
        self.parts = parts

    def log_prob(self, x):
        return torch.stack([part.log_prob(x) for part in self.parts]).logsumexp(0) - math.log(len(self.parts))

    def cdf(self, x):
        return sum(part.cdf(x) for part in self.parts) / len(self.parts)


def masses(p, q, breaks=(-24.0, -4.0, 0.0, 4.0, 28.0), nodes=200):
    x, width = quadrature(breaks, nodes)
    return p.log_prob(x) + width.log(), q.log_prob(x) + width.log()


PAIR = Mix(normal(-2.0, 0.5), normal(2.0, 0.5))
FIXTURES = [  # p, q, JSD, C(G), KL(p || q), W1
    (normal(0.0, 1.0), normal(0.5, 1.0), 0.030311300521, -1.3256717601, 0.125, 0.5),
    (normal(0.0, 1.0), normal(1.0, 1.0), 0.111421482185, -1.1634513968, 0.5, 1.0),
    (normal(0.0, 1.0), normal(2.0, 1.0), 0.336830820347, -0.7126327204, 2.0, 2.0),
    (normal(0.0, 1.0), normal(4.0, 1.0), 0.632720193737, -0.1208539736, 8.0, 4.0),
    (normal(0.0, 1.0), normal(0.0, 2.0), 0.092733381666, -1.2008275978, None, 0.7978845608),
    (normal(0.0, 1.0), normal(0.0, 0.5), 0.092733381666, -1.2008275978, None, 0.3989422804),  # W1 by the closed form
    (normal(0.0, 1.0), normal(1.0, 2.0), None, None, None, 1.1666309412),
    (PAIR, normal(2.0, 0.5), 0.215727927727, -0.9548385057, None, 2.0),
    (PAIR, normal(0.0, math.sqrt(4.25)), 0.200985690864, -0.9843229794, None, None),
]


@pytest.mark.parametrize(("p", "q", "JSD", "value", "KL", "W1"), FIXTURES)
def test_fixtures(p, q, JSD, value, KL, W1):
    log_p, log_q = masses(p, q)
    if JSD is not None:
        assert_close(jsd(log_p, log_q).item(), JSD, **EXACT)
        assert_close(C(log_p, log_q).item(), value, **EXACT)
        assert_close(V(log_p, log_q, log_ratio(log_p, log_q)).item(), value, **EXACT)
        assert identity_error(log_p, log_q) < 1e-12
    if KL is not None:
        assert_close(kl(log_p, log_q).item(), KL, **EXACT)
    if W1 is not None:
        edges = torch.linspace(-24, 28, 8001, dtype=torch.float64)
        assert_close(maps.w1(p.cdf, q.cdf, edges).item(), W1, **EXACT)


@pytest.mark.parametrize("d", [0.0, 0.1, 0.3, 1.0])
def test_shifted_uniforms(d):
    """JSD = d log 2, W1 = d, and KL is infinite: half of the mass of one is where the other has none."""
    one = torch.tensor(1.0, dtype=torch.float64)
    p, q = Uniform(0 * one, one, validate_args=False), Uniform(d * one, one + d, validate_args=False)
    log_p, log_q = masses(p, q, sorted({0.0, d, 1.0, 1 + d}), 100)
    assert_close(jsd(log_p, log_q).item(), d * LOG2, **EXACT)
    assert_close(C(log_p, log_q).item(), -LOG4 + 2 * d * LOG2, **EXACT)
    assert_close(total_variation(log_p, log_q).item(), d, **EXACT)
    assert kl(log_p, log_q).item() == (math.inf if d else 0.0)
    edges = torch.tensor(sorted({-1.0, 0.0, d, 1.0, 1 + d, 3.0}), dtype=torch.float64)
    assert_close(maps.w1(p.cdf, q.cdf, edges).item(), d, **EXACT)


def test_a_small_shift_costs_an_eighth_of_its_square():
    assert_close(jsd(*masses(normal(0.0, 1.0), normal(0.1, 1.0))).item(), 0.00124844, atol=5e-9, rtol=0)


COLLAPSE = [(8, 1, 0.496929, -0.392436), (8, 4, 0.215762, -0.954771), (8, 7, 0.045407, -1.295481),
            (25, 1, 0.608375, -0.169545), (25, 24, 0.014067, -1.358160)]  # fmt: skip


@pytest.mark.parametrize(("K", "m", "JSD", "value"), COLLAPSE)
def test_mode_collapse_onto_m_of_K_disjoint_modes(K, m, JSD, value):
    P = torch.full((K,), 1 / K, dtype=torch.float64)
    Q = torch.zeros(K, dtype=torch.float64)
    Q[:m] = 1 / m
    assert_close(jsd(P.log(), Q.log()).item(), JSD, atol=5e-7, rtol=0)
    assert_close(C(P.log(), Q.log()).item(), value, atol=5e-7, rtol=0)
    assert_close(total_variation(P.log(), Q.log()).item(), 1 - m / K, **EXACT)
    p, M = 1 / K, (1 / K + 1 / m) / 2  # and to 1e-10 by its closed form
    closed = 0.5 * (m * p * math.log(p / M) + (K - m) * p * LOG2) + 0.5 * math.log(1 / m / M)
    assert_close(jsd(P.log(), Q.log()).item(), closed, **EXACT)


def test_the_optimum():
    """p_g = p_data: JSD 0, D* = 1/2, C = -log 4."""
    log_p, _ = masses(PAIR, PAIR)
    assert_close(jsd(log_p, log_p).item(), 0.0, **EXACT)
    assert_close(C(log_p, log_p).item(), -1.386294361119891, **EXACT)
    assert torch.equal(log_ratio(log_p, log_p), torch.zeros_like(log_p))


@pytest.mark.parametrize("mean", [0.5, 1.0, 3.0])
def test_the_optimal_discriminator_of_shifted_normals(mean):
    """D* = sigmoid(mean^2 / 2 - mean x), which crosses 1/2 halfway."""
    x, _ = quadrature((-6.0, 6.0), 100)
    exact = mean**2 / 2 - mean * x
    assert_close(log_ratio(normal(0.0, 1.0).log_prob(x), normal(mean, 1.0).log_prob(x)), exact, **EXACT)


def test_no_discriminator_beats_the_optimal_one():
    log_p, log_q = masses(normal(0.0, 1.0), normal(1.0, 1.0))
    best, rng = log_ratio(log_p, log_q), torch.Generator().manual_seed(0)
    for size in (1e-3, 0.1, 3.0):
        other = best + size * torch.randn(len(best), generator=rng, dtype=torch.float64)
        assert V(log_p, log_q, other) < C(log_p, log_q)


def test_V_at_minus_log_4_proves_nothing():
    """A blind D, D = 1/2, has V = -log 4 whatever G does: the distance to C(G) is what shows it."""
    log_p, log_q = masses(normal(0.0, 1.0), normal(2.0, 1.0))
    blind = torch.zeros_like(log_p)
    assert_close(V(log_p, log_q, blind).item(), -LOG4, **EXACT)
    assert_close((C(log_p, log_q) - V(log_p, log_q, blind)).item(), 2 * 0.336830820347, **EXACT)


def test_large_logits_neither_overflow_nor_vanish():
    log_p = torch.tensor([0.5, 0.5], dtype=torch.float64).log()
    assert_close(V(log_p, log_p, torch.tensor([200.0, -200.0], dtype=torch.float64)).item(), -200.0, **EXACT)


def test_cells_without_mass_add_nothing():
    log_p = torch.tensor([0.0, -math.inf], dtype=torch.float64)
    log_q = torch.tensor([-math.inf, 0.0], dtype=torch.float64)
    assert_close(jsd(log_p, log_q).item(), LOG2, **EXACT)
    assert kl(log_p, log_q) == math.inf
    assert_close(V(log_p, log_q, log_ratio(log_p, log_q)).item(), 0.0, **EXACT)
    assert identity_error(log_p, log_q) < 1e-15
    nothing = torch.full((2,), -math.inf)
    assert torch.equal(log_ratio(nothing, nothing), torch.zeros(2))


DUALS = {
    "kl": 0.5,
    "reverse_kl": 0.5,
    "pearson": math.e - 1,
    "squared_hellinger": 0.2350061948,
    "total_variation": 0.3829249225,
    "gan": -1.1634513968,
}


@pytest.mark.parametrize("name", DUALS)
def test_the_duals_of_f_divergences(name):
    """Attained at T* = f'(p/q); any other T is below. N(0, 1) against N(1, 1)."""
    x, width = quadrature((-24.0, 0.5, 28.0), 400)  # total variation's T jumps where the densities cross
    log_p, log_q = (d.log_prob(x) + width.log() for d in (normal(0.0, 1.0), normal(1.0, 1.0)))
    f = F_DIVERGENCES[name]
    assert_close(f.dual(log_p, log_q).item(), DUALS[name], **EXACT)
    T = f.T(0.9 * log_ratio(log_p, log_q) - 0.05)
    lower = expectation(log_p, T) - expectation(log_q, f.conjugate(T))
    assert lower < DUALS[name] - 1e-5
    if name == "total_variation":
        assert_close(f.dual(log_p, log_q), total_variation(log_p, log_q) * 1.0, **EXACT)


# --- maps


def test_density_of_the_square_of_a_normal_is_chi_squared():
    for x in (0.1, 1.0, 7.0):
        z = torch.tensor([-math.sqrt(x), math.sqrt(x)], dtype=torch.float64)
        found = maps.density(torch.square, normal(0.0, 1.0).log_prob, z)
        assert found.item() == pytest.approx(scipy.stats.chi2(1).pdf(x), abs=1e-14)


def test_density_of_the_sine_of_a_uniform_angle_is_arcsine():
    edges = torch.linspace(0, 1, 1001, dtype=torch.float64)
    for x in (-0.9, 0.1, 0.5):
        z = maps.roots(lambda v, x=x: torch.sin(2 * math.pi * v) - x, edges)
        assert len(z) == 2
        found = maps.density(lambda v: torch.sin(2 * math.pi * v), torch.zeros_like, z)
        assert found.item() == pytest.approx(1 / (math.pi * math.sqrt(1 - x**2)), rel=1e-12)


def test_masses_of_a_folded_map():
    """z^3 - 3z of a normal z, with up to three preimages: the notes' masses, by roots and by the piecewise linear map."""
    cubic = lambda z: z**3 - 3 * z  # noqa: E731
    prior, z = normal(0.0, 1.0), torch.linspace(-9, 9, 4001, dtype=torch.float64)
    F_g = maps.pushforward(cubic(z), prior.cdf(z))
    for low, high, expected in ((-1.5, -0.5, 0.186623), (0.0, 1.0, 0.168470), (2.5, 4.0, 0.00595387)):
        assert maps.mass(cubic, prior.cdf, low, high, z).item() == pytest.approx(expected, abs=5e-7)
        ends = torch.tensor([low, high], dtype=torch.float64)
        assert F_g(ends).diff().item() == pytest.approx(expected, rel=1e-4)


def test_a_monotone_map_of_the_uniform_is_an_inverse_cdf_and_its_density_is_its_slope():
    """dz = p_g(x) dx: the logistic's quantile function makes the logistic's density."""
    z = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    for one in z:
        x = torch.logit(one)
        found = maps.density(torch.logit, torch.zeros_like, one[None])
        assert found.item() == pytest.approx(scipy.stats.logistic.pdf(x.item()), rel=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_pushforward_of_the_exact_inverse_cdf_is_the_law(sign):
    F_z = torch.linspace(-14, 14, 8001, dtype=torch.float64).sigmoid()  # fine in the tails, where F^{-1} is steep
    law = normal(0.3, 1.2)
    Gz = law.icdf(F_z if sign > 0 else 1 - F_z)
    x = torch.linspace(-5, 5, 101, dtype=torch.float64)
    F_g = maps.pushforward(Gz, F_z)
    assert_close(F_g(x), law.cdf(x), atol=1e-6, rtol=0)
    u = (F_z[1:] + F_z[:-1]) / 2
    error, direction = maps.inverse_cdf_error(Gz, F_z, law.icdf(u), law.icdf(1 - u))
    assert error < 1e-3
    assert direction == sign
    assert maps.monotone_share(Gz, F_z).item() == pytest.approx(1.0)


def test_a_folded_map_can_make_the_law_and_not_be_the_inverse_cdf():
    """|z| of a normal and of a folded map have the same law; the map is monotone on half of its mass only."""
    prior, half = normal(0.0, 1.0), scipy.stats.halfnorm()
    z = torch.linspace(-8, 8, 8001, dtype=torch.float64)
    F_z, Gz = prior.cdf(z), z.abs()
    edges = torch.linspace(0, 9, 2001, dtype=torch.float64)
    F = lambda x: torch.as_tensor(half.cdf(x.numpy()))  # noqa: E731
    assert maps.w1(F, maps.pushforward(Gz, F_z), edges).item() < 1e-6
    assert maps.monotone_share(Gz, F_z).item() == pytest.approx(0.5, abs=1e-9)
    u = ((F_z[1:] + F_z[:-1]) / 2).numpy()
    error, _ = maps.inverse_cdf_error(Gz, F_z, *(torch.as_tensor(half.ppf(v)) for v in (u, 1 - u)))
    assert error > 0.5


def test_a_collapsed_map_is_a_point_mass():
    F_z = torch.linspace(0, 1, 11, dtype=torch.float64)
    F_g = maps.pushforward(torch.full((11,), 2.0, dtype=torch.float64), F_z)
    assert F_g(torch.tensor([1.9, 2.0, 2.1], dtype=torch.float64)).tolist() == [0.0, 1.0, 1.0]


def test_w1_by_quantiles_and_by_distribution_functions_agree():
    p, q = scipy.stats.norm(0, 1), scipy.stats.norm(1, 2)
    quantiles = scipy.integrate.quad(lambda u: abs(p.ppf(u) - q.ppf(u)), 0, 1, points=[p.cdf(-1)], limit=200)[0]
    edges = torch.linspace(-24, 28, 8001, dtype=torch.float64)
    found = maps.w1(normal(0.0, 1.0).cdf, normal(1.0, 2.0).cdf, edges).item()
    assert found == pytest.approx(quantiles, abs=1e-6)


def test_mixed_is_the_mean_of_both():
    log_p, log_q = torch.tensor([0.25, 0.75]).log(), torch.tensor([1.0, 0.0]).log()
    assert_close(mixed(log_p, log_q).exp(), torch.tensor([0.625, 0.375]))
