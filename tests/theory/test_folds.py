"""Maps of the line that turn back: p_g is infinite at their folds. Against scipy's adaptive quadrature with a substitution."""

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch

from ganlab.data.line import mixture1d
from ganlab.game.losses import NonSaturating
from ganlab.game.priors import Normal
from ganlab.theory import maps
from ganlab.theory.exact import Line
from ganlab.types import Subject

p = scipy.stats.norm.pdf
TURN = math.sqrt(0.8)  # of the cubic, at G = -+ its depth
DEPTH = 1.2 * TURN - 0.5 * TURN**3


def cubic(z):
    return 0.5 * z**3 - 1.2 * z


def q_cubic(x):
    """Cardano: one or three real preimages."""
    roots = np.roots([0.5, 0.0, -1.2, -x])
    z = roots[np.abs(roots.imag) < 1e-7].real
    return (p(z) / np.abs(1.5 * z**2 - 1.2)).sum()


def square(z):
    return z**2 - 1


def q_square(x):
    return 2 * p(math.sqrt(x + 1)) / (2 * math.sqrt(x + 1)) if x > -1 else 0.0


CASES = {"cubic": (cubic, q_cubic, (-DEPTH, DEPTH)), "square": (square, q_square, (-1.0,))}


def integral(f, folds):
    """Over the line; from each fold on both sides by x = fold -+ t^2, which takes the root out of the density."""
    ends = [-120.0, *folds, 120.0]
    total = 0.0
    for a, b in pairwise(ends):
        middle = (a + b) / 2 if a in folds and b in folds else (b if a == -120.0 else a)
        for fold, other in ((a, middle), (b, middle)) if a in folds and b in folds else ((middle, a + b - middle),):
            sign, T = math.copysign(1, other - fold), math.sqrt(abs(other - fold))
            cuts = [c for c in (0.3, 1.0, 2.0, 4.0) if c < T]
            part = scipy.integrate.quad(
                lambda t, fold=fold, sign=sign: f(fold + sign * t * t) * 2 * t, 0, T, points=cuts, limit=400, epsabs=1e-11
            )[0]
            total += part
    return total


@pytest.mark.parametrize("name", CASES)
def test_a_map_with_folds_is_read_as_an_adaptive_quadrature_reads_it(name):
    G, q, folds = CASES[name]
    logit = lambda x: 1.5 * np.sin(x) - 0.5  # noqa: E731

    def jsd_at(x):
        a, b = p(x), q(x)
        m = (a + b) / 2
        return sum(part * math.log(part / m) for part in (a, b) if part > 0) / 2

    jsd = integral(jsd_at, folds)
    V = integral(lambda x: -p(x) * np.logaddexp(0, -logit(x)) - q(x) * np.logaddexp(0, logit(x)), folds)
    if name == "cubic":
        assert jsd == pytest.approx(0.1657, abs=5e-5)
    blank = lambda x: torch.zeros(len(x))  # noqa: E731
    subject = Subject(mixture1d([0.0], [1.0]), Normal(1), NonSaturating(), blank, blank)
    values, _ = Line(subject, cells=1000, z_points=2049).measure(G, lambda x: 1.5 * x[:, 0].sin() - 0.5)  # as in conf/theory
    assert values["jsd"] == pytest.approx(jsd, abs=3e-5)
    assert values["C"] - values["V"] == pytest.approx(-math.log(4) + 2 * jsd - V, abs=1e-4)
    assert values["D_gap"] == pytest.approx(-math.log(4) + 2 * jsd - V, abs=1e-4)
    assert values["identity_error"] < 1e-9


def test_folds_are_where_the_slope_is_zero():
    z = torch.linspace(-3, 3, 601, dtype=torch.float64) + 0.0037
    found = maps.folds(z, cubic(z), most=9)
    assert found.tolist() == pytest.approx([-TURN, TURN], abs=1e-4)
    assert len(maps.folds(z, z, most=9)) == len(maps.folds(z, torch.zeros_like(z), most=9)) == 0
    assert maps.folds(z, cubic(z) + 1e-9 * (-1.0) ** torch.arange(601), most=2).tolist() == pytest.approx(
        [-TURN, TURN], abs=0.01
    )


def test_a_map_without_folds_is_read_as_before():
    z = torch.linspace(-1, 1, 50, dtype=torch.float64)
    blank = lambda x: torch.zeros(len(x))  # noqa: E731
    probe = Line(Subject(mixture1d([0.0], [1.0]), Normal(1), NonSaturating(), blank, blank), cells=100, z_points=200)
    Gz = probe._map(lambda z: z.tanh(), probe.z)
    F_g, near = probe._pushforward(lambda z: z.tanh(), Gz)
    assert len(near) == 0
    assert torch.equal(F_g(z), maps.pushforward(Gz, probe.F_z)(z))
