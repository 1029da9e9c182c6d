"""p_z: where G's noise comes from."""

from __future__ import annotations

import torch
from torch import Tensor, distributions

from ganlab.errors import at_least_one


class Normal:
    """z ~ N(0, I_dim)."""

    def __init__(self, dim: int) -> None:
        at_least_one(dim=dim)
        self.dim = dim
        self.coordinate = distributions.Normal(*_exact(0.0, 1.0))

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.randn(n, self.dim, generator=generator, device=generator.device)

    def interpolate(self, a: Tensor, b: Tensor, share: Tensor) -> Tensor:
        """Along the great circle, so that the norm stays typical of the prior (White, 2016): share [n] in 0..1 -> [n, Z]."""
        angle = torch.arccos((a @ b / (a.norm() * b.norm())).clamp(-1 + 1e-6, 1 - 1e-6))
        share = share[:, None]
        return (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)


class Uniform:
    """z ~ U(low, high)^dim. The 2014 code used (-sqrt 3, sqrt 3), of unit variance, on MNIST."""

    def __init__(self, dim: int, low: float = -1.0, high: float = 1.0) -> None:
        if not low < high:
            raise ValueError(f"a uniform prior needs low < high, got low={low}, high={high}")
        at_least_one(dim=dim)
        self.dim, self.low, self.high = dim, low, high
        self.coordinate = distributions.Uniform(*_exact(low, high), validate_args=False)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        u = torch.rand(n, self.dim, generator=generator, device=generator.device)
        return u.mul_(self.high - self.low).add_(self.low)

    def interpolate(self, a: Tensor, b: Tensor, share: Tensor) -> Tensor:
        """Along the straight line, which stays in the cube: share [n] in 0..1 -> [n, Z]."""
        return torch.lerp(a, b, share[:, None])


def _exact(a: float, b: float) -> tuple[Tensor, Tensor]:
    return torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
