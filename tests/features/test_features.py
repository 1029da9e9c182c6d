"""Extractors: what they remember and where they are from, the classifier that ganlab trains, Inception, nearest neighbours."""

import copy
import gzip
import hashlib
import pickle
import struct
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SHARED
from PIL import Image
from torch import nn
from torch.testing import assert_close

from ganlab.commands.features import make
from ganlab.data.datasets import torchvision_images
from ganlab.errors import LONGEST, UserError
from ganlab.features import kept, training
from ganlab.features.classifier import Net, load
from ganlab.features.clip import clip
from ganlab.features.extractor import Frozen, sha256
from ganlab.features.inception import SIZE, inception
from ganlab.features.nearest import nearest, picture
from ganlab.features.training import augmented, save, train_classifier
from ganlab.metrics.frechet import FrechetDistance
from ganlab.metrics.inception import InceptionScore
from ganlab.metrics.kernel import KernelDistance
from ganlab.pixels import to_float, to_uint8
from ganlab.run.config import build
from ganlab.types import Extractor, Features

needs_mnist = pytest.mark.skipif(not (SHARED / "MNIST").is_dir(), reason=f"no MNIST in {SHARED}")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Counting(nn.Module):
    """Features and logits of images that anyone can compute; counts the images that it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.seen = nn.BatchNorm2d(1), 0

    def forward(self, x):
        self.seen += len(x)
        return self.norm(x).flatten(1), x.flatten(1)[:, :2]


def frozen(chunk: int = 4) -> Frozen:
    return Frozen(Counting(), dims=16, classes=2, chunk=chunk, about={"name": "a test"})


def stripes(n: int = 80, C: int = 1, side: int = 8, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """x uint8 [n, C, side, side] and y: stripes across (0) or upright (1), with noise."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 2
    wave = (torch.arange(side) // 2 % 2 * 150).float().expand(side, side)
    x = torch.where(y[:, None, None].bool(), wave, wave.T)[:, None].expand(n, C, side, side)
    return (x + 100 * torch.rand(x.shape, generator=generator)).to(torch.uint8), y


def small(seed: int = 0, **changes) -> dict:
    x, y = stripes()
    given = {"names": ["across", "upright"], "held_out": stripes(40, seed=1), "epochs": 6, "name": "stripes", "width": 4}
    return train_classifier(x, y, seed=seed, **{**given, **changes})


@pytest.fixture(scope="session")
def trained() -> dict:
    return small()


@pytest.fixture
def file(tmp_path: Path, trained: dict) -> Path:
    save(trained, tmp_path / "stripes.pt")
    return tmp_path / "stripes.pt"


# What extractors share


def test_the_sha256_is_of_names_types_shapes_and_bytes_and_of_nothing_else():
    a = {"w": torch.arange(12.0).view(1, 3, 2, 2), "n": torch.tensor(3)}
    same = {"n": a["n"].clone(), "w": a["w"].contiguous(memory_format=torch.channels_last)}
    assert sha256(same) == sha256(a)
    assert len(sha256(a)) >= 12
    changed = a["w"].clone()
    changed[0, 0, 0, 0] = torch.finfo(torch.float32).smallest_normal
    for other in (
        {**a, "w": changed},
        {**a, "w": a["w"].view(3, 4)},
        {**a, "w": a["w"].view(torch.int32)},
        {"v": a["w"], "n": a["n"]},
        {"w": a["w"]},
    ):
        assert sha256(other) != sha256(a)


def test_scores_that_ask_for_the_same_x_share_one_forward_pass():
    extractor, x = frozen(), torch.rand(10, 1, 4, 4)
    first = extractor(x)
    assert extractor(x) is first
    assert extractor.net.seen == 10
    other = extractor(x.clone())  # equal, but how should it know
    assert extractor.net.seen == 20
    assert_close(other, first)
    assert extractor(x) is not first  # only the newest is remembered
    assert extractor.net.seen == 30


def test_an_x_that_was_changed_in_place_is_looked_at_again():
    extractor, x = frozen(), torch.zeros(3, 1, 4, 4)
    before = extractor(x)
    x += 1
    after = extractor(x)
    assert_close(after.logits, before.logits + 1)
    assert extractor.net.seen == 6


def test_an_x_that_is_gone_is_not_kept_alive_nor_taken_for_the_next_one():
    extractor = frozen()
    for value in range(20):  # tensors of one size are born where the last one died
        assert_close(extractor(torch.full((2, 1, 4, 4), float(value))).logits, torch.full((2, 2), float(value)))


@pytest.mark.parametrize("chunk", [1, 3, 10, 50])
def test_a_forward_pass_in_pieces_equals_one_in_one(chunk):
    x = torch.rand(10, 1, 4, 4)
    assert_close(frozen(chunk)(x), frozen(10)(x))


def test_looking_changes_neither_the_net_nor_the_gradients():
    extractor, x = frozen(), torch.rand(6, 1, 4, 4, requires_grad=True)
    before = copy.deepcopy(extractor.net.state_dict())
    extractor.net.norm.running_mean.fill_(0.5)  # what training mode would overwrite
    seen = extractor(x)
    assert not seen.features.requires_grad
    assert seen.features.dtype == seen.logits.dtype == torch.float32
    assert_close(extractor.net.norm.running_mean, torch.full((1,), 0.5))
    assert_close(extractor.net.norm.num_batches_tracked, before["norm.num_batches_tracked"])


def test_numbers_are_the_same_under_autocast_and_in_inference_mode():
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    both = nn.ModuleList([net])
    both.forward = lambda x: (net(x), net(x))
    extractor = Frozen(both, 3, 3, 4, {"name": "a test"})
    x = torch.rand(6, 1, 4, 4)
    expected = net(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_close(extractor(x).features, expected, rtol=0, atol=1e-6)
    with torch.inference_mode():
        y = x.clone()
        assert_close(extractor(y).features, expected, rtol=0, atol=1e-6)


def test_a_metric_that_holds_an_extractor_neither_copies_nor_saves_its_weights():
    extractor = frozen()
    assert isinstance(extractor, Extractor)
    assert not isinstance(extractor, nn.Module)
    assert copy.deepcopy([extractor, extractor])[1] is extractor


def test_points_are_refused():
    with pytest.raises(UserError, match=r"a test looks at images \(C, H, W\) with C = 1 or 3 but is given \[2\]"):
        frozen()(torch.zeros(5, 2))


# The classifier


def test_a_classifier_learns_stripes_and_says_so(trained, file):
    assert trained["accuracy"] == 1.0
    extractor, (x, y) = load(str(file)), stripes(30, seed=2)
    seen = extractor(to_float(x))
    assert seen.features.shape == (30, extractor.dims)
    assert seen.logits.shape == (30, extractor.classes) == (30, 2)
    assert torch.equal(seen.logits.argmax(1), y)
    card = extractor.card()
    assert card["name"] == "classifier of stripes"
    assert card["sha256"] == sha256(trained["state"])
    assert card["data"] == sha256(dict(zip("xy", stripes(), strict=True)))
    assert (card["accuracy"], card["held_out"]) == (1.0, "40 other images")
    assert (card["size"], card["resize"]) == ([1, 8, 8], "none")


def test_accuracy_is_the_share_of_hits_on_the_held_out_images(trained):
    net = Net((1, 8, 8), 2, trained["width"], trained["dims"])
    net.load_state_dict(trained["state"])
    x, y = stripes(40, seed=1)
    y[:10] = 1 - y[:10]
    assert training.accuracy(net, x, y) == 0.75


def test_without_held_out_images_a_tenth_is_not_trained_on(monkeypatch):
    kept = []
    monkeypatch.setattr(training, "_descend", lambda net, x, y, *_: kept.append((x, y)))
    monkeypatch.setattr(training, "accuracy", lambda net, x, y: kept.append((x, y)) or 0.5)
    x, y = torch.arange(200).view(200, 1, 1, 1).expand(-1, 1, 8, 8).to(torch.uint8), torch.arange(200) % 2
    file = train_classifier(x, y, ["a", "b"], None, seed=0, epochs=1)
    (used, _), (held_out, labels) = kept
    assert (len(used), len(held_out)) == (180, 20)
    assert sorted(torch.cat([used, held_out])[:, 0, 0, 0].tolist()) == list(range(200))
    assert torch.equal(held_out[:, 0, 0, 0] % 2, labels)
    assert (file["accuracy"], file["held_out"]) == (0.5, "20 images, a random tenth of the data")


def test_a_seed_decides_every_bit_of_the_weights_and_nothing_else_does(trained):
    state = torch.get_rng_state()
    again = small()
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert sha256(small()["state"]) == sha256(again["state"]) == sha256(trained["state"])
    assert sha256(small(seed=1)["state"]) != sha256(trained["state"])
    assert sha256(small(flip=True)["state"]) != sha256(trained["state"])


def test_any_size_of_image_has_a_net():
    for shape in ((1, 8, 8), (3, 8, 40), (1, 28, 28), (3, 33, 17), (3, 96, 96)):
        features, logits = Net(shape, 5, 4, 16)(torch.rand(2, *shape))
        assert (features.shape, logits.shape) == ((2, 16), (2, 5))
        assert (features >= 0).all()


def test_an_image_is_moved_within_its_reflection():
    x = torch.arange(24 * 26).view(1, 1, 24, 26).expand(300, 3, 24, 26)
    moved = augmented(x, torch.Generator().manual_seed(0), flip=False)
    wide = nn.functional.pad(x[:1].float(), (2, 2, 2, 2), mode="reflect")
    known = {wide[0, 0, i : i + 24, j : j + 26].numpy().tobytes() for i in range(5) for j in range(5)}
    assert {image[0].float().numpy().tobytes() for image in moved} == known  # all 25, and no other
    assert (moved[:, 0] == moved[:, 2]).all()
    flipped = augmented(x, torch.Generator().manual_seed(0), flip=True)
    mirrored = (flipped[:, 0, 0, 0] > flipped[:, 0, 0, -1]).float().mean()
    assert 0.4 < mirrored < 0.6
    both = known | {np.frombuffer(image, np.float32).reshape(24, 26)[:, ::-1].tobytes() for image in known}
    assert {image[0].float().numpy().tobytes() for image in flipped} <= both


def test_what_cannot_be_classified_is_refused():
    x, y = stripes(40)
    for change, sentence in (
        ({"names": ["only"], "y": 0 * y}, r"two classes or more but all 40 images are of one \(only\): sort them"),
        ({"names": []}, r"all 40 images are of one \(unnamed\)"),
        ({"names": ["a", "b", "c"]}, "10 images of each class but there are 0 of c: add more"),
        ({"x": x[:18], "y": y[:18]}, "10 images of each class but there are 9 of a"),
        ({"x": x[..., :7, :]}, r"H, W >= 8 but these have \[1, 7, 8\]"),
        ({"x": x.expand(-1, 2, -1, -1)}, r"with C = 1 or 3 and H, W >= 8 but these have \[2, 8, 8\]"),
        ({"x": x.flatten(1)}, r"these have \[64\]"),
    ):
        with pytest.raises(UserError, match=sentence):
            train_classifier(**{"x": x, "y": y, "names": ["a", "b"], "held_out": None, "seed": 0, "epochs": 1, **change})


def test_all_who_name_the_same_file_share_one_net(file):
    node = {"_target_": "ganlab.features.classifier.load", "path": str(file)}
    a, b = build(node, "metrics.features"), load(str(file))
    assert a is b
    holder = {"_target_": "ganlab.features.nearest.Neighbours", "index": node, "distance": node}  # anything with two parts
    assert build(holder, "metrics.scores.fid").index is build(holder, "metrics.scores.kid").distance is a
    save(small(seed=3), file)
    assert load(str(file)).card()["sha256"] != a.card()["sha256"]


def test_images_of_another_shape_are_refused(file):
    extractor = load(str(file))
    for shape in ((3, 8, 8), (1, 16, 16)):
        with pytest.raises(UserError, match=r"stripes.pt was trained on images of shape \[1, 8, 8\] but is given \["):
            extractor(torch.zeros(2, *shape))
        with pytest.raises(UserError, match="make one for these with `ganlab features data=NAME`"):
            extractor.check(shape)
    extractor.check((1, 8, 8))


def test_a_missing_file_is_named_with_what_makes_it(tmp_path):
    with pytest.raises(
        UserError, match=r"features/mnist.pt is missing \(No such .*\): make it with `ganlab features data=mnist`"
    ):
        load(str(tmp_path / "features" / "mnist.pt"))
    with pytest.raises(UserError, match=r"nope.pt is missing .*: make it with `ganlab features data=\.\.\. --out .*nope.pt`"):
        load(str(tmp_path / "nope.pt"))


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


@pytest.mark.parametrize("damage", ["truncated", "a flipped bit", "empty", "a checkpoint", "a pickle", "another format"])
def test_a_damaged_or_foreign_file_is_refused_and_never_executed(file, damage, monkeypatch, tmp_path, trained):
    monkeypatch.chdir(tmp_path)
    content = bytearray(file.read_bytes())
    if damage == "truncated":
        file.write_bytes(content[:-100])
    elif damage == "a flipped bit":
        with zipfile.ZipFile(file) as archive:
            largest = max(archive.infolist(), key=lambda member: member.file_size)
        content[largest.header_offset + 1000] ^= 1
        file.write_bytes(content)
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "a checkpoint":
        torch.save({"state_dict": {}, "global_step": 3}, file)
    elif damage == "a pickle":
        torch.save({**trained, "name": Evil()}, file)
    else:
        torch.save({**trained, "format": 99}, file)
    with pytest.raises(UserError, match=r"stripes.pt .*: remove it and make it again with `ganlab features data=stripes`"):
        load(str(file))
    assert not Path("executed").exists()


def test_a_failed_write_leaves_the_old_file(file, trained, monkeypatch):
    before = file.read_bytes()

    def fail(content, opened):
        opened.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(training.torch, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        save(trained, file)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


# ganlab features


def write_pictures(folder: Path, n: int = 60) -> Path:
    for i, (image, y) in enumerate(zip(*stripes(n), strict=True)):
        path = folder / ["across", "upright"][y] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(path)
    return folder


def write_idx(folder: Path, prefix: str, n: int, seed: int) -> None:
    folder.mkdir(exist_ok=True)
    for kind, data in (("images-idx3", stripes(n, seed=seed)[0][:, 0]), ("labels-idx1", torch.arange(n) % 10)):
        header = bytes([0, 0, 8, data.dim()]) + struct.pack(f">{data.dim()}I", *data.shape)
        content = header + data.to(torch.uint8).numpy().tobytes()
        (folder / f"{prefix}-{kind}-ubyte.gz").write_bytes(gzip.compress(content, mtime=0))


def test_pictures_become_a_classifier_beside_the_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    source = write_pictures(tmp_path / "pets")
    path = make(["data=images", f"data.source={source}", "shape=[1,8,8]", "data.flip=true"], None, epochs=1, seed=0)
    assert path == Path("features/images.pt")
    about = load(str(path)).about
    assert (about["names"], about["flip"], about["name"]) == (["across", "upright"], True, "images")
    assert about["held_out"] == "6 images, a random tenth of the data"
    assert f"features/images.pt: accuracy {about['accuracy']:.2%} on 6 images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("split", "held_out"), [("train", "44 other images"), ("train+test", "16 images, a random tenth of the data")]
)
def test_accuracy_is_measured_on_the_split_test_unless_it_was_trained_on(tmp_path, split, held_out):
    write_idx(tmp_path / "idx", "train", 120, seed=0)
    write_idx(tmp_path / "idx", "t10k", 44, seed=1)
    overrides = ["data=mnist", f"data.source={tmp_path}/idx", "shape=[1,8,8]", f"data.split='{split}'"]
    path = make(overrides, tmp_path / "here" / "a.pt", epochs=1, seed=5)
    about = load(str(path)).about
    assert about["seed"] == 5
    assert about["held_out"] == held_out
    assert len(about["names"]) == 10


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["data=ring"], r"a classifier needs images \(C, H, W\) but data=ring has shape \[2\]: try data=mnist"),
        (["data=mnits"], "data = mnits is no choice: did you mean mnist?"),
        (["shpae=[1,8,8]"], "unknown key shpae: did you mean shape"),
        (["data=mnist", "data.sauce=x"], "unknown key data.sauce"),
        (["data=images"], "data.source is missing: give data.source=VALUE"),
        (["data=images", "data.source=/nowhere"], "data.source=/nowhere cannot be read"),
        (["data=mnist", "seed=-1"], "seed = -1: input should be greater than or equal to 0"),
        (["data=[mnist"], "cannot read the override 'data=\\[mnist'"),
    ],
)
def test_mistakes_in_the_overrides_are_one_sentence(overrides, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence) as caught:
        make(overrides, tmp_path / "a.pt", epochs=1, seed=0)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.pt").exists()


def test_no_epochs_are_refused(tmp_path):
    with pytest.raises(UserError, match="--epochs must be >= 1, got 0"):
        make(["data=mnist"], tmp_path / "a.pt", epochs=0, seed=0)


@pytest.mark.slow
@pytest.mark.long  # test_mnist_scores has one of the same kind
@needs_mnist
def test_a_classifier_of_mnist_is_good_after_a_sixth_of_an_epoch():
    a, b = (torchvision_images("MNIST", str(SHARED), None, [1, 28, 28], split) for split in ("train", "test"))
    file = train_classifier(a.x[:10_000], a.y[:10_000], a.names, (b.x[:2000], b.y[:2000]), seed=0, epochs=2)
    assert 0.955 < file["accuracy"] < 0.995


# Inception


def noisy(n: int, C: int, seed: int) -> torch.Tensor:
    """Images [n, C, 32, 32] in [-1, 1] on the grid of bytes: noise of another colour and strength in each."""
    generator = torch.Generator().manual_seed(seed)
    colour = torch.rand(n, C, 1, 1, generator=generator) * 2 - 1
    noise = torch.randn(n, C, 32, 32, generator=generator) * torch.rand(n, 1, 1, 1, generator=generator)
    return to_float(to_uint8(colour + noise))


def reference(weights: Path):
    from torch_fidelity.utils import create_feature_extractor

    return create_feature_extractor(
        "inception-v3-compat",
        ["2048", "logits_unbiased"],
        cuda=False,
        feature_extractor_weights_path=str(weights),
        verbose=False,
    )


def test_inception_sees_what_torch_fidelity_sees(weights):
    x = noisy(2, 3, seed=0)
    extractor = inception(str(weights))
    seen = extractor(x + 0.006 * (torch.rand_like(x) - 0.5))  # rounded to the same bytes
    expected = Features(*reference(weights)(to_uint8(x)))
    assert seen.features.std() > 0.01
    assert_close(seen, expected, rtol=1e-5, atol=1e-5)
    assert seen.features.shape == (2, extractor.dims)
    assert seen.logits.shape == (2, extractor.classes)
    grey = x[:1, :1]
    assert_close(extractor(grey), extractor(grey.repeat(1, 3, 1, 1)))
    assert inception(str(weights)) is extractor


def test_the_card_of_inception_tells_other_weights_from_the_standard_ones(weights):
    card = inception(str(weights)).card()
    assert card["name"] == "Inception v3 with other weights than the standard ones"
    assert card["size"] == [3, 299, 299]
    assert "TensorFlow" in card["resize"]
    assert "grey repeated to RGB" in card["resize"]
    assert abs(weights.stat().st_size / 1e6 - float(SIZE.split()[0])) < 0.2  # the standard file has the same tensors


def test_clip_sees_what_torch_fidelity_sees(clip_weights, tmp_path, monkeypatch):
    """Whose reader takes archives of TorchScript alone."""
    from torch_fidelity.feature_extractor_clip import MODEL_METADATA, CLIPVisual, FeatureExtractorCLIP

    state = torch.load(clip_weights, weights_only=True)

    class Archive(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual = CLIPVisual(24, 64, 2, 64, 32).visual
            self.text_projection = torch.nn.Parameter(torch.zeros(1, 24))

        def forward(self, x):
            return self.visual(x) + self.text_projection.sum()

    whole = Archive().eval()
    whole.load_state_dict(state)
    archive = tmp_path / "archive.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(whole, torch.zeros(1, 3, 64, 64)), archive)
        reference = FeatureExtractorCLIP("clip-vit-b-32", ["clip"], feature_extractor_weights_path=str(archive))
    x = noisy(3, 3, seed=0)
    (expected,) = reference(to_uint8(x))
    extractor = clip(str(clip_weights))
    seen = extractor(x)
    assert expected.std() > 0.1
    assert_close(seen.features, expected, rtol=1e-4, atol=1e-5)
    assert seen.features.shape == (3, extractor.dims)
    assert extractor.card()["size"] == [3, 64, 64]
    assert extractor.card()["name"] == "CLIP clip-vit-b-32 with other weights than OpenAI's"
    with pytest.raises(UserError, match="is damaged or has no weights of CLIP"):
        clip(str(archive))  # a program that nobody knows is not opened
    monkeypatch.setitem(MODEL_METADATA["clip-vit-b-32"], "hash", hashlib.sha256(archive.read_bytes()).hexdigest())
    known = clip(str(archive))
    assert known.card()["name"] == "CLIP clip-vit-b-32"
    assert_close(known(x).features, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(UserError, match=r"not at nowhere.pt .*; download OpenAI's ViT-B-32.pt there"):
        clip("nowhere.pt")
    with pytest.raises(UserError, match="there is no such CLIP, use one of clip-rn50"):
        clip(None, "vit")


class Bytes(torch.utils.data.Dataset):
    def __init__(self, x: torch.Tensor) -> None:
        self.x = to_uint8(x)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> torch.Tensor:
        return self.x[i]


@pytest.mark.slow
@pytest.mark.long  # of both FIDs, of 2,048 features; that it sees what torch-fidelity sees is another test
def test_scores_through_inception_are_those_of_torch_fidelity(weights):
    from torch_fidelity import calculate_metrics

    a, b = noisy(12, 3, seed=1), noisy(12, 3, seed=2).mul(0.7)
    b = to_float(to_uint8(b))
    expected = calculate_metrics(
        input1=Bytes(a), input2=Bytes(b), cuda=False, isc=True, fid=True, kid=True, isc_splits=1, kid_subsets=1,
        kid_subset_size=12, feature_extractor_weights_path=str(weights), verbose=False, cache=False, save_cpu_ram=True,
    )  # fmt: skip
    extractor = inception(str(weights))
    scores = {
        "inception_score_mean": InceptionScore(extractor, splits=1),
        "frechet_inception_distance": FrechetDistance(extractor),
        "kernel_inception_distance_mean": KernelDistance(extractor, subsets=1, subset_size=12),
    }
    for x, real in ((b, True), (a, False)):
        for score in scores.values():
            score.update(x, real)
    for name, score in scores.items():
        assert score.compute().item() == pytest.approx(expected[name], rel=1e-4)
    assert expected["inception_score_mean"] > 1.001
    assert expected["frechet_inception_distance"] > 1
    assert abs(expected["kernel_inception_distance_mean"]) > 1e-3


def test_missing_weights_are_named_with_where_to_get_and_put_them(tmp_path, monkeypatch):
    pytest.importorskip("torch_fidelity")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = r"weights-inception-2015-12-05-6726825d\.pth"
    cache = rf"{tmp_path}/hub/checkpoints/{name}"
    get = rf"download https://github.com/toshas/torch-fidelity/\S+/{name} \(95.6 MB\) there, or .*metrics.features.weights=PATH"
    with pytest.raises(UserError, match=rf"the weights of Inception are not at {cache} \(No such .*\); {get}") as caught:
        inception(None)
    assert len(caught.value.mistakes[1]) <= LONGEST  # and the other is as long as the path is
    features = {"_target_": "ganlab.features.inception.inception", "weights": "/nowhere/w.pth"}
    with pytest.raises(UserError, match=rf"^metrics.fid: the .* not at /nowhere/w.pth .*; metrics.fid: {get}") as caught:
        build({"_target_": "ganlab.metrics.frechet.FrechetDistance", "extractor": features}, "metrics.fid")
    assert len(caught.value.mistakes) == 2  # still, by whichever key it was asked for


def test_without_a_path_the_weights_are_taken_from_where_torch_fidelity_keeps_them(tmp_path, monkeypatch, weights):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    (cache / "weights-inception-2015-12-05-6726825d.pth").symlink_to(weights)
    assert inception(None).card() == inception(str(weights)).card()


def test_a_file_that_is_no_inception_is_refused_and_never_executed(tmp_path, file, monkeypatch):
    pytest.importorskip("torch_fidelity")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil(), protocol=2))
    torch.save(Evil(), tmp_path / "evil2.pth")
    (tmp_path / "empty.pth").write_bytes(b"")
    for name in ("evil.pth", "evil2.pth", "empty.pth", file.name):
        with pytest.raises(
            UserError, match=rf"{name} is damaged or has no weights of torch-fidelity's Inception: download"
        ) as caught:
            inception(str(tmp_path / name))
        assert "\n" not in str(caught.value)
    assert not Path("executed").exists()


def test_without_torch_fidelity_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(UserError, match=r"needs torch-fidelity, which is not installed: pip install 'ganlab\[fid\]'"):
        inception(None)


# Nearest neighbours


class Pixels:
    """Features are the pixels."""

    dims, classes = 64, 2

    def __call__(self, x: torch.Tensor) -> Features:
        return Features(x.flatten(1), x.flatten(1)[:, :2])

    def card(self) -> dict[str, object]:
        return {"name": "pixels"}


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_neighbours_are_those_of_all_distances(chunk):
    images, samples = stripes(50)[0], to_float(stripes(6, seed=9)[0])
    found = nearest(samples, images, Pixels(), k=4, chunk=chunk)
    all_of_them = (samples.flatten(1)[:, None] - to_float(images).flatten(1)).square().sum(2).sqrt()  # [6, 50]
    distance, index = all_of_them.sort(1)
    assert_close(found.distance, distance[:, :4])
    assert torch.equal(found.index, index[:, :4])


def test_a_copy_has_distance_0_and_of_two_the_first_is_first():
    images = stripes(30)[0]
    images[20] = images[4]
    found = nearest(to_float(images[[4, 11]]), images, Pixels(), k=2, chunk=8)
    assert found.index[0].tolist() == [4, 20]
    assert found.distance[0].tolist() == [0, 0]
    assert found.index[1, 0] == 11
    assert found.distance[1, 0] == 0 < found.distance[1, 1]


@pytest.mark.parametrize("k", [0, 31])
def test_more_neighbours_than_images_are_refused(k):
    with pytest.raises(UserError, match=f"k = {k} nearest of 30 images cannot be had: set k between 1 and 30"):
        nearest(torch.zeros(1, 1, 8, 8), stripes(30)[0], Pixels(), k=k)


@pytest.mark.parametrize(("C", "n"), [(1, 3), (3, 1)])
def test_the_picture_has_the_sample_framed_and_then_its_neighbours(C, n):
    images, samples = stripes(40, C)[0], to_float(stripes(n, C, seed=3)[0])
    found = nearest(samples, images, Pixels(), k=5)
    page = picture(samples, images, found)
    pixels = np.asarray(page)
    scale = round(500 / 62)
    step, line = 10 * scale, (page.height - n * 12 * scale) // (n + 1)
    assert page.width == 62 * scale
    for i in range(n):
        top = line + i * (12 * scale + line) + 2 * scale
        shown = [to_uint8(samples[i]), *images[found.index[i]]]
        for j, image in enumerate(shown):
            left = 2 * scale + j * step
            tile = pixels[top : top + 8 * scale, left : left + 8 * scale][scale // 2 :: scale, scale // 2 :: scale]
            assert np.array_equal(tile, image.expand(3, 8, 8).permute(1, 2, 0).numpy())
        assert pixels[top + 4 * scale, scale].tolist() == [0xD5, 0x5E, 0]  # the frame
        assert pixels[top + 4 * scale, 6 * step + scale].tolist() == [255, 255, 255]


def test_what_was_seen_of_data_is_read_by_the_next_process(tmp_path):
    x = torch.rand(6, 1, 4, 4)
    first = frozen()
    with first.keeping():
        seen = first(x)
    assert first.net.seen == 6
    first(x.clone())  # of a G: not kept
    (file,) = (tmp_path / "cache" / "ganlab" / "seen").iterdir()
    other = frozen()
    with other.keeping():
        assert all(torch.equal(a, b) for a, b in zip(other(x), seen, strict=True))
        assert other.net.seen == 0
        other(x + 1)  # other data
        assert other.net.seen == 6
    changed = frozen()
    changed.net.norm.running_mean += 1
    renamed = Frozen(changed.net, dims=16, classes=2, chunk=4, about={"name": "a test"})
    with renamed.keeping():
        assert not torch.equal(renamed(x).features, seen.features)  # other weights
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    last = frozen()
    with last.keeping():  # what is damaged is not believed
        assert all(torch.equal(a, b) for a, b in zip(last(x), seen, strict=True))
    assert last.net.seen == 6


@pytest.mark.parametrize("damage", [
    lambda data: data.replace(b"(500, 64)", b"(500, 24)", 1),  # a shape: numpy would read less, and not come to the checksum
    lambda data: _flipped(data, data.rindex(b"PK\x01\x02") + 8, 1),  # zipfile: it is encrypted
    lambda data: _flipped(data, data.rindex(b"PK\x01\x02") + 10, 64),  # zipfile: that compression is not supported
    lambda data: data[: len(data) // 2],
    lambda data: b"",
])  # fmt: skip
def test_what_was_seen_and_is_damaged_is_looked_at_again(damage, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "cache_home", lambda: tmp_path)
    x, seen = torch.rand(500, 3), Features(torch.rand(500, 64), torch.rand(500, 10))
    known = kept.Kept({"name": "a test"})
    known.write(x, seen)
    assert all(torch.equal(a, b) for a, b in zip(known.read(x), seen, strict=True))
    (file,) = (tmp_path / "seen").iterdir()
    before = file.read_bytes()
    file.write_bytes(damage(before))
    assert file.read_bytes() != before
    assert known.read(x) is None


def _flipped(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def test_nothing_is_kept_where_there_is_no_room_or_no_home(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "LARGEST", 0)
    extractor, x = frozen(), torch.rand(6, 1, 4, 4)
    with extractor.keeping():
        extractor(x)
    assert [*(tmp_path / "cache" / "ganlab" / "seen").iterdir()] == []
    monkeypatch.setattr(kept, "cache_home", lambda: None)
    with extractor.keeping():
        extractor(x + 1)
    (tmp_path / "file").touch()
    monkeypatch.setattr(kept, "cache_home", lambda: tmp_path / "file")
    with extractor.keeping():
        extractor(x + 2)
    assert extractor.net.seen == 18
