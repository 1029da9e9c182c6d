"""The families of images: shapes, sizes against their sources, and what makes each of them what it is."""

import functools
import itertools

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d
from torch.nn.utils.parametrize import is_parametrized
from torch.testing import assert_close

from ganlab.game.constraints import SpectralNorm
from ganlab.networks import biggan, r3gan, sagan, sngan, stylegan2, wgan_gp
from ganlab.networks.heads import Projection
from ganlab.networks.images import LowPass, doubled, pyramid, widths
from ganlab.networks.norms import ClassBatch, batch
from ganlab.networks.residual import Attention, Down, Up
from ganlab.networks.told import Embedded, OneHot
from ganlab.random import Given, Recorded, handed

W4 = {"width": 4}
R3 = {"width": 4, "blocks": 1, "expansion": 2, "group": 4}
FAMILIES = {
    "sngan": (sngan, W4, W4),
    "wgan_gp": (wgan_gp, W4, W4),
    "sagan": (sagan, {**W4, "attention": [1]}, {**W4, "attention": [1]}),
    "biggan": (biggan, {**W4, "hierarchical": True}, W4),
    "stylegan2": (stylegan2, {**W4, "w_dim": 6, "depth": 2, "mixing": 0.5}, {**W4, "group": 4}),
    "r3gan": (r3gan, R3, R3),
}
Z, B = 9, 6
Y = torch.arange(B) % 3


def pair(name, shape, g=None, d=None):
    torch.manual_seed(0)
    family, of_g, of_d = FAMILIES[name]
    return family.Generator(shape, Z, **of_g, **(g or {})), family.Discriminator(shape, **of_d, **(d or {}))


def double(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(seed=0):
    return handed(Recorded(torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("shape", [[1, 28, 28], [3, 32, 32], [2, 16, 24], [4, 64, 48], [1, 128, 128]], ids=str)
def test_any_channels_and_any_size_that_halves_and_channels_last_throughout(name, shape):
    G, D = pair(name, shape)
    seen = []
    for layer in (layer for net in (G, D) for layer in net.modules() if isinstance(layer, nn.Conv2d)):
        if layer.in_channels == 1:
            continue  # has both formats
        layer.register_forward_hook(lambda layer, x, y: seen.append(y.is_contiguous(memory_format=torch.channels_last)))
    x = G(torch.randn(2, Z), Y[:2])
    assert x.shape == (2, *shape)
    assert D(x, Y[:2]).shape == (2,)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert all(seen)
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in [*G.parameters(), *D.parameters()] if p.dim() == 4)
    if name not in ("stylegan2", "r3gan"):
        assert x.abs().max() <= 1


@pytest.mark.parametrize("name", FAMILIES)
def test_every_weight_matters_and_bf16_is_finite(name):
    G, D = pair(name, [3, 16, 16], {"told": OneHot(3)}, {"head": Projection(3)})
    for p in (p for net in (G, D) for p in net.parameters() if p.dim() != 1 and p.abs().mean() < 0.1):
        nn.init.normal_(p, std=0.5)  # what begins at 0, or near it, shuts others off
    weight = torch.linspace(-1, 1, B)  # not the plain sum, whose gradient BatchNorm removes
    for precise in (True, False):
        with drawn(), torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            logit = D(G(torch.randn(B, Z), Y), Y)
        (weight * logit.float()).sum().backward()
        for key, p in [*G.named_parameters(), *D.named_parameters()]:
            assert p.grad.isfinite().all(), key
            assert p.grad.abs().sum() > 0 or key.endswith("bias"), key
            p.grad = None


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_says_which_shape_it_cannot_do(name):
    for shape, said in (([2], r"needs images"), ([3, 8, 8], r"16 to 128"), ([3, 30, 32], r"try shape=\[3,28,32\]")):
        with pytest.raises(ValueError, match=rf"^{name} .*{said}"):
            pair(name, shape)


def count(build):
    with torch.device("meta"):
        return sum(p.numel() for p in build().parameters())


R768 = {"width": 768, "blocks": 2, "expansion": 2, "group": 16}
BIG = {"width": 64, "doublings": 4}
CBN, PROJECT = {"norm": ClassBatch(10)}, {"head": Projection(10)}
# (family, side, G, D, their parameters): counted in the code that each is from, whose outputs are equal, too (docs/networks.md)
COUNTS = {
    "mimicry sngan_32": (sngan, 32, {"width": 256}, {"width": 128}, 4_276_739, 1_053_825),
    "mimicry sngan_48": (sngan, 48, BIG, {**BIG, "halvings": 4, "flat": 1}, 4_878_083, 10_141_441),
    "mimicry sngan_64": (sngan, 64, BIG, {**BIG, "halvings": 5, "flat": 0}, 12_220_675, 10_141_441),
    "mimicry sngan_128": (sngan, 128, BIG, {**BIG, "halvings": 5, "flat": 1}, 32_150_787, 29_017_857),
    "mimicry wgan_gp_32": (wgan_gp, 32, {"width": 256}, {"width": 128}, 4_276_739, 1_053_825),
    "mimicry sagan_32": (sagan, 32, {"width": 256, "attention": [2], **CBN}, {"width": 128, "attention": [2], **PROJECT},
                         4_386_308, 1_075_586),
    "mimicry sagan_128": (sagan, 128, {**BIG, "attention": [3], **CBN},
                          {**BIG, "attention": [2], "halvings": 5, "flat": 1, **PROJECT}, 32_321_412, 29_048_578),
    "ajbrock BigGAN CIFAR-10": (biggan, 32, {"width": 256, **CBN}, {"width": 256, **PROJECT}, 4_304_387, 4_207_361),
    "ajbrock BigGAN 64": (
        biggan, 64,
        {"width": 128, "doublings": 3, "hierarchical": True, "attention": [3], "told": Embedded(10, 128), "z_dim": 120},
        {**BIG, "halvings": 4, "flat": 1, "attention": [1], **PROJECT}, 31_842_820, 19_558_082),
    "stylegan2-ada-pytorch cifar": (stylegan2, 32, {"width": 512, "w_dim": 512, "depth": 2, "mixing": 0.0, "z_dim": 512},
                                    {"width": 512, "group": 32, "residual": False}, 19_947_539, 20_720_641),
    "stylegan2-ada-pytorch 64, channel_base 2048, channel_max 64": (
        stylegan2, 64, {"width": 32, "doublings": 1, "w_dim": 512, "depth": 8, "mixing": 0.9, "z_dim": 512},
        {"width": 32, "doublings": 1, "group": 32}, 2_816_184, 366_945),
    "R3GAN CIFAR10": (r3gan, 32, {**R768, "z_dim": 64}, R768, 20_732_160, 20_683_776),
    "R3GAN FFHQ-64": (r3gan, 64, {**R768, "width": 384, "doublings": 1, "z_dim": 64}, {**R768, "width": 384, "doublings": 1},
                      22_429_824, 22_381_440),
}  # fmt: skip


@pytest.mark.parametrize("source", COUNTS)
def test_a_family_has_the_parameters_of_its_source(source):
    family, side, g, d, of_G, of_D = COUNTS[source]
    assert count(functools.partial(family.Generator, [3, side, side], **{"z_dim": 128, **g})) == of_G
    assert count(functools.partial(family.Discriminator, [3, side, side], **d)) == of_D


def test_widths_double_towards_coarser_maps_as_often_as_they_are_told():
    assert widths(64, 2, 4) == [64, 128, 256, 256]
    assert widths(8, 0, 3) == [8, 8, 8]
    assert pyramid("x", [1, 28, 28]) == (1, (7, 7), 2)
    assert pyramid("x", [3, 64, 48]) == (3, (8, 6), 3)


def test_doubling_and_halving_are_each_others_transpose_and_keep_a_constant():
    low, x, y = LowPass(2, 1).double(), double(2, 3, 4, 6), double(2, 3, 8, 12, seed=1)
    assert_close((doubled(x) * y).sum(), 4 * (x * low(y)).sum(), rtol=1e-12, atol=1e-12)
    ones = torch.ones(1, 1, 6, 6, dtype=torch.float64)
    assert_close(doubled(ones)[..., 1:-1, 1:-1], torch.ones(1, 1, 10, 10, dtype=torch.float64))
    assert_close(low(ones)[..., 1:-1, 1:-1], torch.ones(1, 1, 1, 1, dtype=torch.float64))
    line = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 4
    kernel = torch.outer(line, line).expand(3, 1, 4, 4)
    assert_close(doubled(x), conv_transpose2d(x, kernel, stride=2, padding=1, groups=3))


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_a_blocks_shortcut_may_double_after_its_convolution(mode):
    block = Up(3, 5, batch, mode).double().eval()
    x = double(2, 3, 4, 4)
    h = block.conv1(block.enlarge(block.norm1(x, None).relu()))
    by_hand = block.conv2(block.norm2(h, None).relu()) + block.short(block.enlarge(x))
    assert_close(block(x, None), by_hand, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("first", "wide"), [(True, False), (False, True), (False, False)])
def test_a_block_of_d_by_hand(first, wide):
    block, x = Down(3, 5, lambda channels, dims: [], halve=True, wide=wide, first=first).double(), double(2, 3, 6, 6)
    assert block.conv1.out_channels == (5 if first or wide else 3)
    pool = nn.AvgPool2d(2)
    h = pool(block.conv2(block.conv1(x if first else x.relu()).relu()))
    assert_close(block(x), h + pool(block.short(x)), rtol=1e-12, atol=1e-12)


def test_attention_by_hand_and_that_it_begins_as_nothing():
    layer, x = Attention(8).double(), double(2, 8, 4, 6)
    assert torch.equal(layer(x), x)
    layer.gamma.data.fill_(0.5)
    q, pool = layer.query(x), nn.MaxPool2d(2)
    k, v = pool(layer.key(x)), pool(layer.value(x))
    for i, j in itertools.product(range(4), range(6)):
        share = torch.einsum("bc,bchw->bhw", q[:, :, i, j], k).flatten(1).softmax(1).view(2, 2, 3)
        seen = torch.einsum("bhw,bchw->bc", share, v)[..., None, None]
        assert_close(layer(x)[:, :, i, j], x[:, :, i, j] + 0.5 * layer.out(seen)[:, :, 0, 0], rtol=1e-10, atol=1e-10)
    with pytest.raises(ValueError, match=r"attention = \[3\] is after blocks 1 to 2"):
        sagan.Generator([1, 16, 16], 4, 4, attention=[3])


def test_a_spectral_norm_holds_maps_and_no_table_of_a_g():
    nets = pair("biggan", [1, 16, 16], {"told": Embedded(3, 5)}, {"head": Projection(3)})
    for net, of in zip(nets, "GD", strict=True):
        SpectralNorm(of).attach(net)
    held = [
        {key.split(".parametrizations")[0] for key, _ in net.named_parameters() if "parametrizations" in key} for net in nets
    ]
    assert "told.rows" not in held[0]
    assert {"project.0", "blocks.0.0.conv1", "blocks.0.0.norm1.0.scale", "pixels.2"} <= held[0]
    assert {"head.embed", "head.linear", "trunk.0.conv1"} <= held[1]
    G, _ = pair("biggan", [1, 16, 16], {"told": OneHot(3)})
    SpectralNorm("G").attach(G)
    norms = [layer for layer in G.modules() if isinstance(layer, biggan.CodeBatchNorm)]
    assert norms
    assert not any(is_parametrized(part) for norm in norms for part in (norm.scale, norm.shift))
    assert is_parametrized(G.get_submodule("blocks.0.0.conv1"))
    G = sngan.Generator([1, 16, 16], 4, 4, norm=ClassBatch(3))
    SpectralNorm("G").attach(G)
    assert not is_parametrized(G.up[0].norm1[0])
    assert is_parametrized(G.up[0].conv1)


def test_tables_that_a_spectral_norm_held_are_what_came_of_it():
    """As in runs of before."""
    G, _ = pair("biggan", [1, 16, 16], {"told": OneHot(3)})
    state, linear = G.state_dict(), nn.Linear(6, 4, bias=False)
    name = "blocks.0.0.norm1.0.scale"
    assert state[f"{name}.weight"].shape == linear.weight.shape  # 3 classes and a share of z of 3
    SpectralNorm("G").attach(linear)
    linear.train()(torch.ones(1, 6))
    old = {f"{name}.{key}": value for key, value in linear.eval().state_dict().items()}
    G.load_state_dict({**{key: value for key, value in state.items() if key != f"{name}.weight"}, **old})
    assert_close(G.get_submodule(name).weight, linear.weight)


def test_each_block_of_biggan_is_told_the_class_and_a_share_of_z_of_its_own():
    G, _ = pair("biggan", [1, 16, 16], {"told": Embedded(3, 5)})
    G.double().eval()
    z, outs = double(1, Z), []
    for block in G.blocks:
        block.register_forward_hook(lambda block, x, y: outs.append(y))
    changed = {}
    for place in (0, 3, 8):  # of the first map, of the first block, of the last
        outs.clear()
        G(z, Y[:1])
        before = [*outs]
        outs.clear()
        other = z.clone()
        other[0, place] += 1
        G(other, Y[:1])
        changed[place] = [not torch.equal(a, b) for a, b in zip(before, outs, strict=True)]
    assert changed == {0: [True, True], 3: [True, True], 8: [False, True]}
    assert not torch.equal(G(z, Y[:1]), G(z, Y[1:2]))
    with pytest.raises(ValueError, match=r"a hierarchical z has 3 shares and prior.dim = 2"):
        biggan.Generator([1, 16, 16], 2, 4, hierarchical=True)


@pytest.mark.parametrize("up", [False, True])
def test_a_styled_convolution_has_weights_of_unit_norm_for_each_example(up):
    layer, x, w = (
        stylegan2.StyledConv(3, 5, 4, [12, 12] if up else [6, 6], up).double().eval(),
        double(2, 3, 6, 6),
        double(2, 4),
    )
    layer.bias.data, layer.strength.data = double(5), double(1)[0]
    for i in range(2):
        weight = layer.weight * layer.style(w[i : i + 1]).view(1, 3, 1, 1)
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        one = x[i : i + 1]
        bare = conv_transpose2d(one, weight.transpose(0, 1), stride=2) if up else conv2d(one, weight, padding=1)
        h = 4 * layer.low(bare) if up else bare
        h = h + layer.strength * layer.noise + layer.bias.view(1, 5, 1, 1)
        assert_close(layer(x, w)[i : i + 1], 2**0.5 * nn.functional.leaky_relu(h, 0.2), rtol=1e-10, atol=1e-10)


def test_noise_and_mixing_are_drawn_in_training_and_of_what_was_handed_in():
    G, _ = pair("stylegan2", [1, 16, 16])
    G.mixing = 1.0
    for conv in G.convs:
        conv.strength.data.fill_(1.0)
    z = torch.randn(B, Z)
    with drawn() as _, torch.no_grad():
        first = G(z, Y)
    recorded = Recorded(torch.Generator().manual_seed(0))
    with handed(recorded), torch.no_grad():
        again = G(z, Y)
        other = G(z, Y)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert {tuple(draw.shape) for draw in recorded.draws} == {(B, Z), (2,), (B, 1, 4, 4), (B, 1, 8, 8), (B, 1, 16, 16)}
    G.eval()
    with torch.no_grad():
        assert torch.equal(G(z, Y), G(z, Y))
        assert_close(G(z[:1], Y[:1]), G(z, Y)[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("happens", "where", "cut"), [(0.1, 0.0, 1), (0.1, 0.999, 5), (0.9, 0.5, 6)])
def test_mixing_gives_finer_maps_the_style_of_another_z(happens, where, cut):
    G, _ = pair("stylegan2", [1, 16, 16])  # six styles: of five convolutions, and of the last image
    z, other = torch.randn(B, Z), torch.randn(B, Z)
    with handed(Given([other, torch.tensor([happens, where])])):
        styles = G._styles(z, Y)
    mine, its = G.mapping(z), G.mapping(other)
    assert [torch.equal(style, mine) for style in styles] == [True] * cut + [False] * (6 - cut)
    assert all(torch.equal(style, its) for style in styles[cut:])


def test_the_standard_deviation_of_a_minibatch_by_hand_and_its_average_in_evaluation():
    layer, x = stylegan2.MinibatchStd(4).double(), double(6, 2, 3, 3)
    out = layer(x)  # groups of 3, the largest that 6 comes in: examples 0, 2, 4 and 1, 3, 5
    for i in range(6):
        std = (x[i % 2 :: 2].var(0, correction=0) + 1e-8).sqrt().mean()
        assert_close(out[i, 2], std.expand(3, 3), rtol=1e-12, atol=1e-12)
    assert torch.equal(out[:, :2], x)
    assert_close(layer.typical, 0.9 + 0.1 * out[:2, 2, 0, 0].mean(), rtol=1e-12, atol=1e-12)
    layer.eval()
    assert_close(layer(x)[:, 2], layer.typical.expand(6, 3, 3))


def test_r3gan_begins_with_blocks_that_do_nothing_and_weights_that_add_up():
    torch.manual_seed(0)
    block, x = r3gan.Block(64, 2, 16, blocks=16), torch.randn(1, 64, 4, 4)
    assert torch.equal(block(x), x)
    assert block[2].groups == 8
    gain = (2 / 1.04) ** 0.5 * 16**-0.25
    assert abs(block[0].weight.std() / (gain / 64**0.5) - 1) < 5 / (2 * 64 * 128) ** 0.5
    assert abs(block[2].weight.std() / (gain / (16 * 9) ** 0.5) - 1) < 5 / (2 * 128 * 16 * 9) ** 0.5
    with pytest.raises(ValueError, match=r"group = 3 but the blocks have 8 channels inside"):
        r3gan.Generator([1, 16, 16], 4, 4, 1, 2, 3)


def test_what_r3gan_multiplies_at_each_pixel_is_a_convolution_also_in_the_gradient_of_a_penalty():
    torch.manual_seed(0)
    layer = r3gan.PerPixel(3, 5).double()
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()
    found = []
    for y in (layer(x), torch.nn.functional.conv2d(x, layer.weight)):
        (slope,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
        found.append((y, slope, *torch.autograd.grad(slope.square().sum(), (layer.weight, x))))
    for product, convolution in zip(*found, strict=True):
        assert_close(product, convolution, rtol=1e-12, atol=1e-10)
    assert found[0][0].is_contiguous(memory_format=torch.channels_last)


def test_biggan_keeps_the_biases_that_torch_gives_and_the_other_families_begin_at_none():
    for family, none in (("biggan", False), ("sngan", True)):
        _, D = pair(family, [1, 16, 16], {}, {})
        biases = [layer.bias for layer in D.modules() if isinstance(layer, nn.Conv2d)]
        assert all(bool((bias == 0).all()) is none for bias in biases)


@pytest.mark.parametrize(("given", "told"), [
    ({"flat": -1}, "flat must be >= 0, got -1"), ({"halvings": 0}, "halvings must be >= 1, got 0"),
    ({"halvings": 7}, "halvings = 7 but a side has 16 pixels"),
])  # fmt: skip
def test_a_d_of_blocks_that_cannot_be_is_a_sentence(given, told):
    with pytest.raises(ValueError, match=told):
        pair("sngan", [1, 16, 16], {}, given)
