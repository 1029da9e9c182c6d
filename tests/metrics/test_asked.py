"""Scores of what was asked for."""

import pytest
import torch
from torch.testing import assert_close

from ganlab.data.toy import Mixture, ring
from ganlab.metrics.conditional import ClassAccuracy, ClassFrechetDistance, ComponentAccuracy
from ganlab.metrics.frechet import FrechetDistance
from ganlab.random import generator_of
from ganlab.types import Features


class Pixels:
    """An extractor whose features are four pixels, and whose verdict is the largest of the first three."""

    dims, classes = 4, 3

    def __call__(self, x):
        flat = x.flatten(1)
        return Features(flat, flat[:, :3])

    def card(self):
        return {"name": "pixels"}


class Labelled:
    shape, classes = (1, 2, 2), 3


def images(n, seed, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(3, (n,), generator=generator)
    x = (
        torch.randn(n, 1, 2, 2, generator=generator, dtype=torch.float64) * (1 + y[:, None, None, None])
        + shift * y[:, None, None, None]
    )
    return x, y


def test_fid_within_classes_is_the_mean_of_fid_on_each_class_alone():
    (x, y), (a, asked) = images(300, 0), images(240, 1, shift=0.3)
    score = ClassFrechetDistance(Pixels(), Labelled())
    for part, labels in zip(x.split(100), y.split(100), strict=True):
        score.update(part, real=True, y=labels)
    for part, labels in zip(a.split(100), asked.split(100), strict=True):
        score.update(part, real=False, y=labels)
    of_class = []
    for c in range(3):
        alone = FrechetDistance(Pixels())
        alone.update(x[y == c], real=True)
        alone.update(a[asked == c], real=False)
        of_class.append(alone.compute().item())
    assert score.compute().item() == pytest.approx(sum(of_class) / 3, rel=1e-10)
    assert score.details["classes"] == pytest.approx(of_class, rel=1e-10)
    assert score.details["expected_bias"] > 0


def test_fid_within_classes_sees_classes_that_are_mixed_up_where_fid_does_not():
    (x, y), (a, asked) = images(600, 0), images(600, 1)
    mixed, whole = [], []
    for labels in (asked, (asked + 1) % 3):
        score, all_together = ClassFrechetDistance(Pixels(), Labelled()), FrechetDistance(Pixels())
        score.update(x, real=True, y=y)
        score.update(a, real=False, y=labels)
        all_together.update(x, real=True)
        all_together.update(a, real=False)
        mixed.append(score.compute().item())
        whole.append(all_together.compute().item())
    assert mixed[1] > 10 * mixed[0]
    assert whole[0] == whole[1]


def test_reset_keeps_what_is_real_and_too_few_or_not_finite_are_nan():
    (x, y), (a, asked) = images(300, 0), images(240, 1)
    score = ClassFrechetDistance(Pixels(), Labelled())
    score.update(x, real=True, y=y)
    score.update(a, real=False, y=asked)
    first = score.compute()
    score.reset()
    score.update(a, real=False, y=asked)
    assert torch.equal(score.compute(), first)
    score.reset()
    score.update(a, real=False, y=torch.zeros_like(asked))  # nothing was asked of two classes
    assert score.compute().isnan()
    score.reset()
    score.update(a / 0, real=False, y=asked)
    assert score.compute().isnan()


def test_component_accuracy_counts_the_nearest_in_standard_deviations():
    source = Mixture(torch.tensor([[0.0, 0.0], [10.0, 0.0]]), torch.tensor([[4.0, 4.0], [1.0, 1.0]]))
    score = ComponentAccuracy(source)
    x = torch.tensor(
        [[1.0, 0.0], [7.5, 0.0], [9.0, 0.0], [torch.nan, 0.0]]
    )  # 7.5 is nearer to 10, and 1.9 against 2.5 deviations
    score.update(x, real=False, y=torch.tensor([0, 0, 1, 0]))
    score.update(x, real=True, y=torch.tensor([1, 1, 1, 1]))
    assert score.compute().item() == 3 / 4
    assert_close(torch.tensor(score.details["classes"]), torch.tensor([2 / 3, 1.0]))
    score.reset()
    score.update(x[:1], real=False, y=torch.tensor([1]))
    assert score.compute().item() == 0


def test_data_have_all_their_components_right_and_labels_at_random_one_in_k():
    source = ring(8, 1.0, 0.02)
    x, y = source.sample(4000, generator_of(0, "x"))
    for labels, wanted in ((y, 1.0), (y.roll(1), 1 / 8)):
        score = ComponentAccuracy(source)
        score.update(x, real=False, y=labels)
        assert score.compute().item() == pytest.approx(wanted, abs=0.03)


def test_class_accuracy_is_the_verdict_of_the_classifier():
    score = ClassAccuracy(Pixels(), Labelled())
    x = torch.eye(4)[[0, 1, 2, 1]].view(4, 1, 2, 2)
    score.update(x, real=False, y=torch.tensor([0, 1, 1, 1]))
    assert score.compute().item() == 3 / 4


def test_a_classifier_of_other_classes_is_refused():
    class Others(Labelled):
        classes = 7

    with pytest.raises(ValueError, match=r"its classifier knows 3 classes and the data 7"):
        ClassAccuracy(Pixels(), Others()).update(torch.zeros(1, 1, 2, 2), real=False, y=torch.zeros(1, dtype=torch.long))
