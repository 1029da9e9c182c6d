"""The value functions, on logits. D descends d(real, fake), G descends g(fake); all are means over the minibatch, in nats
where they are log-likelihoods. With D(x) = sigmoid(l): log D = -softplus(-l) and log(1 - D) = -softplus(l), which neither
overflow nor lose their gradient."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import relu, softplus


@dataclass(frozen=True)
class Minimax:
    """Goodfellow et al. (2014), equation 1: D ascends V = E log D(x) + E log(1 - D(G(z))), G descends the same V.

    G's gradient vanishes where D is sure of its samples (section 3): it is -D(G(z)) on the logit.
    """

    def d(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(-real).mean() + softplus(fake).mean()

    def g(self, fake: Tensor) -> Tensor:
        return -softplus(fake).mean()


@dataclass(frozen=True)
class NonSaturating(Minimax):
    """Goodfellow et al. (2014), section 3: D as in minimax, G ascends log D(G(z))."""

    def g(self, fake: Tensor) -> Tensor:
        return softplus(-fake).mean()


@dataclass(frozen=True)
class LeastSquares:
    """Mao et al. (2017), equation 2: D regresses its raw output to b on data and to a on samples, G wants c."""

    a: float = 0.0
    b: float = 1.0
    c: float = 1.0

    def d(self, real: Tensor, fake: Tensor) -> Tensor:
        return 0.5 * ((real - self.b).square().mean() + (fake - self.a).square().mean())

    def g(self, fake: Tensor) -> Tensor:
        return 0.5 * (fake - self.c).square().mean()


@dataclass(frozen=True)
class Hinge:
    """Lim and Ye (2017), geometric GAN: D descends a two-sided hinge, G raises D's output."""

    def d(self, real: Tensor, fake: Tensor) -> Tensor:
        return relu(1 - real).mean() + relu(1 + fake).mean()

    def g(self, fake: Tensor) -> Tensor:
        return -fake.mean()


@dataclass(frozen=True)
class Wasserstein:
    """Arjovsky et al. (2017): D is a critic, E D(x) - E D(G(z)) a lower bound of W1 up to D's Lipschitz constant, which a
    penalty has to hold."""

    def d(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake.mean() - real.mean()

    def g(self, fake: Tensor) -> Tensor:
        return -fake.mean()
