"""What becomes of D's features and y, as recipes: features F -> a module ([B, F], y [B]) -> logit [B] that has `features`. A
family's `head` is any of them as a node; without, `layers.LinearHead`, whatever y is."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from ganlab.errors import at_least_one
from ganlab.networks.layers import labelled, one_hot


class Projection:
    """Miyato and Koyama (2018), equation 4: what is linear in the features, and their inner product with the class's vector."""

    def __init__(self, classes: int) -> None:
        self.classes = labelled("a projection", classes)

    def __call__(self, features: int) -> nn.Module:
        return ProjectionHead(features, self.classes)


class ProjectionHead(nn.Module):
    """linear(phi) + <embed(y), phi>; the vectors of classes start as in the paper's code (Glorot, uniform)."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.features, self.linear, self.embed = features, nn.Linear(features, 1), nn.Embedding(classes, features)
        nn.init.xavier_uniform_(self.embed.weight)

    def forward(self, features: Tensor, y: Tensor) -> Tensor:
        return self.linear(features).flatten() + (self.embed(y) * features).sum(1)


class Concatenation:
    """Features and the class, joined before a hidden layer (Mirza and Osindero, 2014; Reed et al., 2016)."""

    def __init__(self, classes: int, width: int) -> None:
        at_least_one(width=width)
        self.classes, self.width = labelled("a concatenation", classes), width

    def __call__(self, features: int) -> nn.Module:
        return ConcatenationHead(features, self.classes, self.width)


class ConcatenationHead(nn.Module):
    """out(leaky(hidden([phi, one_hot(y)]))): without a hidden layer y could shift the logit, and nothing else."""

    def __init__(self, features: int, classes: int, width: int) -> None:
        super().__init__()
        self.features, self.classes = features, classes
        self.hidden, self.out = nn.Linear(features + classes, width), nn.Linear(width, 1)

    def forward(self, features: Tensor, y: Tensor) -> Tensor:
        joined = torch.cat([features, one_hot(y, self.classes, like=features)], 1)  # [B, F + K]
        return self.out(leaky_relu(self.hidden(joined), 0.2)).flatten()
