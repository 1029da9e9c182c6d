"""Each loss against its own optimum, on N(0, 1) and N(1, 1) in float64."""

import math

import pytest
import torch
import yaml
from conftest import ROOT
from test_theory import masses, normal
from torch.testing import assert_close

from ganlab.game.adjust import Smoothed, TopK
from ganlab.game.fdivergences import KL, JensenShannon, Pearson, ReverseKL, SquaredHellinger, TotalVariation
from ganlab.game.losses import Hinge, LeastSquares, Minimax, NonSaturating, Wasserstein
from ganlab.game.relativistic import EXACT, RelativisticPair
from ganlab.run.config import build
from ganlab.theory.divergences import V, expectation, jsd, kl, quadrature, total_variation
from ganlab.theory.optimum import best_output, expected_d, suboptimality
from ganlab.types import Cells, Solved

BREAKS = (-24.0, -4.0, 0.0, 0.5, 1.0, 5.0, 28.0)
X = quadrature(BREAKS, 200)[0]
CELLS = Cells(X[:, None], *masses(normal(0.0, 1.0), normal(1.0, 1.0), BREAKS))
LOSSES = [Minimax(), NonSaturating(), LeastSquares(), LeastSquares(-1.0, 1.0, 0.0), Hinge(), Wasserstein(), KL(), ReverseKL(),
          Pearson(), SquaredHellinger(), TotalVariation(), JensenShannon(), RelativisticPair()]  # fmt: skip
POINTWISE = [loss for loss in LOSSES if not isinstance(loss, Wasserstein | RelativisticPair)]
FINITE = [loss for loss in POINTWISE if not isinstance(loss, Hinge | TotalVariation)]  # whose optimum is no kink and no bound


def least(loss, cells=CELLS):
    return expected_d(loss, loss.optimal(cells), cells).item()


def test_every_loss_of_the_bench_that_states_its_optimum_is_held_against_it_here():
    files = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "conf" / "loss").glob("*.yaml"))]
    bench = [build(node, "loss") for node in (file.get("loss", file) for file in files) if "_target_" in node]
    solved = {type(loss) for loss in bench if isinstance(loss, Solved)}
    assert solved == {type(loss) for loss in LOSSES}


@pytest.mark.parametrize(
    ("loss", "value"),
    [
        (Minimax(), 1.1634513968),  # -C(G)
        (NonSaturating(), 1.1634513968),
        (LeastSquares(), 0.1989864336),
        (Hinge(), 2 - 2 * 0.3829249225),
        (Wasserstein(), -1.0),
        (KL(), -0.5),
        (ReverseKL(), -0.5),
        (Pearson(), 1 - math.e),
        (SquaredHellinger(), -0.2350061948),
        (TotalVariation(), -0.3829249225),
        (JensenShannon(), 1.1634513968 - math.log(4)),
        (RelativisticPair(), math.log(2) - 0.201345471585),
    ],
    ids=repr,
)
def test_what_the_best_discriminator_attains(loss, value):
    accuracy = 1e-4 if isinstance(loss, Wasserstein) else 1e-10  # W1 between the points of the quadrature
    assert_close(least(loss), value, atol=accuracy, rtol=0)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_no_other_discriminator_is_better(loss):
    best, rng = loss.optimal(CELLS), torch.Generator().manual_seed(0)
    assert_close(suboptimality(loss, best, best, CELLS).item(), 0.0, atol=1e-9, rtol=0)
    for size in (0.01, 0.3):
        other = best.clamp(-3, 3) if isinstance(loss, TotalVariation) else best  # whose optimum has no bound
        other = other + size * torch.randn(len(best), generator=rng, dtype=torch.float64)
        assert suboptimality(loss, other, best, CELLS) > 1e-6


def test_the_optimum_of_the_hinge_is_at_its_kinks():
    output = Hinge().optimal(CELLS)
    assert_close(output, (CELLS.log_p - CELLS.log_q).sign(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("loss", [*FINITE, RelativisticPair()], ids=repr)
def test_the_optimum_is_where_the_gradient_vanishes(loss):
    output = loss.optimal(CELLS).requires_grad_(True)
    (slope,) = torch.autograd.grad(expected_d(loss, output, CELLS), output)
    assert slope.abs().max() < 1e-9


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_the_divergence_is_zero_at_the_solution_and_positive_elsewhere(loss):
    same = Cells(CELLS.x, CELLS.log_p, CELLS.log_p)
    assert_close(loss.divergence(same).item(), 0.0, atol=1e-12, rtol=0)
    assert loss.divergence(CELLS) > 0.01


@pytest.mark.parametrize("loss", [Minimax(), KL(), ReverseKL(), Pearson(), SquaredHellinger(), Wasserstein(), TotalVariation(),
                                  JensenShannon(), RelativisticPair(), Smoothed(Minimax(), 0.1)], ids=repr)  # fmt: skip
def test_where_both_play_one_game_the_divergence_is_what_the_best_discriminator_attains(loss):
    solution = Cells(CELLS.x, CELLS.log_p, CELLS.log_p)
    assert_close(loss.divergence(CELLS).item(), least(loss, solution) - least(loss), atol=1e-9, rtol=0)


@pytest.mark.parametrize("loss", [loss for loss in POINTWISE if not isinstance(loss, LeastSquares)], ids=repr)
def test_the_divergence_has_the_gradient_that_G_gets_from_an_optimal_discriminator(loss):
    """In every direction that keeps the masses of p_g a distribution. For least squares the literature's divergence is the
    value with D* put in, and not this."""
    rng = torch.Generator().manual_seed(1)
    p, q = (torch.rand(6, generator=rng, dtype=torch.float64) + 0.2 for _ in range(2))
    p, q = p / p.sum(), (q / q.sum()).requires_grad_(True)
    x = torch.arange(6, dtype=torch.float64)[:, None]
    best = loss.optimal(Cells(x, p.log(), q.detach().log()))
    each = torch.stack([loss.g(logit, None) for logit in best])  # G's loss of a sample in each cell
    (found,) = torch.autograd.grad(loss.divergence(Cells(x, p.log(), q.log())), q)
    assert_close(found - found.mean(), each - each.mean(), atol=1e-9, rtol=0)


def test_the_divergence_of_least_squares():
    """Mao et al.'s choice a, b, c = -1, 1, 0 is Pearson's chi2 of p_data + p_g from 2 p_g, halved."""
    p, q = CELLS.log_p.exp(), CELLS.log_q.exp()
    chi2 = ((2 * q - (p + q)).square() / (p + q)).sum()
    assert_close(LeastSquares(-1.0, 1.0, 0.0).divergence(CELLS), chi2 / 2, atol=1e-12, rtol=0)
    assert_close(LeastSquares().divergence(CELLS), (q * q / (p + q)).sum() / 2 - 0.25, atol=1e-12, rtol=0)


def test_the_divergence_of_the_hinge():
    assert_close(Hinge().divergence(CELLS), 2 * total_variation(*CELLS[1:]))


def test_the_gradient_of_a_non_saturating_G_is_that_of_kl_less_2_jsd():
    """With D fixed at D*, the derivative in the mean of p_g of E -log D*(x) is that of the divergence: 0.602027."""
    mean = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    x, weight = quadrature(BREAKS, 200)
    log_p = normal(0.0, 1.0).log_prob(x) + weight.log()
    log_q = torch.distributions.Normal(mean, torch.ones_like(mean)).log_prob(x) + weight.log()
    D = NonSaturating().optimal(Cells(x[:, None], log_p, log_q.detach()))
    descended = expectation(log_q, torch.nn.functional.softplus(-D))
    (a,) = torch.autograd.grad(descended, mean, retain_graph=True)
    (b,) = torch.autograd.grad(kl(log_q, log_p) - 2 * jsd(log_p, log_q), mean)
    assert_close(a.item(), 0.602027, atol=5e-7, rtol=0)
    assert_close(a.item(), b.item(), atol=1e-9, rtol=0)


def test_suboptimality_in_the_2014_game_is_C_less_V():
    D = 0.5 * CELLS.x[:, 0] - 0.1
    gap = suboptimality(Minimax(), D, Minimax().optimal(CELLS), CELLS)
    assert_close(gap.item(), (-1.1634513968 - V(*CELLS[1:], D)).item(), atol=1e-8, rtol=0)  # torch's softplus: 2e-9


def test_kantorovichs_potential_on_the_line():
    """Its value is W1 between the points; a critic's scale and level do not matter, and in the plane nothing is known."""
    x = torch.tensor([0.0, 1.0, 3.0, 4.0], dtype=torch.float64)[:, None]
    P = torch.tensor([0.5, 0.0, 0.0, 0.5], dtype=torch.float64)
    Q = torch.tensor([0.0, 0.5, 0.5, 0.0], dtype=torch.float64)
    cells, loss = Cells(x, P.log(), Q.log()), Wasserstein()
    assert_close(loss.optimal(cells).diff(), torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64))
    assert_close(loss.divergence(cells).item(), 1.0)
    best = loss.optimal(cells)
    assert_close(suboptimality(loss, 3 * best + 7, best, cells).item(), 0.0, atol=1e-12, rtol=0)
    plane = cells._replace(x=x.expand(4, 2))
    assert best_output(loss, plane) is None


def test_a_loss_without_a_known_optimum_has_none():
    class Own:
        def d(self, real, fake):
            return fake.mean() - real.square().mean()

        def g(self, fake):
            return -fake.mean()

    assert best_output(Own(), CELLS) is None


def test_an_expectation_is_that_of_the_loss_on_samples():
    """expected_d takes a loss apart point by point: on equal masses it is the loss itself."""
    output = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    equal = torch.full((3,), 1 / 3, dtype=torch.float64).log()
    everyone = output.repeat(3), output.repeat_interleave(3)  # of pairs all there are
    for loss in LOSSES:
        two = everyone if isinstance(loss, RelativisticPair) else (output, output)
        assert_close(expected_d(loss, output, Cells(output[:, None], equal, equal)), loss.d(*two))


# --- pairs: D* = log(p / q) + c, and the supremum is a divergence of products


def discrete(n, seed):
    rng = torch.Generator().manual_seed(seed)
    p, q = (torch.rand(n, generator=rng, dtype=torch.float64) for _ in range(2))
    return Cells(torch.arange(n, dtype=torch.float64)[:, None], (p / p.sum()).log(), (q / q.sum()).log())


def exchanged(cells):
    """JS(p x q, q x p) from its definition, on all pairs."""
    p, q = cells.log_p.exp(), cells.log_q.exp()
    a, b = p[:, None] * q, q[:, None] * p
    return ((a * (2 * a / (a + b)).log()).sum() + (b * (2 * b / (a + b)).log()).sum()) / 2


@pytest.mark.parametrize("n", [2, 7, 50])
def test_the_best_relativistic_pair_attains_js_of_the_exchanged_products(n):
    cells, loss = discrete(n, n), RelativisticPair()
    assert_close(loss.divergence(cells), exchanged(cells), atol=1e-15, rtol=0)
    assert_close(math.log(2) - expected_d(loss, loss.optimal(cells), cells), exchanged(cells), atol=1e-15, rtol=0)
    assert_close(suboptimality(loss, loss.optimal(cells) + 5, loss.optimal(cells), cells).item(), 0.0, atol=1e-14, rtol=0)


def test_js_of_the_exchanged_normal_laws():
    assert_close(RelativisticPair().divergence(CELLS).item(), 0.201345471585, atol=5e-13, rtol=0)


def test_many_cells_are_gathered_and_the_value_hardly_moves():
    x, weight = quadrature(BREAKS, 1000)
    log_p, log_q = (normal(mean, 1.0).log_prob(x) + weight.log() for mean in (0.0, 1.0))
    assert len(x) > EXACT
    assert_close(RelativisticPair().divergence(Cells(x[:, None], log_p, log_q)).item(), 0.201345471585, atol=1e-6, rtol=0)


def test_laws_that_lie_apart_are_told_apart_for_certain():
    apart = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]], dtype=torch.float64).log()
    cells = Cells(torch.arange(4.0)[:, None], *apart)
    assert_close(RelativisticPair().divergence(cells).item(), math.log(2), atol=1e-12, rtol=0)
    assert RelativisticPair().optimal(cells).isinf().all()


# --- adjusted losses


@pytest.mark.parametrize("loss", [Minimax(), NonSaturating(), LeastSquares(), Hinge(), ReverseKL()], ids=repr)
def test_label_smoothing_has_the_optimum_of_the_mixed_laws(loss):
    smoothed, rng = Smoothed(loss, 0.1), torch.Generator().manual_seed(0)
    best = smoothed.optimal(CELLS)
    for size in (0.01, 0.3):
        other = best + size * torch.randn(len(best), generator=rng, dtype=torch.float64)
        assert expected_d(smoothed, other, CELLS) - expected_d(smoothed, best, CELLS) > 1e-7
    same = Cells(CELLS.x, CELLS.log_p, CELLS.log_p)
    assert_close(smoothed.divergence(same).item(), 0.0, atol=1e-12, rtol=0)
    assert smoothed.divergence(CELLS) > 0.01


def test_label_smoothing_of_the_2014_game_takes_its_share_off_D():
    p, q = CELLS.log_p.exp(), CELLS.log_q.exp()
    assert_close(Smoothed(NonSaturating(), 0.1).optimal(CELLS).sigmoid(), 0.9 * p / (p + q), atol=1e-12, rtol=0)
    assert_close(Smoothed(NonSaturating(), 0.0).optimal(CELLS), NonSaturating().optimal(CELLS))


def test_top_k_leaves_D_its_game_and_says_nothing_of_G():
    loss = TopK(NonSaturating(), 0.5)
    assert_close(best_output(loss, CELLS), NonSaturating().optimal(CELLS))
    assert_close(expected_d(loss, CELLS.x[:, 0], CELLS), expected_d(NonSaturating(), CELLS.x[:, 0], CELLS))
    assert loss.divergence(CELLS).isnan()
