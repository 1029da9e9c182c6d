"""Parts as somebody outside would write them: nothing of ganlab is changed for any of them."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from ganlab.data.toy import Distribution
from ganlab.game.losses import Pointwise
from ganlab.game.objectives import Adversarial
from ganlab.game.terms import Term
from ganlab.networks import mlp
from ganlab.theory.divergences import log_ratio


class RelativisticPair:
    """Jolicoeur-Martineau (2019): D tells how much more real data are than samples."""

    def d(self, real, fake):
        return softplus(fake - real).mean()

    def g(self, fake, real):
        return softplus(real() - fake).mean()


@dataclass(frozen=True)
class Exponential(Pointwise):
    """AdaBoost's loss, as docs/extending.md has it: its best D is half the log ratio."""

    def on_data(self, logit):
        return (-logit).exp()

    def on_samples(self, logit):
        return logit.exp()

    def wanted(self, logit):
        return -logit

    def optimal(self, cells):
        return log_ratio(cells.log_p, cells.log_q) / 2


class LeCam(Term):
    """Tseng et al. (2021): D is kept near moving averages of what it has said, which are state."""

    def __init__(self, weight: float, decay: float = 0.9, every: int = 1) -> None:
        super().__init__(every)
        self.weight, self.decay = weight, decay
        self.register_buffer("real", torch.zeros(()))
        self.register_buffer("fake", torch.zeros(()))

    def forward(self, seen):
        return self.weight * ((seen.on_x - self.fake).square().mean() + (seen.on_fake - self.real).square().mean())

    @torch.no_grad()
    def after_step(self, net, seen):
        self.real.lerp_(seen.on_x.mean(), 1 - self.decay)
        self.fake.lerp_(seen.on_fake.mean(), 1 - self.decay)


class AuxiliaryClassifier(Adversarial):
    """AC-GAN (Odena et al., 2017): D also says the class of data, and G is to make the class that it is asked for."""

    features = True

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(features, classes)

    def D(self, play, x, y, z, step):
        terms = super().D(play, x, y, z, step)
        return terms.plus(cross_entropy(self.classifier(terms.seen.features["x"]), y))

    def G(self, play, x, y, z, step):
        terms = super().G(play, x, y, z, step)
        return terms.plus(cross_entropy(self.classifier(terms.seen.features), y))


class ConditionalGenerator(mlp.Generator):
    """The class is told to G beside its noise."""

    def __init__(self, shape: list[int], z_dim: int, classes: int, width: int, depth: int, activation: nn.Module) -> None:
        super().__init__(shape, z_dim + classes, width, depth, activation)
        self.classes = classes

    def forward(self, z, y):
        return super().forward(torch.cat([z, nn.functional.one_hot(y, self.classes).to(z.dtype)], 1), y)


class Transport(Term):
    """G is to move its noise as little as it can: a term of G."""

    of = "G"

    def __init__(self, weight: float, every: int = 1) -> None:
        super().__init__(every)
        self.weight = weight

    def forward(self, seen):
        return self.weight * (seen.fake - seen.z).square().sum(1).mean()


class Unstackable(nn.Module):
    """A D with statistics of many examples."""

    def __init__(self, shape: list[int]) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(shape[0], 8), nn.BatchNorm1d(8), nn.Linear(8, 1), nn.Flatten(0))

    def forward(self, x, y):
        return self.net(x)


class Noise(Distribution):
    """Images of noise, brighter by their class."""

    shape = (3, 16, 16)
    classes = 4

    def sample(self, n, generator):
        y = torch.randint(self.classes, (n,), generator=generator, device=generator.device)
        noise = torch.randn(n, *self.shape, generator=generator, device=generator.device)
        return (0.2 * noise + y[:, None, None, None] / 2 - 0.75).clamp(-1, 1), y


class Bilinear:
    """A head: the class chooses a direction in the features, and a shift; nothing is shared between classes."""

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def __call__(self, features: int) -> nn.Module:
        return BilinearHead(features, self.classes)


class BilinearHead(nn.Module):
    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.features, self.rows = features, nn.Linear(features, classes)

    def forward(self, features, y):
        return self.rows(features).gather(1, y[:, None])[:, 0]
