"""The instrument for the Dirac-GAN: where it is, and the field that moves it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ganlab.figures import phase
from ganlab.theory.reading import Frame, Reading, Row, Values
from ganlab.types import Subject


class Dirac:
    """Reads theta and psi, and their distance from the solution (0, 0), of a G that is one number and a linear D."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        x, z = torch.tensor([[-1.0], [0.0], [3.0]]), torch.linspace(-1, 1, 2 * subject.prior.dim).view(2, -1)
        D, G = subject.D(x) if subject.source.shape == (1,) else x.flatten(), subject.G(z)
        straight = torch.allclose(D * 3, D[2] * x[:, 0], atol=1e-6)
        if subject.source.shape != (1,) or G.shape != (2, 1) or not straight or not torch.equal(G[0], G[1]):
            raise ValueError("theory=dirac needs a G that is one number and a D that is psi x: use model=dirac")

    def distances(self, G: Callable[[Tensor], Tensor]) -> Values:
        return {}

    def measure(self, G: Callable[[Tensor], Tensor], D: Callable[[Tensor], Tensor]) -> Reading:
        theta = G(torch.zeros(1, self.subject.prior.dim)).item()
        psi = D(torch.ones(1, 1)).item()
        return Reading({"theta": theta, "psi": psi, "radius": (theta**2 + psi**2) ** 0.5}, {})

    def figures(self, frames: Sequence[tuple[int, Frame]], rows: Sequence[Row], folder: Path) -> list[Path]:
        path = path_of(rows)
        if not path or self.subject.field is None:
            return []
        phase.portrait([("", path, self.subject.field)]).save(folder / "phase.png")
        return [folder / "phase.png"]


def path_of(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """(theta, psi), one iteration after the other; empty for the rows of another kind of run."""
    return [(row["theory/theta"], row["theory/psi"]) for row in rows if "theory/theta" in row]
