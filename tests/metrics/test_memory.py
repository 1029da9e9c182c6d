"""Scores of memorisation and novelty: a G that copies its training images is exposed, held-out images are not, and a G of few
samples is."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from conftest import SHARED, points
from torch.testing import assert_close

from ganlab.data.idx import read_idx
from ganlab.data.images import Images
from ganlab.errors import UserError
from ganlab.features.training import save, train_classifier
from ganlab.metrics.cards import card, fingerprint
from ganlab.metrics.likelihood import GeneralisationGap, fitted, nll
from ganlab.metrics.memory import Authenticity, DataCopying, Vendi, k_means, mann_whitney_z, nearest_of, principal, vendi
from ganlab.run.build import scorer_of
from ganlab.settings import Metrics
from ganlab.types import Features

D = 8
ALL = (Authenticity, DataCopying, GeneralisationGap)


def law(n, seed):
    """Three clusters of features that are no Gaussians, [n, D] in float64."""
    middle = 6 * points(3, D, seed=99)
    return middle[torch.arange(n) % 3] + points(n, D, seed).tanh() + 0.3 * points(n, D, seed + 1000) ** 3


def itself(x):
    return Features(x, x)


itself.card = dict


def found(kind, train, unseen, fake, **settings):
    metric = kind(itself, held_out=unseen, **settings)
    for part in train.split(300):
        metric.update(part, real=True)
    metric.update(fake, real=False)
    return metric, metric.compute().item()


@pytest.fixture(scope="module")
def train():
    return law(900, seed=0)


@pytest.fixture(scope="module")
def unseen():
    return law(600, seed=1)


def test_copies_are_exposed_held_out_examples_are_not_and_neither_is_what_is_far(train, unseen):
    kinds = {"copies": train[:600], "nearly": train[:600] + 0.01 * points(600, D, 5), "law": law(600, seed=2),
             "half": torch.cat([train[:300], law(300, seed=2)]), "far": law(600, seed=2) + 3 * points(600, D, 6)}  # fmt: skip
    cheap = {GeneralisationGap: {"most": 300}}
    auth, c_t, gap = (
        {name: found(kind, train, unseen, fake, **cheap.get(kind, {}))[1] for name, fake in kinds.items()} for kind in ALL
    )
    assert auth["copies"] == 0
    assert auth["nearly"] < 0.02
    metric, _ = found(Authenticity, train, unseen, kinds["law"])
    real = metric.details["held_out"]
    assert abs(auth["law"] - real) < 3 * math.sqrt(2 * real * (1 - real) / 600)
    assert auth["half"] == pytest.approx(auth["law"] / 2, abs=0.05)
    assert auth["far"] > 0.95
    assert c_t["copies"] <= c_t["nearly"] < -10  # of ranks: nearer than all is nearer than all
    assert c_t["half"] < -3
    assert abs(c_t["law"]) < 3
    assert c_t["far"] > 10
    assert gap["copies"] < -300
    assert max(gap["nearly"], gap["half"]) < -100
    assert max(abs(gap["law"]), abs(gap["far"])) < 10


def test_c_t_of_held_out_examples_is_about_zero_and_sees_a_tenth_of_copies_with_more_samples(train):
    values = [found(DataCopying, train, law(600, seed=10 + s), law(600, seed=50 + s))[1] for s in range(20)]
    assert abs(np.mean(values)) < 3 * np.std(values) / 20**0.5 + 0.1
    assert np.std(values) < 1.1
    some = torch.cat([train[:60], law(540, seed=3)])
    few, many = found(DataCopying, train, law(600, 4), some)[1], found(DataCopying, train, law(6000, 4), some.repeat(10, 1))[1]
    assert many < -3 < few


def test_authenticity_is_its_definition(train, unseen):
    fake = law(50, seed=7)
    count = 0
    for x in fake:
        distance = (train - x).norm(dim=1)
        nearest = distance.argmin()
        others = (train - train[nearest]).norm(dim=1)
        others[nearest] = torch.inf
        count += bool(distance[nearest] > others.min())
    assert found(Authenticity, train, unseen, fake)[1] == count / 50


def test_the_z_is_that_of_the_ranks_and_normal_on_equal_laws():
    a, b = points(40, 1, 0).flatten(), points(30, 1, 1).flatten() + 1
    ranks = scipy.stats.rankdata(torch.cat([a, b]).numpy())
    U = ranks[:40].sum() - 40 * 41 / 2
    assert mann_whitney_z(a, b) == pytest.approx((U - 600 + 0.5) / math.sqrt(40 * 30 * 71 / 12))
    values = [mann_whitney_z(points(100, 1, s).flatten(), points(100, 1, s + 500).flatten()) for s in range(300)]
    assert abs(np.mean(values)) < 0.2
    assert 0.9 < np.std(values) < 1.1


def test_neighbours_are_those_of_all_distances_and_cells_are_the_clusters(train, monkeypatch):
    monkeypatch.setattr("ganlab.metrics.memory.BLOCK", 7 * len(train))
    whole = torch.cdist(train, train, compute_mode="donot_use_mm_for_euclid_dist")
    assert torch.equal(nearest_of(train, train)[1], torch.arange(len(train)))
    whole.fill_diagonal_(torch.inf)
    assert_close(nearest_of(train, train, itself=True), tuple(whole.min(1)), rtol=1e-6, atol=1e-6)
    assert nearest_of(train, train)[0].max() < 1e-6
    cell = torch.cdist(train, k_means(train, 3)).argmin(1)
    assert all(len(set(cell[k::3].tolist())) == 1 for k in range(3))
    assert len(cell.unique()) == 3


def test_components_keep_distances_where_the_rest_does_not_vary():
    x = points(200, 10, 0) @ points(10, 100, 1)
    few, other = principal(x, x[:50] + 1)
    assert few.shape == (200, 64)
    assert_close(torch.pdist(few), torch.pdist(x))
    assert other.shape == (50, 64)
    assert principal(x[:, :64])[0] is not None


def test_the_fit_descends_as_autograd_does(train):
    centres, x = law(40, seed=3), train[:100]
    squared, around = torch.cdist(x, centres) ** 2, 0.81 * (x - x.mean(0)).square().sum(1, keepdim=True)
    logs = torch.cat([((squared.amin(0) + 1e-3) / D).log(), torch.zeros(1).double()]).requires_grad_(True)
    adam = torch.optim.Adam([logs], lr=0.5)
    for _ in range(50):
        adam.zero_grad()
        every = -0.5 * (torch.cat([squared, around], 1) / logs.exp() + D * (logs + math.log(2 * math.pi)))
        every = torch.cat([every[:, :-1] - math.log(40), every[:, -1:]], 1)
        (-every.logsumexp(1).mean() / D).backward()
        adam.step()
    assert_close(fitted(centres, x), logs.detach()[:-1], rtol=1e-4, atol=1e-4)


def test_the_likelihood_is_that_of_the_mixture():
    centres, x, log_var = points(5, 3, 0), points(20, 3, 1), points(5, 1, 2).flatten()
    mixture = sum(
        scipy.stats.multivariate_normal(c.numpy(), math.exp(v) * np.eye(3)).pdf(x.numpy())
        for c, v in zip(centres, log_var.tolist(), strict=True)
    )
    assert nll(centres, log_var, x).item() == pytest.approx(-np.log(mixture / 5).mean() / 3)


def test_features_that_do_not_vary_are_left_out_of_the_likelihood(train, unseen):
    fake = law(300, seed=2)
    dead = [torch.cat([part, torch.zeros(len(part), 2)], 1) for part in (train, unseen, fake)]
    assert found(GeneralisationGap, *dead)[1] == pytest.approx(found(GeneralisationGap, train, unseen, fake)[1])


def test_vendi_counts_different_samples():
    """k orthogonal ones, equally often: k; the same one: 1; n of them, about the rank of the law."""
    assert vendi(torch.eye(12, dtype=torch.float64)[:5].repeat(7, 1)) == pytest.approx(5)
    assert vendi(points(1, 12).repeat(50, 1)) == pytest.approx(1)
    x, few = points(500, 12, 0), points(500, 12, 0)[torch.arange(500) % 4]
    assert vendi(few) < 4.001 < 11 < vendi(x) < 12
    assert vendi(x[:8]) == pytest.approx(vendi(x[:8].repeat(5, 1)))  # by either matrix
    metric = Vendi(itself)
    metric.update(x, real=True)
    metric.update(few, real=False)
    assert metric.compute().item() == pytest.approx(vendi(few))
    assert metric.details == {"real": pytest.approx(vendi(x))}


def test_vendi_is_that_of_its_authors():
    theirs = pytest.importorskip("vendi_score.vendi")
    for shape in ((40, 12), (12, 40)):
        x = points(*shape, 3).relu()
        assert vendi(x) == pytest.approx(theirs.score_dual(x.numpy()))


def test_a_card_says_which_examples_were_held_out(train, unseen):
    metric = Authenticity(itself, held_out=unseen)
    said = card(metric, {}, "law", "abc", 900, 600, "EMA")
    assert said["held_out_sha256"] == fingerprint(unseen)
    assert "held_out" not in said["settings"]
    assert "held_out_sha256" not in card(Vendi(itself), {}, "law", "abc", 900, 600, "EMA")


@pytest.mark.parametrize("kind", ALL)
def test_broken_samples_have_no_score_and_what_was_seen_is_not_seen_again(kind, train, unseen):
    looks = []

    def eye(x):
        looks.append(len(x))
        return Features(x, x)

    metric = kind(eye, held_out=unseen)
    metric.update(train, real=True)
    for _ in range(2):
        metric.reset()
        metric.update(law(100, 2), real=False)
        assert not metric.compute().isnan()
    assert looks == [900, 100, 500, 100, 100]
    metric.update(torch.full((1, D), math.nan).double(), real=False)
    assert metric.compute().isnan()
    assert kind.higher_is_better is None


def test_data_without_a_test_split_is_asked_for_one():
    node = {"_target_": "ganlab.metrics.memory.DataCopying", "extractor": {"_target_": "ganlab.features.classifier.load"}}
    metrics = Metrics(every=1, n=30, scores={"c_t": node}, picture=None)
    data = {"_target_": "ganlab.data.datasets.images", "source": "x", "shape": [1, 8, 8], "split": "train+test"}
    source = Images(torch.zeros(99, 1, 8, 8, dtype=torch.uint8), torch.zeros(99, dtype=torch.long), ["a"])
    with pytest.raises(UserError, match=r"c_t needs images that G is not trained on.*: give data.split=train::90%"):
        scorer_of(metrics, data, source, "EMA", 0)


@pytest.mark.long
@pytest.mark.skipif(not (SHARED / "MNIST").is_dir(), reason=f"no MNIST in {SHARED}")
def test_on_real_digits_copies_are_exposed_and_held_out_digits_are_not(tmp_path):
    """The calibration of docs/scores.md, smaller."""
    from ganlab.features.classifier import load

    def digits(prefix, n, start=0):
        x = read_idx(SHARED / "MNIST" / "raw" / f"{prefix}-images-idx3-ubyte", axes=3)[start : start + n]
        y = read_idx(SHARED / "MNIST" / "raw" / f"{prefix}-labels-idx1-ubyte", axes=1)[start : start + n]
        return x[:, None].contiguous(), y.long()

    (x, y), (unseen, _) = digits("train", 6000), digits("t10k", 3000)
    order = torch.randperm(len(unseen), generator=torch.Generator().manual_seed(0))
    unseen = unseen[order].float() / 127.5 - 1
    save(train_classifier(x, y, list("0123456789"), None, 0, 1, width=8), tmp_path / "eye.pt")
    eye, x = load(str(tmp_path / "eye.pt")), x[:3000].float() / 127.5 - 1

    def of(kind, fake):
        metric = kind(eye, **({} if kind is Vendi else {"held_out": unseen[:1500]}))
        for part in x.split(500):
            metric.update(part, real=True)
        for part in fake.split(500):
            metric.update(part, real=False)
        return metric.compute().item()

    copies, real, few = x[:1500], unseen[1500:], unseen[1500:1503].repeat(500, 1, 1, 1)
    assert of(Authenticity, copies) == 0
    assert of(Authenticity, real) > 0.3
    assert of(DataCopying, copies) < -20
    assert abs(of(DataCopying, real)) < 3
    assert of(GeneralisationGap, copies) < -100
    assert abs(of(GeneralisationGap, real)) < 10
    assert of(Vendi, few) <= 3 < of(Vendi, real)  # of ten digits it sees little: their features have much in common
