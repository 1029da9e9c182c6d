"""Scores on real digits through a classifier that ganlab has trained on them, as a user has them."""

import pytest
import torch
from conftest import SHARED
from torch.nn.functional import avg_pool2d

from ganlab.data.datasets import torchvision_images
from ganlab.features.classifier import load
from ganlab.features.training import save, train_classifier
from ganlab.metrics.classes import ClassKL
from ganlab.metrics.frechet import FrechetDistance
from ganlab.metrics.prdc import Coverage, Precision, Recall

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")]


@pytest.fixture(scope="module")
def digits():
    """8,000 digits in [-1, 1], shuffled (each writer's are together), that the classifier has not seen, and their labels."""
    x, y = torchvision_images("MNIST", str(SHARED), None, [1, 28, 28], "train:20000:").reference(8000)
    order = torch.randperm(8000, generator=torch.Generator().manual_seed(0))
    return x[order], y[order]


@pytest.fixture(scope="module")
def eye(tmp_path_factory):
    torch.set_num_threads(1)
    data = torchvision_images("MNIST", str(SHARED), None, [1, 28, 28], "train:0:20000")
    file = train_classifier(data.x[:8000], data.y[:8000], data.names, (data.x[8000:9000], data.y[8000:9000]), seed=0, epochs=2)
    assert file["accuracy"] > 0.95
    path = tmp_path_factory.mktemp("eye") / "mnist.pt"
    save(file, path)
    return load(str(path))


def score(metric, real, fake):
    metric.update(real, real=True)
    metric.update(fake, real=False)
    return float(metric.compute())


def test_fid_of_two_halves_of_mnist_is_near_its_bias_and_falls_as_one_over_n(digits, eye):
    x, _ = digits
    found = {}
    for n in (1000, 4000):
        halves = [FrechetDistance(eye) for _ in range(0, 8000, 2 * n)]
        values = [score(metric, *pair.chunk(2)) for metric, pair in zip(halves, x.split(2 * n), strict=True)]
        found[n] = sum(values) / len(values)
        expected = sum(metric.expected_bias() for metric in halves) / len(halves)
        assert found[n] == pytest.approx(expected, rel=0.35)
    assert found[1000] / found[4000] == pytest.approx(4, rel=0.4)


def test_fid_rises_with_noise_blur_and_dropped_digits(digits, eye):
    (real, fake), labels = digits[0][:4000].split(2000), digits[1][2000:4000]
    noise = torch.randn(fake.shape, generator=torch.Generator().manual_seed(0))

    def blurred(times):
        x = fake
        for _ in range(times):
            x = avg_pool2d(x, 3, stride=1, padding=1)
        return x

    for steps in (
        [fake + std * noise for std in (0.0, 0.25, 0.5, 1.0)],
        [blurred(times) for times in (0, 1, 2, 3)],
        [fake[labels < kept] for kept in (10, 8, 5, 2)],
    ):
        values = [score(FrechetDistance(eye), real, x) for x in steps]
        assert values == sorted(values)
        assert values[1] > 1.5 * values[0]


def test_a_generator_of_half_of_the_digits_is_precise_and_does_not_recall(digits, eye):
    (real, fake), labels = digits[0][:4000].split(2000), digits[1][2000:4000]
    whole, half = fake, fake[labels < 5]
    assert score(Precision(eye), real, half) > 0.9
    assert score(Recall(eye), real, half) < 0.7 < 0.9 < score(Recall(eye), real, whole)
    assert score(Coverage(eye), real, half) < 0.65 < 0.85 < score(Coverage(eye), real, whole)
    assert score(ClassKL(eye), real, whole) < 0.02
    assert score(ClassKL(eye), real, half) == pytest.approx(0.693, abs=0.06)  # log 2, and the classifier's mistakes
