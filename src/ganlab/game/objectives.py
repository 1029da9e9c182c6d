"""What D and G descend, out of the loss, the terms, and what D returns besides its logit."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ganlab.errors import at_least_one, none_negative
from ganlab.game.players import Players, Terms
from ganlab.game.priors import Coded
from ganlab.networks.layers import labelled


class Adversarial(nn.Module):
    """The two lines of Algorithm 1 (Goodfellow et al., 2014), for any loss. An objective with weights of its own, as an
    auxiliary classifier, has D's optimizer train them; with `features`, D's two halves are called one after the other, and
    what lies between them is in `seen.features`."""

    features = False

    def D(self, play: Players, x: Tensor, y: Tensor, z: Tensor, step: int) -> Terms:
        """What one step of D descends: x [B, *S], y [B], z [B, Z]. Nothing flows into G."""
        seen = play.look(x, y, z, step)
        return play.descended("D", seen, play.loss.d(seen.on_x, seen.on_fake))

    def G(self, play: Players, x: Tensor, y: Tensor, z: Tensor, step: int) -> Terms:
        """What one step of G descends; x are the data of D's last step, which only some losses look at."""
        seen = play.glance(x, y, z, step)
        return play.descended("G", seen, play.loss.g(seen.on_fake, seen.real))


class AuxiliaryClassifier(Adversarial):
    """AC-GAN (Odena et al., 2017), equations 2 and 3: D also names the class of data and of samples, and G is to make the class
    that it is asked for. Both ascend L_C = E log P(C = y | x) + E log P(C = y | G(z, y)), in which `on_data` and `on_samples`
    are the weights of its two parts for D, and `of_G` that of the second for G; the paper's are 1."""

    features = True

    def __init__(self, features: int, classes: int, on_data: float, on_samples: float, of_G: float) -> None:
        super().__init__()
        none_negative(on_data=on_data, on_samples=on_samples, of_G=of_G)
        self.on_data, self.on_samples, self.of_G = on_data, on_samples, of_G
        self.classifier = nn.Linear(features, labelled("an auxiliary classifier", classes))

    def D(self, play: Players, x: Tensor, y: Tensor, z: Tensor, step: int) -> Terms:
        terms = super().D(play, x, y, z, step)
        on_x, on_fake = (self._surprise(terms.seen.features[side], y) for side in ("x", "fake"))
        return terms.plus(self.on_data * on_x + self.on_samples * on_fake, class_nll_data=on_x, class_nll_samples=on_fake)

    def G(self, play: Players, x: Tensor, y: Tensor, z: Tensor, step: int) -> Terms:
        terms = super().G(play, x, y, z, step)
        return terms.plus(self.of_G * self._surprise(terms.seen.features, y))

    def _surprise(self, features: Tensor, y: Tensor) -> Tensor:
        """-E log P(C = y | x) in nats."""
        return cross_entropy(_wide(self.classifier(features)), y)


class InfoGAN(Adversarial):
    """Chen et al. (2016): a part of z is a code c, and G keeps it legible: both players also ascend

        L_I = E log Q(c | G(z)) + H(c) <= I(c; G(z))   (equation 4)

    with Q a hidden layer of `width` on D's features: a softmax for the category, a Gaussian for each continuous code (its mean
    and the log of its standard deviation, which is kept above `least_std`, as that of a code without noise falls to 0).
    `weight` is the paper's lambda on the category's part of L_I, `weight_continuous` that of the rest.
    """

    features = True

    def __init__(
        self, features: int, prior: Any, width: int, weight: float, weight_continuous: float, least_std: float
    ) -> None:
        super().__init__()
        if not isinstance(prior, Coded):
            raise ValueError(f"InfoGAN needs a prior with a code, and {type(prior).__name__} has none: use prior=coded")
        at_least_one(width=width)
        none_negative(weight=weight, weight_continuous=weight_continuous)
        if not least_std > 0:
            raise ValueError(f"least_std must be > 0, got {least_std}")
        self.prior, self.weight, self.weight_continuous, self.least = prior, weight, weight_continuous, math.log(least_std)
        self.Q = nn.Sequential(
            nn.Linear(features, width), nn.LeakyReLU(0.2), nn.Linear(width, prior.classes + 2 * prior.continuous)
        )

    def D(self, play: Players, x: Tensor, y: Tensor, z: Tensor, step: int) -> Terms:
        terms = super().D(play, x, y, z, step)
        return self._with(terms, *self.information(terms.seen.features["fake"], z))

    def G(self, play: Players, x: Tensor, y: Tensor, z: Tensor, step: int) -> Terms:
        terms = super().G(play, x, y, z, step)
        return self._with(terms, *self.information(terms.seen.features, z))

    def _with(self, terms: Terms, category: Tensor, continuous: Tensor) -> Terms:
        loss = -self.weight * category - self.weight_continuous * continuous
        return terms.plus(loss, information_category=category, information_continuous=continuous)

    def information(self, features: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """L_I of the category, at most log K, and of the continuous codes, in nats: features [B, F] of G(z), z [B, Z]."""
        K, n = self.prior.classes, self.prior.continuous
        category, continuous = self.prior.code(z)  # [B, K], [B, n]
        logits, mean, log_std = _wide(self.Q(features)).split([K, n, n], 1)
        log_std = log_std.clamp(min=self.least)
        of_category = (logits.log_softmax(1) * category).sum(1).mean() + math.log(K)
        log_q = -((continuous - mean) * (-log_std).exp()).square() / 2 - log_std - math.log(2 * math.pi) / 2
        return of_category, log_q.sum(1).mean() + n * math.log(2)


def _wide(x: Tensor) -> Tensor:
    """In at least float32, as D's logits are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
