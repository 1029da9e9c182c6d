"""p_z: where G's noise comes from."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor, distributions

from ganlab.errors import at_least_one
from ganlab.networks.layers import one_hot


class Normal:
    """z ~ N(0, I_dim)."""

    def __init__(self, dim: int) -> None:
        at_least_one(dim=dim)
        self.dim = dim
        self.psi: float | None = None
        self.coordinate = distributions.Normal(*_exact(0.0, 1.0))

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        z = torch.randn(n, self.dim, generator=generator, device=generator.device)
        if self.psi is None:
            return z
        low, high = torch.special.ndtr(z.new_tensor([-self.psi, self.psi], dtype=torch.float64))
        return torch.special.ndtri(torch.lerp(low, high, torch.special.ndtr(z.double()))).to(z.dtype)

    def truncated(self, psi: float) -> Normal:
        """The same without coordinates beyond psi > 0: the law of those that are drawn again until they lie within (Brock et
        al., 2019, section 3.1). A seed keeps its sample, each coordinate of which stays at its quantile."""
        near = copy(self)
        near.psi = psi
        return near

    def interpolate(self, a: Tensor, b: Tensor, share: Tensor) -> Tensor:
        """Along the great circle, so that the norm stays typical of the prior (White, 2016): share [n] in 0..1 -> [n, Z]. The
        norm goes from one to the other: of opposite ones of unequal norms the sum of both alone would leave the prior."""
        norms, share = (a.double().norm(), b.double().norm()), share[:, None].double()
        u, v = a.double() / norms[0], b.double() / norms[1]
        angle = torch.arccos((u @ v).clamp(-1 + 1e-12, 1 - 1e-12))
        direction = (torch.sin((1 - share) * angle) * u + torch.sin(share * angle) * v) / torch.sin(angle)
        return (direction * torch.lerp(*norms, share)).to(a.dtype)


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


class Coded:
    """InfoGAN's z (Chen et al., 2016): noise N(0, I_dim), then a category as one of `classes` ones, all alike, and so many
    `continuous` codes U(-1, 1). Without `classes` of its own it has as many as the data."""

    def __init__(self, dim: int, classes: int, continuous: int) -> None:
        if classes < 2 or continuous < 0:
            raise ValueError(
                f"a code needs classes >= 2 and continuous >= 0, got {classes} and {continuous}: give +prior.classes=10"
            )
        self.noise, self.classes, self.continuous = Normal(dim), classes, continuous
        self.dim, self.coordinate = dim + classes + continuous, self.noise.coordinate  # of the noise

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        category = torch.randint(self.classes, (n,), generator=generator, device=generator.device)
        continuous = torch.rand(n, self.continuous, generator=generator, device=generator.device).mul_(2).sub_(1)
        return torch.cat([self.noise.sample(n, generator), one_hot(category, self.classes, like=continuous), continuous], 1)

    def code(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z [n, Z] -> category [n, classes] and continuous [n, continuous]."""
        _, category, continuous = z.split([self.noise.dim, self.classes, self.continuous], 1)
        return category, continuous

    def steered(self, z: Tensor, category: Tensor) -> Tensor:
        """z [n, Z] with other categories [n]."""
        noise, _, continuous = z.split([self.noise.dim, self.classes, self.continuous], 1)
        return torch.cat([noise, one_hot(category, self.classes, like=z), continuous], 1)

    def truncated(self, psi: float) -> Coded:
        """The same with another law of the noise, that of `Normal.truncated`."""
        near = copy(self)
        near.noise = self.noise.truncated(psi)
        return near

    def interpolate(self, a: Tensor, b: Tensor, share: Tensor) -> Tensor:
        """The noise as its own prior has it, continuous codes along the line; the category is a's in the first half."""
        at = self.noise.dim
        noise = self.noise.interpolate(a[:at], b[:at], share)
        z = torch.cat([noise, torch.lerp(a[at:], b[at:], share[:, None])], 1)
        of_a, of_b = (self.code(end[None])[0].argmax() for end in (a, b))
        return self.steered(z, torch.where(share < 0.5, of_a, of_b))


def _exact(a: float, b: float) -> tuple[Tensor, Tensor]:
    return torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
