import itertools

import pytest
import torch
from torch import nn

from ganlab.networks import dcgan, maxout, mlp


def pair(family, shape, z_dim=5):
    plain = {"width": 8, "depth": 2, "activation": nn.LeakyReLU(0.2)}
    small = {dcgan: ({"width": 4}, {"width": 4}), mlp: (plain, plain)}
    g, d = small.get(family, ({"width": 8}, {"units": 4, "pieces": 3}))
    return family.Generator(shape, z_dim, **g), family.Discriminator(shape, **d)


SIZES = [[1, 16, 16], [1, 28, 28], [3, 32, 32], [3, 64, 64], [2, 17, 31], [3, 50, 40], [1, 128, 128], [3, 127, 16]]


@pytest.mark.parametrize(
    ("family", "shape"),
    [*itertools.product([mlp, maxout], [[1], [2], [7], [1, 28, 28], [3, 8, 8]]), *itertools.product([dcgan], SIZES)],
)
def test_shapes_and_range(family, shape):
    G, D = pair(family, shape)
    x = G(10 * torch.randn(6, 5), torch.zeros(6, dtype=torch.long))
    assert x.shape == (6, *shape)
    if len(shape) == 3:
        assert x.abs().max() <= 1
    assert D(x, torch.zeros(6, dtype=torch.long)).shape == (6,)


@pytest.mark.parametrize("family", [mlp, maxout, dcgan])
def test_every_weight_matters(family):
    G, D = pair(family, [3, 32, 32])
    weight = torch.linspace(-1, 1, 6)  # not the plain sum, whose gradient BatchNorm removes
    (weight * D(G(torch.randn(6, 5), None), None)).sum().backward()
    for name, p in [*G.named_parameters(), *D.named_parameters()]:
        if not name.endswith("bias"):
            assert p.grad.abs().sum() > 0, name


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_the_2014_networks_have_the_parameter_counts_of_the_released_code():
    assert count(maxout.Generator([1, 28, 28], z_dim=100)) == 2_503_984
    assert count(maxout.Discriminator([1, 28, 28])) == 1_231_441


def test_maxout_takes_the_largest_of_its_pieces():
    layer = maxout.Maxout(3, units=2, pieces=4)
    x = torch.randn(5, 3)
    linear = layer.linear(x)
    assert torch.equal(layer(x), torch.stack([linear[:, :4].max(1).values, linear[:, 4:].max(1).values], 1))


def test_a_square_of_64_has_the_stages_of_the_dcgan_paper():
    G = dcgan.Generator([3, 64, 64], z_dim=100, width=128)
    widths = [layer.in_channels for layer in G.up if isinstance(layer, nn.ConvTranspose2d)]
    assert widths == [1024, 512, 256, 128]
    assert G.project[1].unflattened_size == (1024, 4, 4)


@pytest.mark.parametrize("shape", [[2], [3, 8, 8], [3, 129, 64]])
def test_dcgan_says_which_shape_it_cannot_do(shape):
    with pytest.raises(ValueError, match=r"dcgan .* shape is \["):
        dcgan.Generator(shape, z_dim=2, width=8)
