"""What holds the weights of a net, D's or G's."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganlab.game.terms import Term, not_negative


class SpectralNorm(Term):
    """Miyato et al. (2018), algorithm 1: every weight matrix is divided by its largest singular value, estimated by one power
    iteration in each pass of training; a kernel [out, in, h, w] counts as a matrix [out, in h w]. D is then 1-Lipschitz, if
    its activations are. In evaluation mode the estimate stands still. A layer that is `unconstrained` is left as it is."""

    bounds = True

    def __init__(self, of: str) -> None:
        super().__init__()
        self.of = of

    def attach(self, net: nn.Module) -> None:
        for layer in [*net.modules()]:
            weight = None if getattr(layer, "unconstrained", False) else getattr(layer, "weight", None)
            if isinstance(weight, nn.Parameter) and weight.dim() > 1:
                spectral_norm(layer)


class Orthogonal(Term):
    """Brock et al. (2019), equation 3: weight * sum over matrices W of ||W W^T (1 - I)||_F^2, which lets their norms be and
    makes their rows orthogonal."""

    def __init__(self, weight: float, of: str, every: int = 1) -> None:
        super().__init__(every)
        self.weight, self.of = not_negative("weight", weight), of
        self._net: tuple[nn.Module, ...] = ()  # not a part of this one

    def attach(self, net: nn.Module) -> None:
        self._net = (net,)

    def forward(self, seen: Any) -> Tensor:
        total = seen.on_fake.new_zeros(())
        for w in (p for net in self._net for p in net.parameters() if p.dim() > 1):
            rows = w.flatten(1)
            product = rows @ rows.T
            total = total + (product - product.diagonal().diag()).square().sum()
        return self.weight * total
