"""The instrument for the Dirac-GAN: where it is, and the field that moves it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ganlab.instruments.reading import Frame, Reading, Row, Values
from ganlab.portraits import phase
from ganlab.types import Loss, Penalty, Rules


class Dirac:
    """Reads theta and psi, and their distance from the solution (0, 0), of a G that is one number and a linear D."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        x = torch.tensor([[-1.0], [0.0], [3.0]])
        D, G = rules.D(x) if rules.source.shape == (1,) else x.flatten(), rules.G(torch.zeros(2, rules.prior.dim))
        straight = torch.allclose(D * 3, D[2] * x[:, 0], atol=1e-6)
        if rules.source.shape != (1,) or G.shape != (2, 1) or not straight or not torch.equal(G[0], G[1]):
            raise ValueError("theory=dirac needs a G that is one number and a D that is psi x: use model=dirac")

    def distances(self, G: Callable[[Tensor], Tensor]) -> Values:
        return {}

    def measure(self, G: Callable[[Tensor], Tensor], D: Callable[[Tensor], Tensor]) -> Reading:
        theta = G(torch.zeros(1, self.rules.prior.dim)).item()
        psi = D(torch.ones(1, 1)).item()
        return Reading({"theta": theta, "psi": psi, "radius": (theta**2 + psi**2) ** 0.5}, {})

    def figures(self, frames: Sequence[tuple[int, Frame]], rows: Sequence[Row], folder: Path) -> list[Path]:
        path = path_of(rows)
        if not path:
            return []
        phase.portrait([("", path, field(self.rules.loss, self.rules.penalty))]).save(folder / "phase.png")
        return [folder / "phase.png"]


def field(loss: Loss, penalty: Penalty) -> phase.Field:
    """The direction in which gradient descent moves (theta, psi): minus the gradients of the players' own losses."""

    def at(theta: float, psi: float) -> tuple[float, float]:
        t, p = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (theta, psi))
        zero, fake = torch.zeros(1, dtype=torch.float64), t.expand(1)
        D = lambda x: p * x.flatten()  # noqa: E731
        d = loss.d(D(zero), D(fake)) + penalty(D, zero[:, None], fake.detach()[:, None])
        g = loss.g(D(fake))
        return -torch.autograd.grad(g, t, retain_graph=True)[0].item(), -torch.autograd.grad(d, p)[0].item()

    return at


def path_of(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """(theta, psi), one iteration after the other; empty for the rows of another kind of run."""
    return [(row["theory/theta"], row["theory/psi"]) for row in rows if "theory/theta" in row]
