"""The value functions, on logits. D descends d(real, fake), G descends g(fake, real), where real() is D on data, for losses
that look at it; all are means over the minibatch, in nats where they are log-likelihoods. With D(x) = sigmoid(l):
log D = -softplus(-l) and log(1 - D) = -softplus(l), which neither overflow nor lose their gradient. Those of pairs and of whole
minibatches are in relativistic.py and discrepancies.py, those of f-divergences in fdivergences.py; adjust.py wraps a loss.

Each loss also says where its game ends (`types.Solved`): the best D against a given p_g, and the divergence that G descends
while D is best."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from ganlab.game.players import Players
from ganlab.theory.divergences import expectation, jsd, kl, log_ratio, mixed, total_variation
from ganlab.types import Back, Cells

UNBOUNDED = (
    "nothing holds the slope of the critic, whose loss then has no minimum: add penalty=gradient_penalty or spectral_norm"
)


class Additive(ABC):
    """A mean over data and one over samples, for D; one over samples, for G. `doubts` of a game that a part is in are
    sentences, said before training."""

    is_V = False

    @abstractmethod
    def on_data(self, logit: Tensor) -> Tensor:
        """D's part at each of its outputs on data, [B] -> [B]."""

    @abstractmethod
    def on_samples(self, logit: Tensor) -> Tensor:
        """D's part at each of its outputs on samples, [B] -> [B]."""

    @abstractmethod
    def wanted(self, logit: Tensor) -> Tensor:
        """G's loss of each sample, [B] -> [B]."""

    def d(self, real: Tensor, fake: Tensor) -> Tensor:
        return self.on_data(real).mean() + self.on_samples(fake).mean()

    def g(self, fake: Tensor, real: Back) -> Tensor:
        return self.wanted(fake).mean()

    def each_g(self, fake: Tensor, real: Back) -> Tensor:
        """G's loss [B], sample by sample, for a wrapper that weighs them."""
        return self.wanted(fake)

    def doubts(self, play: Players) -> Iterator[str]:
        yield from ()


class Pointwise(Additive):
    """Of these, the losses whose best D depends at each x on p_data(x) / p_g(x) alone, and may be any function."""

    def admissible(self, output: Tensor, cells: Cells) -> Tensor:
        return output


@dataclass(frozen=True)
class Minimax(Pointwise):
    """Goodfellow et al. (2014), equation 1: D ascends V = E log D(x) + E log(1 - D(G(z))), G descends the same V.

    G's gradient vanishes where D is sure of its samples (section 3): it is -D(G(z)) on the logit.
    """

    is_V = True

    def on_data(self, logit: Tensor) -> Tensor:
        return softplus(-logit)

    def on_samples(self, logit: Tensor) -> Tensor:
        return softplus(logit)

    def wanted(self, logit: Tensor) -> Tensor:
        return -softplus(logit)

    def optimal(self, cells: Cells) -> Tensor:
        """The logit of D* = p_data / (p_data + p_g) (equation 2)."""
        return log_ratio(cells.log_p, cells.log_q)

    def divergence(self, cells: Cells) -> Tensor:
        """C(G) + log 4 = 2 JSD (theorem 1)."""
        return 2 * jsd(cells.log_p, cells.log_q)


@dataclass(frozen=True)
class NonSaturating(Minimax):
    """Goodfellow et al. (2014), section 3: D as in minimax, G ascends log D(G(z))."""

    def wanted(self, logit: Tensor) -> Tensor:
        return softplus(-logit)

    def divergence(self, cells: Cells) -> Tensor:
        """KL(p_g || p_data) - 2 JSD, in the sense of its gradient at a fixed D* (Arjovsky and Bottou, 2017, theorem 2.5)."""
        return kl(cells.log_q, cells.log_p) - 2 * jsd(cells.log_p, cells.log_q)


@dataclass(frozen=True)
class LeastSquares(Pointwise):
    """Mao et al. (2017), equation 2: D regresses its raw output to b on data and to a on samples, G wants c."""

    a: float = 0.0
    b: float = 1.0
    c: float = 1.0

    def on_data(self, logit: Tensor) -> Tensor:
        return 0.5 * (logit - self.b).square()

    def on_samples(self, logit: Tensor) -> Tensor:
        return 0.5 * (logit - self.a).square()

    def wanted(self, logit: Tensor) -> Tensor:
        return 0.5 * (logit - self.c).square()

    def doubts(self, play: Players) -> Iterator[str]:
        if self.a == self.b:
            yield f"a = b = {self.b}: D is to say the same of data and of samples, so G learns nothing; take loss.a=0 loss.b=1"

    def optimal(self, cells: Cells) -> Tensor:
        """(b p_data + a p_g) / (p_data + p_g) (section 3.2)."""
        return self.a + (self.b - self.a) * log_ratio(cells.log_p, cells.log_q).sigmoid()

    def divergence(self, cells: Cells) -> Tensor:
        """1/2 int ((b - c) p_data + (a - c) p_g)^2 / (p_data + p_g) dx, less its value at p_g = p_data: the paper's C(G), what
        both terms come to when D* is put in (section 3.2). G's own gradient at a fixed D* is another one."""
        b, a = self.b - self.c, self.a - self.c
        share = log_ratio(cells.log_p, cells.log_q).sigmoid()  # p_data / (p_data + p_g)
        return expectation(mixed(cells.log_p, cells.log_q), (b * share + a * (1 - share)).square()) - (a + b) ** 2 / 4


@dataclass(frozen=True)
class Hinge(Pointwise):
    """Lim and Ye (2017), geometric GAN: D descends a two-sided hinge, G raises D's output."""

    def on_data(self, logit: Tensor) -> Tensor:
        return relu(1 - logit)

    def on_samples(self, logit: Tensor) -> Tensor:
        return relu(1 + logit)

    def wanted(self, logit: Tensor) -> Tensor:
        return -logit

    def optimal(self, cells: Cells) -> Tensor:
        """sign(p_data - p_g); any value in [-1, 1] where they are equal, 0 here."""
        return log_ratio(cells.log_p, cells.log_q).sign()

    def divergence(self, cells: Cells) -> Tensor:
        """E D*(x) - E D*(G(z)) = 2 TV."""
        return 2 * total_variation(cells.log_p, cells.log_q)


@dataclass(frozen=True)
class Wasserstein(Additive):
    """Arjovsky et al. (2017): D is a critic, E D(x) - E D(G(z)) a lower bound of W1 up to D's Lipschitz constant, which a
    penalty has to hold. Its optimum here is the 1-Lipschitz one; a penalised critic comes close to it and is not it."""

    def on_data(self, logit: Tensor) -> Tensor:
        return -logit

    def on_samples(self, logit: Tensor) -> Tensor:
        return logit

    def wanted(self, logit: Tensor) -> Tensor:
        return -logit

    def doubts(self, play: Players) -> Iterator[str]:
        if not play.bounded():
            yield UNBOUNDED

    def optimal(self, cells: Cells) -> Tensor | None:
        """On the line, Kantorovich's potential: its slope is the sign of F_g - F_data. Not known in the plane."""
        if cells.x[0].numel() > 1:
            return None
        ahead = (cells.log_q.exp() - cells.log_p.exp()).cumsum(0)[:-1]  # F_g - F_data between the cells
        rise = ahead.sign() * cells.x.flatten().diff()
        return self._centred(torch.cat([rise.new_zeros(1), rise.cumsum(0)]), cells)

    def admissible(self, output: Tensor, cells: Cells) -> Tensor:
        """Divided by its largest slope between neighbouring cells, with mean 0: the critic is free up to both."""
        slope = (output.diff() / cells.x.flatten().diff()).abs().max()
        return self._centred(output / slope.clamp(min=torch.finfo(output.dtype).tiny), cells)

    def divergence(self, cells: Cells) -> Tensor:
        """W1 between the cells' points; NaN in the plane."""
        best = self.optimal(cells)
        if best is None:
            return torch.tensor(torch.nan)
        return expectation(cells.log_p, best) - expectation(cells.log_q, best)

    @staticmethod
    def _centred(output: Tensor, cells: Cells) -> Tensor:
        return output - expectation(mixed(cells.log_p, cells.log_q), output)
