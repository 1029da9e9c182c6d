"""Each term against a hand computation in float64: linear and quadratic critics, two-line sums. tests/game/test_penalties.py
has R1, the gradient penalty and weight clipping."""

import pytest
import torch
from conftest import ROOT, composed, points
from playing import look, players, value
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.testing import assert_close

from ganlab.game.augment import Augment, InstanceNoise
from ganlab.game.constraints import Orthogonal, SpectralNorm
from ganlab.game.losses import NonSaturating, Wasserstein
from ganlab.game.players import Stackable
from ganlab.game.regularisers import (
    BalancedConsistency,
    Centring,
    Consistency,
    LatentConsistency,
    LatentDiversity,
    LeCam,
    PathLength,
    TransportCost,
)
from ganlab.game.terms import R1, R2, Dragan, GradientPenalty, OneSidedGradientPenalty
from ganlab.networks import mlp
from ganlab.networks.told import Embedded
from ganlab.random import Given, Recorded, handed
from ganlab.run.build import game_of
from ganlab.run.config import resolve, validate

W = torch.tensor([3.0, 4.0], dtype=torch.float64)
Y = torch.zeros(64, dtype=torch.long)


def linear(x):
    return x @ W


def square(x):
    return x.square().sum(1)


class Doubled(Augment):
    """T(x) = 2 x."""

    neutral = False

    def forward(self, x):
        return 2 * x


def glance(G, term=None, z=None, x=None):
    z = points() if z is None else z
    play = players(lambda z, y: G(z), lambda x, y: x.flatten(1).sum(1), terms=term)
    return play.glance(points(seed=1) if x is None else x, Y[: len(z)], z, 0)


def test_r2_is_r1_on_samples():
    real, fake = points(), points(seed=1)
    assert_close(value(R2(gamma=3.0), square, real, fake), 3 / 2 * (4 * fake.square().sum(1)).mean())
    assert_close(value(R2(gamma=3.0), square, real, fake), value(R1(gamma=3.0), square, fake, real))
    both = players(lambda z, y: fake, lambda x, y: square(x), terms={"r1": R1(3.0), "r2": R2(3.0)})
    seen = both.objective.D(both, real, Y, fake, 0)
    assert_close(seen.penalties["r1"] + seen.penalties["r2"], 6 * (real.square().sum(1) + fake.square().sum(1)).mean())


@pytest.mark.parametrize(("target", "excess"), [(1.0, 4.0), (5.0, 0.0), (7.0, 0.0)])
def test_the_one_sided_penalty_does_not_mind_a_slope_below_its_target(target, excess):
    found = value(OneSidedGradientPenalty(10.0, target), linear, points(), points(seed=1))
    assert_close(found.item(), 10 * excess**2, atol=1e-12, rtol=1e-9)


def test_the_zero_centred_penalty_is_the_squared_slope():
    found = value(GradientPenalty(0.5, target=0.0), linear, points(), points(seed=1))
    assert_close(found.item(), 0.5 * 25, atol=1e-10, rtol=0)


def test_dragan_takes_the_slope_around_data():
    """Of D(x) = |x|^2 the slope at x is 2 |x|: at x + share * size * std * u, both drawn."""
    real, fake = points(), points(seed=1)
    with handed(recorded := Recorded(torch.Generator().manual_seed(0))):
        found = value(Dragan(10.0, 0.5), square, real, fake)
    share, u = recorded.draws
    assert (share.shape, u.shape) == ((64, 1), (64, 2))
    at = real + share * 0.5 * real.std() * u
    assert_close(found, 10 * (2 * at.norm(dim=1) - 1).square().mean(), atol=1e-10, rtol=0)
    assert_close(value(Dragan(10.0, 0.5), linear, real, fake).item(), 160.0, atol=1e-8, rtol=0)


def test_lecam_keeps_each_side_near_the_average_of_the_other():
    term = LeCam(0.3, decay=0.9).double()
    seen = look(linear, points(), points(seed=1), term)
    on_x, on_fake = seen.on_x, seen.on_fake
    assert_close(term(seen), 0.3 * (on_x.square().mean() + on_fake.square().mean()))
    term.after_step(None, seen)
    assert_close(term.real, 0.1 * on_x.mean())
    assert_close(term(seen), 0.3 * ((on_x - term.fake).square().mean() + (on_fake - term.real).square().mean()))


def test_centring_is_the_square_of_the_mean_logit():
    real, fake = points(), points(seed=1)
    assert_close(value(Centring(2.0), linear, real, fake), 2 * (linear(torch.cat([real, fake])).mean()) ** 2)


def test_consistency_of_a_linear_critic_under_a_doubled_input():
    """D(x) - D(2 x) = -D(x)."""
    real, fake = points(), points(seed=1)
    assert_close(value(Consistency(2.0, Doubled()), linear, real, fake), 2 * linear(real).square().mean())
    both = value(BalancedConsistency(2.0, 3.0, Doubled()), linear, real, fake)
    assert_close(both, 2 * linear(real).square().mean() + 3 * linear(fake).square().mean())
    # and where D is shown augmented data, the term has D on plain ones
    found = value(Consistency(2.0, Doubled()), linear, real, fake, augment=InstanceNoise(0.5))
    assert_close(found, 2 * linear(real).square().mean())
    with pytest.raises(ValueError, match="does nothing"):
        Consistency(2.0, Augment())


def test_latent_consistency_of_linear_nets():
    """G(z) = 3 z, so D(G(z + e)) - D(G(z)) = 3 W e, and |G(z + e) - G(z)|^2 = 9 |e|^2."""
    z, x = points(), points(seed=1)
    e = points(seed=2)
    play = players(lambda z, y: 3 * z, lambda x, y: linear(x))
    with handed(Given([e])):
        found = LatentConsistency(5.0, 0.1)(play.look(x, Y, z, 0))
    assert_close(found, 5 * (3 * 0.1 * linear(e)).square().mean())
    with handed(Given([e])):
        found = LatentDiversity(0.5, 0.1)(glance(lambda z: 3 * z, z=z))
    assert_close(found, -0.5 * (0.3 * e).square().mean())


def test_the_path_length_of_a_linear_generator():
    """G(z) = z A: J^T v = v A^T, and the average is followed."""
    A = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]], dtype=torch.float64)
    v = torch.randn(64, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    term = PathLength(2.0, decay=0.9).double()
    with handed(Given([v])):
        seen = glance(lambda z: z @ A, term)
        found = term(seen)
    length = (v @ A.T).norm(dim=1)
    mean = 0.1 * length.mean()
    assert_close(found, 2 * (length - mean).square().mean(), atol=1e-9, rtol=0)
    term.after_step(None, seen)
    assert_close(term.mean, mean, atol=1e-12, rtol=0)
    term.after_step(None, glance(lambda z: z @ A))  # a step in which it was not due
    assert_close(term.mean, mean, atol=1e-12, rtol=0)


def test_path_length_of_images_is_per_pixel():
    v = torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with handed(Given([v])):
        term = PathLength(1.0, decay=0.0).double()
        found = term(glance(lambda z: z[:, :1, None, None].expand(-1, 1, 4, 4), z=points(8), x=v))
    length = v.sum((1, 2, 3)).abs() / 4  # J^T v is the sum of v over the pixels, v over the root of 16
    assert_close(found, (length - length.mean()).square().mean(), atol=1e-9, rtol=0)


def test_transport_is_the_squared_way_and_wants_equal_dimensions():
    assert_close(TransportCost(0.5)(glance(lambda z: 3 * z)), 0.5 * (2 * points()).square().sum(1).mean())
    with pytest.raises(ValueError, match="z has 2, x 1"):
        TransportCost(0.5)(glance(lambda z: z[:, :1]))


def conv():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ConvTranspose2d(4, 3, 3), nn.Flatten(), nn.Linear(3 * 64, 2), nn.BatchNorm1d(2)
    ).double()


def test_spectral_norm_divides_every_matrix_by_its_largest_singular_value():
    net = conv()
    plain = {name: p.detach().clone() for name, p in net.named_parameters()}
    SpectralNorm("D").attach(net)
    x = torch.randn(4, 2, 8, 8, dtype=torch.float64)
    for _ in range(300):  # power iterations
        net(x)
    matrices = {"0": plain["0.weight"].flatten(1), "1": plain["1.weight"].transpose(0, 1).flatten(1), "3": plain["3.weight"]}
    for name, matrix in matrices.items():
        found = dict(net.named_modules())[name].weight
        sigma = torch.linalg.matrix_norm(matrix, 2)
        assert_close(found, plain[f"{name}.weight"] / sigma, rtol=1e-10, atol=1e-10)
    assert torch.equal(net[4].weight, plain["4.weight"])  # BatchNorm's is no matrix
    net.eval()
    assert torch.equal(net(x), net(x))


def test_a_spectral_norm_has_the_bits_of_torchs_own_which_is_not_stacked():
    x, (own, torchs) = torch.randn(4, 2, 8, 8, dtype=torch.float64), (conv(), conv())
    torch.manual_seed(1)
    SpectralNorm("D").attach(own)
    torch.manual_seed(1)
    for i in (0, 1, 3):
        spectral_norm(torchs[i])
    for _ in range(2):
        assert torch.equal(own(x), torchs(x))
    mine, its = own.state_dict(), torchs.state_dict()
    assert mine.keys() == its.keys()
    assert all(torch.equal(value, its[name]) for name, value in mine.items())
    with pytest.raises(ValueError, match=r"D\.0 has torch's own spectral norm, .* take penalty=spectral_norm"):
        Stackable(players(lambda z, y: z, torchs[:4]))


def test_a_net_with_a_spectral_norm_trains_its_own_weights():
    D = mlp.Discriminator([2], 8, 2, nn.ReLU()).double()
    term = SpectralNorm("D")
    term.attach(D)
    play = players(lambda z, y: z, D, terms=term)
    loss = play.objective.D(play, points(), Y, points(seed=1), 0).loss
    gradients = torch.autograd.grad(loss, list(D.parameters()))
    assert all(g.isfinite().all() for g in gradients)


def test_orthogonal_regularisation_of_two_rows():
    net = nn.Linear(2, 2, bias=True).double()
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, -1.0]]))
    term = Orthogonal(0.5, of="D")
    term.attach(net)
    seen = look(linear, points(), points(seed=1))
    assert_close(term(seen).item(), 0.5 * 2 * (1 * 3 - 2 * 1) ** 2, atol=1e-12, rtol=0)  # the norms of rows are let be
    assert not list(term.parameters())


def test_orthogonal_regularisation_leaves_out_the_table_that_all_layers_share():
    net = nn.Sequential(Embedded(3, 4), nn.Linear(4, 2)).double()
    term, alone = Orthogonal(0.5, of="G"), Orthogonal(0.5, of="G")
    term.attach(net)
    alone.attach(net[1])
    seen = look(linear, points(), points(seed=1))
    assert term(seen).item() == alone(seen).item() > 0


def test_weights_of_g_can_be_clipped():
    settings = validate(resolve(composed("penalty=weight_clipping", "+penalty.weight_clipping.of=G", "theory=none", path=ROOT)))
    gan = game_of(settings)
    before = [p.detach().clone() for p in gan.D.parameters()]
    for term in gan.players.terms.values():
        term.after_step({"D": gan.D, "G": gan.G}[term.of], None)
    assert all(p.abs().max() <= 0.01 for p in gan.G.parameters())
    assert any(p.abs().max() > 0.01 for p in gan.D.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, gan.D.parameters(), strict=True))


TERMS = [R1(2.0, 4), R2(2.0, 4), GradientPenalty(2.0, 1.0, 4), OneSidedGradientPenalty(2.0, 0.01, 4), Dragan(2.0, 0.5, 1.0, 4),
         LeCam(0.3, 0.0, 4), Centring(2.0, 4), Consistency(2.0, Doubled(), 4), BalancedConsistency(2.0, 3.0, Doubled(), 4),
         LatentConsistency(5.0, 0.1, 4), LatentDiversity(0.5, 0.1, 4), PathLength(2.0, 0.0, 4),
         TransportCost(0.5, 4)]  # fmt: skip


@pytest.mark.parametrize("term", TERMS, ids=lambda term: type(term).__name__)
def test_the_mean_gradient_of_a_lazy_term_over_a_period_is_the_eager_one(term):
    """At weights that stand still, with the same draws at each step."""
    torch.manual_seed(0)
    G = nn.Linear(2, 2).double()
    D = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0)).double()
    net, player = (G, "G") if term.of == "G" else (D, "D")
    term = term.double()

    def mean_gradient(every):
        term.every = every
        play = players(lambda z, y: G(z), lambda x, y: D(x), NonSaturating(), terms=term)
        plain = play._replace(terms={})
        total = [torch.zeros_like(p) for p in net.parameters()]
        for step in range(4):
            for sign, game in ((1, play), (-1, plain)):
                with handed(Recorded(torch.Generator().manual_seed(7))):
                    loss = getattr(game.objective, player)(game, points(), Y, points(seed=1), step).loss
                for sum_, g in zip(total, torch.autograd.grad(loss, list(net.parameters()), allow_unused=True), strict=True):
                    sum_ += 0 if g is None else sign * g / 4
        return total

    lazy, eager = mean_gradient(4), mean_gradient(1)
    assert any(g.abs().max() > 1e-6 for g in eager)
    for a, b in zip(lazy, eager, strict=True):
        assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_what_parts_doubt_of_each_other():
    normed = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1), nn.Flatten(0))

    class D(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = normed

        def forward(self, x, y):
            return self.net(x)

    play = players(lambda z, y: z, D(), Wasserstein(), terms={"gp": GradientPenalty(10.0), "r1": R1(1.0)})
    assert "BatchNorm (net.1)" in next(play.terms["gp"].doubts(play))
    assert not list(play.terms["r1"].doubts(play))
    assert not list(Wasserstein().doubts(play))
    free = play._replace(terms={"r1": R1(1.0)})
    assert "slope" in next(Wasserstein().doubts(free))
