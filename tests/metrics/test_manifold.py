"""Polygons: the renderer, the distance to their manifold, and precision and recall by it."""

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import torch
from matplotlib.path import Path
from torch.testing import assert_close

from ganlab.data import toy
from ganlab.data.polygons import Polygons, coverage
from ganlab.errors import UserError
from ganlab.game.priors import Normal, Uniform
from ganlab.metrics.manifold import ManifoldRecall, ManifoldScores
from ganlab.random import generator_of

SHAPE = [1, 28, 28]
TRIANGLES = Polygons([3], 20.0, 0.75, SHAPE)
MANY = Polygons([3, 5], 20.0, 0.75, SHAPE)


def draws(source, n, t=0):
    return source.sample(n, generator_of(3, "polygons", t))


def angles(u, turn):
    """Vertices at places u in 0..1 of their segments, as the recipe has it: in degrees, from 10 to 120."""
    return torch.deg2rad(torch.tensor([[turn + 120 * i + 10 + 110 * part for i, part in enumerate(u)]], dtype=torch.float64))


@pytest.mark.parametrize("side", [8, 13])
def test_a_pixel_is_the_share_of_it_that_is_covered(side):
    """By counting 60 x 60 points in each pixel; what reaches over the border is cut."""
    corners = torch.tensor([[[1.3, 1.2], [6.0, 1.2], [9.7, 6.1], [3.2, 6.9]]], dtype=torch.float64)  # one edge along a row
    ticks = (np.arange(side * 60) + 0.5) / 60
    at = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
    counted = Path(corners[0].numpy()).contains_points(at).reshape(side, 60, side, 60).mean((1, 3))
    found = coverage(corners, side)[0]
    assert_close(found, torch.from_numpy(counted), rtol=0, atol=2e-3)
    assert found.min() >= -1e-12
    assert found.max() <= 1 + 1e-12


def test_the_area_is_the_polygons_and_its_gradient_is_right():
    corners = torch.tensor([[[2.3, 1.2], [6.1, 2.9], [3.2, 6.8]]], dtype=torch.float64, requires_grad=True)
    x, y = corners[0].unbind(1)
    shoelace = (x * y.roll(-1) - y * x.roll(-1)).sum() / 2
    assert_close(coverage(corners, 9).sum(), shoelace)
    weights = torch.rand(1, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda c: (coverage(c, 9) * weights).sum(), corners, eps=1e-6, atol=1e-6)


def test_the_data_are_those_of_the_recipe():
    x, y = draws(MANY, 4000)
    assert x.shape == (4000, 1, 28, 28)
    assert x.min() >= -1 - 1e-5
    assert x.max() == 1
    assert scipy.stats.binomtest(int(y.sum()), 4000).pvalue > 1e-4
    # areas in pixels by the recipe, in numpy: vertices on a circle of radius 10.5
    rng = np.random.default_rng(0)
    for label, k in enumerate((3, 5)):
        a = np.radians(360 / k * np.arange(k) + 10 + (360 / k - 10) * rng.random((4000, k)))
        area = 10.5**2 / 2 * np.sin(np.roll(a, -1, 1) - a).sum(1)
        found = ((1 - x[y == label]) / 2).sum((1, 2, 3)).numpy()
        assert scipy.stats.ks_2samp(found, area).pvalue > 1e-4


def test_a_polygon_of_the_data_is_on_the_manifold():
    for source in (TRIANGLES, MANY):
        assert source.squared_distance(draws(source, 16)[0], starts=2).max() < 1e-6


def test_what_is_off_the_manifold_is_as_far_as_it_is():
    """A pixel far from the polygon: its change is the distance. A triangle whose vertices are 4 degrees too close, and one
    that is too large: what a search of another kind over the angles finds."""
    x = draws(TRIANGLES, 4)[0]
    spoiled = x.clone()
    spoiled[:, 0, 0, 0] = 0.0  # from white to the middle grey
    assert_close(TRIANGLES.squared_distance(spoiled, starts=2), torch.full((4,), 0.25).double(), rtol=0, atol=1e-6)
    close = angles((1.0, 0.0, 0.5), 40.0) + torch.deg2rad(torch.tensor([[2.0, -2.0, 0.0]]))  # 10 degrees apart, less 4
    large = Polygons([3], 20.0, 0.85, SHAPE)
    for picture in (TRIANGLES.picture(close), large.picture(angles((0.3, 0.8, 0.5), 10.0))):

        def squared(at, picture=picture):
            at = torch.tensor(at, requires_grad=True)
            made = TRIANGLES.picture(TRIANGLES._angles(at[None, :3], at[None, 3:]))
            value = (made - picture).square().sum() / 4
            return value.item(), torch.autograd.grad(value, at)[0].numpy()

        starts = [(0.95, 0.05, 0.5, 0.7), (0.8, 0.2, 0.4, 0.8), (0.3, 0.8, 0.5, 0.2), (0.35, 0.7, 0.6, 0.1)]
        bounds = [(0, 1)] * 3 + [(None, None)]
        runs = [scipy.optimize.minimize(squared, s, jac=True, method="L-BFGS-B", bounds=bounds) for s in starts]
        found = TRIANGLES.squared_distance(picture, starts=4).item()
        assert found == pytest.approx(min(run.fun for run in runs), rel=1e-3)
        assert found > 0.01


def test_a_perfect_generator_has_full_precision_and_recall():
    """G renders the angles that it is given: it makes all triangles, or those with equal sides alone."""

    def every(z, y):
        return TRIANGLES.picture(TRIANGLES._angles((z[:, :3] + 1) / 2, torch.pi * z[:, 3:]))

    def few(z, y):
        return TRIANGLES.picture(TRIANGLES._angles(0.5 + 0 * z[:, :3], torch.pi * z[:, 3:]))

    def smeared(z, y):
        return every(z, y) * 0.7

    real, y = draws(TRIANGLES, 24, t=1)
    for G, precise, recalled in ((every, 1.0, 1.0), (few, 1.0, 0.0), (smeared, 0.0, 0.0)):
        metric = ManifoldScores(TRIANGLES, most=24, starts=2, steps=60)
        metric.update(G(Uniform(4).sample(24, generator_of(0, "z")), None), real=False)
        metric.invert(G, Uniform(4), real, y)
        values = metric.compute()
        assert values["manifold_precision"] == precise
        assert values["manifold_recall"] == recalled
        p, r = values["manifold_precision"], values["manifold_recall"]
        assert values["manifold_f1"] == pytest.approx(float(2 * p * r / (p + r)) if p + r else 0.0)


def test_an_inversion_stays_in_the_support_of_the_prior():
    """G = 3 z in every pixel, of z in -1..1: white (1) is G(1/3), and is found; what needs z = 2 is not."""
    source = Polygons([3], 20.0, 0.75, [1, 2, 2])
    metric = ManifoldRecall(source, most=2, steps=200)
    real = torch.stack([torch.ones(1, 2, 2), torch.full((1, 2, 2), 6.0)])
    metric.invert(
        lambda z, y: (3 * z)[:, :, None, None].expand(-1, 1, 2, 2), Uniform(1), real, torch.zeros(2, dtype=torch.long)
    )
    assert metric.to_G.tolist() == pytest.approx([0.0, 4 * 1.5**2], abs=1e-2)
    free = ManifoldRecall(source, most=2, steps=200)
    free.invert(lambda z, y: (3 * z)[:, :, None, None].expand(-1, 1, 2, 2), Normal(1), real, torch.zeros(2, dtype=torch.long))
    assert free.to_G.tolist() == pytest.approx([0.0, 0.0], abs=1e-2)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Polygons([3], 20.0, 0.75, [3, 28, 28]), "grey and square"),
        (lambda: Polygons([2], 20.0, 0.75, SHAPE), "vertices must be"),
        (lambda: Polygons([3, 3], 20.0, 0.75, SHAPE), "vertices must be"),
        (lambda: Polygons([3, 8], 46.0, 0.75, SHAPE), "least_angle must be > 0 and <= 360 / 8"),
        (lambda: Polygons([3], 20.0, 1.5, SHAPE), "scale must be in 0..1"),
        (lambda: ManifoldScores(toy.ring(8, 1.0, 0.1)), "use data=triangles or data=polygons"),
        (lambda: ManifoldScores(TRIANGLES, threshold=0.0), "threshold must be > 0"),
    ],
)
def test_impossible_ones_are_refused(make, word):
    with pytest.raises(ValueError, match=word):
        make()


def test_a_run_scores_them_and_an_evaluation_repeats_the_scores(run):
    small = ("metrics.n=16", "metrics.n_real=16", "metrics.scores.manifold.steps=2", "metrics.picture=null", "batch_size=16")
    done = run("data=triangles", "model.G.width=8", "model.D.width=8", "iterations=2", "metrics.every=2", *small)
    assert {"manifold_precision", "manifold_recall", "manifold_f1"} <= done.result["final"].keys()
    assert done.result["cards"]["manifold_precision"]["n_real"] == 0
    assert done.result["cards"]["manifold_recall"]["n_real"] == 16
    from ganlab.commands.evaluate import EvaluationRequest, _candidate

    again = _candidate(done, EvaluationRequest())
    values = again.scorer(again.G, again.prior, torch.device("cpu"))
    assert values["manifold_recall"] == done.result["final"]["manifold_recall"]["value"]
    with pytest.raises(UserError, match="use data=triangles"):
        run("metrics=polygons", "metrics.picture=null", name="other")
