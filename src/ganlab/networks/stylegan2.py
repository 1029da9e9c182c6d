"""StyleGAN2 (Karras et al., 2020) after its authors' PyTorch code, of torch's own operations: z is mapped to a style w, which
scales the inputs of every convolution of a G that begins with a constant; D sees how much a minibatch varies.

G's map of each size adds to the image ("skip"); D is residual, or plain as in the recipe for CIFAR-10. Images lie around [-1,
1], without tanh. Modulation scales what comes into a convolution, and what comes out of it is brought back to unit variance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu, linear

from ganlab.errors import at_least_one
from ganlab.networks import layers
from ganlab.networks.images import LowPass, doubled, pyramid, widths
from ganlab.networks.told import Told
from ganlab.random import normal, uniform

GAIN = math.sqrt(2)  # keeps the variance through a leaky ReLU


class EqualLinear(nn.Module):
    """[B, a] -> [B, b]. Weights are N(0, 1) / rate and scaled by rate / sqrt a in use, so that Adam moves all layers alike
    (Karras et al., 2018, section 4.1)."""

    def __init__(self, a: int, b: int, bias: float = 0.0, rate: float = 1.0, leaky: bool = False) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(b, a) / rate), nn.Parameter(torch.full((b,), bias))
        self.scale, self.rate, self.leaky = rate / math.sqrt(a), rate, leaky

    def forward(self, x: Tensor) -> Tensor:
        x = linear(x, self.weight * self.scale, self.bias * self.rate)
        return GAIN * leaky_relu(x, 0.2) if self.leaky else x


class EqualConv(nn.Module):
    """x [B, a, h, w] -> [B, b, h, w], or half as large after a low-pass filter: convolution, bias and leaky ReLU."""

    def __init__(self, a: int, b: int, size: int, halve: bool = False, leaky: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(b, a, size, size))
        self.bias = nn.Parameter(torch.zeros(b)) if leaky else None
        self.scale = 1 / math.sqrt(a * size**2)
        if halve:  # what has 1 x 1 is thinned out before, what has 3 x 3 with it
            self.low: nn.Module = LowPass(2, 1) if size == 1 else LowPass(1, 2)
            self.stride, self.padding = size // 2 + 1, 0
        else:
            self.low, self.stride, self.padding = nn.Identity(), 1, size // 2

    def forward(self, x: Tensor) -> Tensor:
        x = conv2d(self.low(x), self.weight * self.scale, stride=self.stride, padding=self.padding)
        return x if self.bias is None else GAIN * leaky_relu(x + self.bias[:, None, None], 0.2)


class StyledConv(nn.Module):
    """x [B, a, h, w], style [B, W] -> [B, b, h, w], or twice as large: a convolution whose weights, scaled by the style, have
    unit norm for each example, then noise on each pixel, bias and leaky ReLU. In evaluation the noise is a constant of the
    layer."""

    noise: Tensor

    def __init__(self, a: int, b: int, w_dim: int, side: Sequence[int], double: bool) -> None:
        super().__init__()
        self.weight, self.style = nn.Parameter(torch.randn(b, a, 3, 3)), EqualLinear(w_dim, a, bias=1.0)
        self.bias, self.strength = nn.Parameter(torch.zeros(b)), nn.Parameter(torch.zeros(()))
        self.register_buffer("noise", torch.randn(*side))
        self.low = LowPass(1, 1) if double else None

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = self.style(w)  # [B, a]
        size = (self.weight.square().sum((2, 3)) @ style.square().T).T  # [B, b] of the scaled weights, squared
        x = x * style[..., None, None]
        if self.low is None:
            x = conv2d(x, self.weight, padding=1)
        else:
            x = 4 * self.low(conv_transpose2d(x, self.weight.transpose(0, 1), stride=2))
        x = x * (size + 1e-8).rsqrt()[..., None, None]
        noise = normal((len(x), 1, *x.shape[2:]), like=x) if self.training else self.noise
        return GAIN * leaky_relu(x + noise * self.strength + self.bias[:, None, None], 0.2)


class ToImage(nn.Module):
    """x [B, a, h, w], style [B, W] -> [B, C, h, w]: a modulated 1 x 1 convolution, which keeps the style's scale."""

    def __init__(self, a: int, channels: int, w_dim: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(channels, a, 1, 1)), nn.Parameter(torch.zeros(channels))
        self.style, self.scale = EqualLinear(w_dim, a, bias=1.0), 1 / math.sqrt(a)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return conv2d(x * (self.style(w) * self.scale)[..., None, None], self.weight, self.bias)


class Mapping(nn.Module):
    """z [B, Z] and what is known of y [B, known] -> w [B, W]: both of unit length per coordinate, `depth` layers that learn a
    hundred times slower."""

    def __init__(self, z_dim: int, known: int, w_dim: int, depth: int) -> None:
        super().__init__()
        at_least_one(depth=depth)
        self.embed = EqualLinear(known, w_dim) if known else None
        sizes = [z_dim + w_dim * bool(known), *[w_dim] * depth]
        self.layers = nn.Sequential(*(EqualLinear(a, b, rate=0.01, leaky=True) for a, b in pairwise(sizes)))
        self.split = [z_dim, known]

    def forward(self, z: Tensor) -> Tensor:
        z, known = z.split(self.split, 1)
        parts = [z] if self.embed is None else [z, self.embed(known)]
        return self.layers(torch.cat([part * (part.square().mean(1, keepdim=True) + 1e-8).rsqrt() for part in parts], 1))


class Generator(nn.Module):
    """z [B, Z] -> x [B, C, H, W], around [-1, 1]. `width` channels in the finest map, twice as many in each coarser one,
    `doublings` times at most. `mixing`: the share of passes in training whose finer layers take the style of another z ~ N(0,
    I)."""

    def __init__(
        self,
        shape: Sequence[int],
        z_dim: int,
        width: int,
        w_dim: int,
        depth: int,
        mixing: float,
        doublings: int = 0,
        told: Told | None = None,
    ) -> None:
        super().__init__()
        at_least_one(w_dim=w_dim)
        if not 0 <= mixing <= 1:
            raise ValueError(f"mixing is a share of passes, 0..1, got {mixing}")
        self.told, self.mixing = told or Told(), mixing
        channels, base, n = pyramid("stylegan2", shape)
        sizes, sides = widths(width, doublings, n + 1)[::-1], [[side * 2**i for side in base] for i in range(n + 1)]
        self.mapping = Mapping(z_dim, self.told.size, w_dim, depth)
        self.constant = nn.Parameter(torch.randn(sizes[0], *base))
        convs = [StyledConv(sizes[0], sizes[0], w_dim, base, double=False)]
        for (a, b), side in zip(pairwise(sizes), sides[1:], strict=True):
            convs += [StyledConv(a, b, w_dim, side, double=True), StyledConv(b, b, w_dim, side, double=False)]
        self.convs = nn.ModuleList(convs)
        self.images = nn.ModuleList(ToImage(a, channels, w_dim) for a in sizes)
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.drawn(self._styles(z, y))

    def style(self, z: Tensor, y: Tensor) -> Tensor:
        """w [B, W]."""
        w: Tensor = self.mapping(self.told(z, y))
        return w

    def drawn(self, styles: Sequence[Tensor]) -> Tensor:
        """x [B, C, H, W] of one w [B, W] for each convolution and for the last image, or of one for all."""
        styles = [*styles] * (1 if len(styles) > 1 else len(self.convs) + 1)
        x = self.constant.expand(styles[0].shape[0], -1, -1, -1)  # len would be fixed by `ganlab export`
        x = self.convs[0](x, styles[0])
        image = self.images[0](x, styles[1])  # the image's style is that of the next convolution
        for i, to_image in enumerate(self.images[1:], 1):
            x = self.convs[2 * i](self.convs[2 * i - 1](x, styles[2 * i - 1]), styles[2 * i])
            image = doubled(image) + to_image(x, styles[2 * i + 1])
        return image

    def _styles(self, z: Tensor, y: Tensor) -> list[Tensor]:
        """w [B, W] of each convolution, and of the last image."""
        w, n = self.style(z, y), len(self.convs) + 1
        if not (self.training and self.mixing):
            return [w]
        other = self.style(normal(z.shape, like=z), y)
        happens, where = uniform((2,), like=z)
        cut = torch.where(happens < self.mixing, 1 + (where * (n - 1)).floor(), n)  # of 1 ... n - 1
        return [torch.where(i < cut, w, other) for i in range(n)]


class MinibatchStd(nn.Module):
    """x [B, C, h, w] -> [B, C + 1, h, w]: one more channel, which says how much the `group` of examples to which one belongs
    varies, a mean over all values (Karras et al., 2018, section 3). In evaluation, where an example stands for itself, it is
    the average over those of training. A minibatch that does not come in such groups is one of the largest that divide it."""

    keeps_statistics = True
    typical: Tensor

    def __init__(self, group: int) -> None:
        super().__init__()
        at_least_one(group=group)
        self.group = group
        self.register_buffer("typical", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            size = next(size for size in range(min(self.group, len(x)), 0, -1) if len(x) % size == 0)
            groups = x.unflatten(0, (size, -1))  # [size, B / size, C, h, w]
            std = ((groups - groups.mean(0)).square().mean(0) + 1e-8).sqrt().mean((1, 2, 3))  # [B / size]
            with torch.no_grad():
                self.typical.lerp_(std.mean().to(self.typical.dtype), 0.1)
            said = std.repeat(size)
        else:
            said = self.typical.to(x.dtype).expand(len(x))
        return torch.cat([x, said[:, None, None, None].expand(-1, 1, *x.shape[2:])], 1)


class Halving(nn.Module):
    """x [B, a, h, w] -> [B, b, h/2, w/2]: two convolutions, and if `residual` a third of 1 x 1 beside them."""

    def __init__(self, a: int, b: int, residual: bool) -> None:
        super().__init__()
        self.conv1, self.conv2 = EqualConv(a, a, 3), EqualConv(a, b, 3, halve=True)
        self.short = EqualConv(a, b, 1, halve=True, leaky=False) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(self.conv1(x))
        return h if self.short is None else (h + self.short(x)) / GAIN


class EqualHead(nn.Module):
    """Features [B, F] -> logit [B], whatever y is."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features, self.linear = features, EqualLinear(features, 1)

    def forward(self, features: Tensor, y: Tensor) -> Tensor:
        return self.linear(features).flatten()


class Discriminator(layers.Discriminator):
    """x [B, C, H, W] -> logit [B]; `width` channels in the finest map, twice as many in each coarser one, `doublings` times at
    most. `group`: of the minibatch's standard deviation. `residual` as in the paper; the recipe for CIFAR-10 does without."""

    def __init__(
        self,
        shape: Sequence[int],
        width: int,
        group: int,
        residual: bool = True,
        doublings: int = 0,
        head: layers.Head = EqualHead,
    ) -> None:
        super().__init__()
        channels, base, n = pyramid("stylegan2", shape)
        sizes = widths(width, doublings, n + 1)
        last = sizes[-1]
        self.trunk = nn.Sequential(
            EqualConv(channels, width, 1),
            *(Halving(a, b, residual) for a, b in pairwise(sizes)),
            MinibatchStd(group),
            EqualConv(last + 1, last, 3),
            nn.Flatten(),
            EqualLinear(last * math.prod(base), last, leaky=True),
        )
        self.head = head(last)
        self.to(memory_format=torch.channels_last)
