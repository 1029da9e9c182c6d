"""The instrument for the Dirac-GAN: where it is, and the field that moves it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ganlab.figures import phase
from ganlab.game.augment import Augment
from ganlab.game.objectives import consensus_gradient
from ganlab.game.updates import Consensus
from ganlab.theory.reading import Frame, Reading, Row, Values
from ganlab.types import Loss, Penalty, Rules

DRAWS = 4000  # of the noise, for an arrow


class Dirac:
    """Reads theta and psi, and their distance from the solution (0, 0), of a G that is one number and a linear D."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        x, z = torch.tensor([[-1.0], [0.0], [3.0]]), torch.linspace(-1, 1, 2 * rules.prior.dim).view(2, -1)
        D, G = rules.D(x) if rules.source.shape == (1,) else x.flatten(), rules.G(z)
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
        arrows = field(self.rules.loss, self.rules.penalty, self.rules.augment, self.rules.updates)
        phase.portrait([("", path, arrows)]).save(folder / "phase.png")
        return [folder / "phase.png"]


def field(loss: Loss, penalty: Penalty, augment: Callable[[Tensor], Tensor], updates: object) -> phase.Field:
    """The direction in which a step moves (theta, psi): minus the gradients of the players' own losses, with the term of
    consensus where that is the update; where D sees noise, the mean over many draws of it."""
    gamma = updates.gamma if isinstance(updates, Consensus) else 0.0
    n = 1 if type(augment) is Augment else DRAWS
    x, y, z = torch.zeros(n, 1, dtype=torch.float64), torch.zeros(n, dtype=torch.long), torch.zeros(n, 1)

    def at(theta: float, psi: float) -> tuple[float, float]:
        t, p = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (theta, psi))
        D, G = (lambda x, y: p * augment(x)[:, 0]), (lambda z, y: t.expand(len(z), 1))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            *_, (on_psi, on_theta) = consensus_gradient(D, G, loss, penalty, x, y, z, [p], [t], gamma)
        return -on_theta.item(), -on_psi.item()

    return at


def path_of(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """(theta, psi), one iteration after the other; empty for the rows of another kind of run."""
    return [(row["theory/theta"], row["theory/psi"]) for row in rows if "theory/theta" in row]
