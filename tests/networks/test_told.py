"""Networks that are told y: heads of D, norms, what G is shown; and what refuses data without labels."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganlab.networks import dcgan, mlp, pacgan
from ganlab.networks.heads import Concatenation, Projection
from ganlab.networks.layers import LinearHead, Telling, one_hot
from ganlab.networks.norms import WORDS, ClassBatch, chosen
from ganlab.networks.told import OneHot, Told

Y = torch.tensor([0, 2, 1, 2])


def double(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_projection_is_linear_in_the_features_plus_their_product_with_the_row_of_the_class():
    head, phi = Projection(3)(5).double(), double(4, 5)
    w, b, rows = head.linear.weight[0], head.linear.bias[0], head.embed.weight
    by_hand = torch.stack([phi[i] @ w + b + sum(rows[c, j] * phi[i, j] for j in range(5)) for i, c in enumerate(Y.tolist())])
    assert_close(head(phi, Y), by_hand, rtol=1e-12, atol=1e-12)


def test_the_gradient_of_a_projection_reaches_the_rows_of_the_classes_that_are_there_and_no_other():
    head, phi = Projection(4)(5).double(), double(4, 5)
    head(phi, Y).sum().backward()
    by_class = torch.stack([phi[c == Y].sum(0) for c in range(4)])  # d logit / d row c, class 3 is not there
    assert_close(head.embed.weight.grad, by_class, rtol=1e-12, atol=1e-12)


def test_a_concatenation_by_hand_and_that_y_is_more_than_a_shift():
    head, phi = Concatenation(3, width=7)(5).double(), double(4, 5)
    W, b = head.hidden.weight, head.hidden.bias
    hidden = nn.functional.leaky_relu(phi @ W[:, :5].T + W[:, 5 + Y].T + b, 0.2)
    assert_close(head(phi, Y), hidden @ head.out.weight[0] + head.out.bias, rtol=1e-12, atol=1e-12)
    shifts = head(phi, torch.zeros(4, dtype=torch.long)) - head(phi, torch.ones(4, dtype=torch.long))
    assert shifts.std() > 1e-3


def test_g_is_shown_z_and_the_class_side_by_side():
    z = double(4, 2)
    assert torch.equal(OneHot(3)(z, Y), torch.cat([z, torch.eye(3, dtype=torch.float64)[Y]], 1))
    assert torch.equal(one_hot(Y, 3, like=z), torch.eye(3, dtype=torch.float64)[Y])
    assert Told()(z, Y) is z
    assert not [*OneHot(3).state_dict()]


@pytest.mark.parametrize(
    ("dims", "plain", "S"), [(0, nn.BatchNorm1d, ()), (2, nn.BatchNorm2d, (4, 5))], ids=["points", "images"]
)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_class_conditional_batch_norm_is_batch_norm_with_the_row_of_the_class(dims, plain, S, training):
    (norm,) = ClassBatch(3)(6, dims)
    norm.double().train(training)
    with torch.no_grad():
        norm.weight.copy_(double(3, 6, seed=1))
        norm.bias.copy_(double(3, 6, seed=2))
        norm.norm.running_mean.copy_(double(6, seed=3))
    x = double(4, 6, *S)
    out = norm(x, Y)
    for c in range(3):  # the whole minibatch normalises, and then each class has its own scale and shift
        one = plain(6).double().train(training)
        one.running_mean.copy_(double(6, seed=3))
        with torch.no_grad():
            one.weight.copy_(norm.weight[c])
            one.bias.copy_(norm.bias[c])
        assert_close(out[c == Y], one(x)[c == Y], rtol=1e-12, atol=1e-12)
    assert (norm.norm.num_batches_tracked.item() == 1) == training


def test_the_gradient_of_class_conditional_batch_norm_goes_to_the_rows_of_the_classes_that_are_there():
    (norm,) = ClassBatch(4)(6, 0)
    norm(torch.randn(4, 6), Y).square().sum().backward()
    assert [bool(row.abs().sum() > 0) for row in norm.weight.grad] == [True, True, True, False]


def test_layer_and_instance_norm_are_over_one_example_and_one_channel():
    x = double(3, 4, 5, 6)
    (layer,), (instance,) = (chosen(word)(4, 2) for word in ("layer", "instance"))
    by_example = x.flatten(1)
    wanted = (by_example - by_example.mean(1, keepdim=True)) / (by_example.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    assert_close(layer.double()(x), wanted.view_as(x), rtol=1e-12, atol=1e-12)
    assert_close(instance.double()(x), nn.functional.instance_norm(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("word", sorted(WORDS))
def test_dcgans_d_has_the_norm_that_a_word_or_a_recipe_names(word):
    def D(norm):
        torch.manual_seed(0)
        return dcgan.Discriminator([1, 16, 16], width=4, norm=norm)

    x, y = torch.randn(5, 1, 16, 16), torch.zeros(5, dtype=torch.long)
    by_word, by_recipe = D(word), D(WORDS[word])
    assert torch.equal(by_word(x, y), by_recipe(x, y))
    kinds = {type(layer).__name__ for layer in by_word.trunk}
    assert kinds & {"BatchNorm2d", "GroupNorm"} == {"batch": {"BatchNorm2d"}, "none": set()}.get(word, {"GroupNorm"})
    conv = [layer for layer in by_word.trunk if isinstance(layer, nn.Conv2d)][-1]
    assert (conv.bias is None) == (word != "none")
    if word != "batch":  # no example sees another
        assert_close(by_word(x[:1], y[:1]), by_word(x, y)[:1], rtol=1e-4, atol=1e-5)


def test_without_a_word_dcgans_d_is_that_of_before():
    def state(**norm):
        torch.manual_seed(0)
        return dcgan.Discriminator([1, 16, 16], width=4, **norm).state_dict()

    before, batch = state(), state(norm="batch")
    assert list(before) == list(batch)
    assert all(torch.equal(value, batch[name]) for name, value in before.items())
    assert [*before][:3] == ["trunk.0.weight", "trunk.0.bias", "trunk.2.weight"]
    assert "trunk.3.running_mean" in before


def test_what_is_no_norm_is_told():
    with pytest.raises(ValueError, match=r"norm = layr is not one of batch, layer, instance, none: did you mean layer\?"):
        dcgan.Discriminator([1, 16, 16], width=4, norm="layr")
    with pytest.raises(ValueError, match=r"norm = instance is over the pixels of images"):
        mlp.Generator([2], 2, 8, 2, nn.ReLU(), norm="instance")


@pytest.mark.parametrize("recipe", [Projection, ClassBatch, OneHot, lambda classes: Concatenation(classes, 8)])
def test_data_without_labels_are_refused(recipe):
    with pytest.raises(ValueError, match=r"wants labels and the data have none \(classes = 1\)"):
        recipe(1)


SMALL = {
    "mlp": lambda **more: mlp.Generator([2], 3, 8, 2, nn.ReLU(), **more),
    "pacgan": lambda **more: pacgan.Generator([2], 3, 8, 2, 0.5, **more),
    "dcgan": lambda **more: dcgan.Generator([1, 16, 16], 3, 4, **more),
}


@pytest.mark.parametrize("family", SMALL)
@pytest.mark.parametrize("more", [{"told": OneHot(3)}, {"norm": ClassBatch(3)}], ids=["concat", "cbn"])
def test_g_makes_another_x_of_another_class_and_that_of_its_own_class(family, more):
    G, z = SMALL[family](**more), torch.randn(4, 3)
    if "norm" in more:
        for layer in G.modules():
            for rows in (p for name, p in layer.named_parameters(recurse=False) if p.dim() == 2 and hasattr(layer, "told")):
                nn.init.normal_(rows)
    G.eval()
    with torch.no_grad():
        x, others = G(z, Y), G(z, (Y + 1) % 3)
        assert (x - others).abs().flatten(1).amax(1).min() > 1e-4
        assert_close(G(z[1:2], Y[1:2]), x[1:2], rtol=1e-4, atol=1e-5)


def test_a_chain_hands_y_to_those_that_are_told():
    chain = Telling(nn.Linear(2, 6), *ClassBatch(3)(6, 0), nn.ReLU())
    x = torch.randn(4, 2)
    assert torch.equal(chain(x, Y), chain[2](chain[1](chain[0](x), Y)))


def test_without_y_the_head_is_linear():
    assert isinstance(mlp.Discriminator([2], 8, 2, nn.ReLU()).head, LinearHead)
