"""What holds the weights of a net, D's or G's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.modules.conv import _ConvTransposeNd
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import register_parametrization

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
                register_parametrization(layer, "weight", PowerIteration(weight, dim=int(isinstance(layer, _ConvTransposeNd))))


class PowerIteration(_SpectralNorm):
    """torch's, the same bits, for one game and for many at once: where `replaced` is set, a power iteration leaves its vectors
    as they are and puts new ones in their place, as a function of the weights and vectors has to do."""

    replaced = False

    @torch.no_grad()
    def _power_method(self, weight_mat: Tensor, n_power_iterations: int) -> None:
        for _ in range(n_power_iterations):
            self._keep("_u", normalize(torch.mv(weight_mat, self._v), dim=0, eps=self.eps))
            self._keep("_v", normalize(torch.mv(weight_mat.H, self._u), dim=0, eps=self.eps))

    def _keep(self, name: str, vector: Tensor) -> None:
        if self.replaced:
            setattr(self, name, vector)
        else:
            getattr(self, name).copy_(vector)


class Orthogonal(Term):
    """Brock et al. (2019), equation 3: weight * sum over matrices W of ||W W^T (1 - I)||_F^2, which lets their norms be and
    makes their rows orthogonal. A table that all layers of G have in common is left out, as in their code."""

    def __init__(self, weight: float, of: str, every: int = 1) -> None:
        super().__init__(every)
        self.weight, self.of = not_negative("weight", weight), of
        self._net: tuple[nn.Module, ...] = ()  # not a part of this one

    def attach(self, net: nn.Module) -> None:
        self._net = (net,)

    def forward(self, seen: Any) -> Tensor:
        total = seen.on_fake.new_zeros(())
        for w in (p for net in self._net for p in _maps(net) if p.dim() > 1):
            rows = w.flatten(1)
            product = rows @ rows.T
            total = total + (product - product.diagonal().diag()).square().sum()
        return self.weight * total


def _maps(net: nn.Module) -> Iterator[nn.Parameter]:
    left_out = {id(p) for layer in net.modules() if getattr(layer, "shared", False) for p in layer.parameters()}
    return (p for p in net.parameters() if id(p) not in left_out)
