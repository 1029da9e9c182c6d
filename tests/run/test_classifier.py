"""Image runs are scored without a second command: when, through what, and at whose cost."""

import pytest
import torch
from conftest import composed, runs_in
from PIL import Image

import ganlab.run.classifier as classifier
from ganlab.errors import UserError
from ganlab.features.training import save, train_classifier
from ganlab.random import generator_of
from ganlab.run.config import plain, resolve, validate
from ganlab.run.experiment import rehearse


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """40 grey pictures of two kinds."""
    folder = tmp_path_factory.mktemp("pictures")
    x = torch.randint(128, (40, 8, 8), dtype=torch.uint8, generator=generator_of(0, "x"))
    x[20:] += 127
    for i, image in enumerate(x):
        (folder / "ab"[i // 20]).mkdir(exist_ok=True)
        Image.fromarray(image.numpy()).save(folder / "ab"[i // 20] / f"{i}.png")
    return folder


def of(pictures, *more):
    small = ("model.G.width=8", "model.D.width=8", "batch_size=8", "metrics.n=20", "metrics.picture=null", "theory=none")
    return ("data=mnist", f"data.source={pictures}", "shape=[1,8,8]", *small, *more)


def settings_of(pictures, *more, folder):
    return validate(resolve(composed(*of(pictures, *more), path=folder)))


@pytest.fixture
def trainings(monkeypatch):
    """How often a classifier is trained, in one epoch."""
    seen = []

    def quick(x, y, names, held_out, seed, epochs, name, flip, progress):
        seen.append((name, epochs, tuple(x.shape)))
        return train_classifier(x, y, names, held_out, seed, 1, name, flip, width=4)

    monkeypatch.setattr(classifier, "train_classifier", quick)
    return seen


def test_a_run_of_two_passes_ends_with_scores_and_trains_one_classifier_for_all(pictures, tmp_path, trainings, capsys):
    run = runs_in(tmp_path)
    first = run(*of(pictures), "iterations=10")  # 10 x 8 images are two passes over 40
    assert trainings == [("mnist", 3, (40, 1, 8, 8))]
    assert {"fid", "kid", "precision", "coverage", "classes"} <= first.result["final"].keys()
    said = capsys.readouterr()
    assert "training the classifier that samples are scored through, once" in said.err
    file = first.config["metrics"]["features"]["path"]
    assert file.startswith(str(tmp_path / "cache"))
    assert "through classifier of mnist of 20 against 20: for comparisons among runs like this one only" in said.out
    assert first.config["features"] == first.config["metrics"]["scores"]["fid"]["extractor"]["path"] == file
    second = run(*of(pictures, "seed=1"), "iterations=10", name="second")
    assert len(trainings) == 1
    assert first.result["cards"]["fid"]["extractor"] == second.result["cards"]["fid"]["extractor"]


def test_a_trial_is_not_scored_and_says_why(pictures, tmp_path, trainings, capsys):
    done = runs_in(tmp_path)(*of(pictures), "iterations=9")
    assert not trainings
    assert "not scored: 72 images are fewer than 2 passes over the data; give `metrics=classifier`" in capsys.readouterr().err
    assert done.config["metrics"]["scores"] == {}
    assert not [name for name in done.result["final"] if "/" not in name]


def test_budgets_are_counted_in_images(pictures, tmp_path, trainings):
    for more, scored in ((("iterations=5", "k=2"), True), (("iterations=4", "k=2"), False), (("iterations=5",), False)):
        settings = classifier.with_classifier(settings_of(pictures, *more, folder=tmp_path))
        assert bool(settings.metrics.scores) is scored


def test_a_file_of_ones_own_is_looked_through_and_one_that_was_named_has_to_be_there(pictures, tmp_path, trainings):
    x = torch.randint(255, (40, 1, 8, 8), dtype=torch.uint8)
    save(train_classifier(x, torch.arange(40) % 2, ["a", "b"], None, 0, 1, "own", width=4), tmp_path / "features" / "mnist.pt")
    found = classifier.with_classifier(settings_of(pictures, "iterations=10", folder=tmp_path))
    assert found.features == "features/mnist.pt"
    other = classifier.with_classifier(settings_of(pictures, "iterations=10", "shape=[1,10,10]", folder=tmp_path))
    assert other.features.startswith(str(tmp_path / "cache"))  # the file is of another shape
    assert len(trainings) == 1
    with pytest.raises(UserError, match=r"nowhere.pt is missing .*: make it with `ganlab features"):
        runs_in(tmp_path)(*of(pictures, "iterations=10", f"features={tmp_path}/nowhere.pt"))


def test_fewer_images_than_samples_are_all_compared_with(pictures, tmp_path, trainings):
    done = runs_in(tmp_path)(*of(pictures, "iterations=10", "metrics.n=60"))
    assert (done.result["cards"]["fid"]["n_fake"], done.result["cards"]["fid"]["n_real"]) == (60, 40)


def test_other_data_under_the_same_name_have_a_classifier_of_their_own(pictures, tmp_path, trainings):
    other = tmp_path / "other"
    for i in range(40):
        (other / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.effect_noise((8, 8), 90.0).save(other / "ab"[i % 2] / f"{i}.png")
    files = {
        classifier.with_classifier(settings_of(folder, "iterations=10", folder=tmp_path)).features
        for folder in (pictures, other)
    }
    assert len(files) == len(trainings) == 2


def test_what_cannot_be_classified_trains_without_scores(tmp_path, caplog):
    (tmp_path / "one").mkdir()
    for i in range(8):
        Image.effect_noise((8, 8), 90.0).save(tmp_path / "one" / f"{i}.png")
    done = runs_in(tmp_path)(*of(tmp_path / "one"), "iterations=2")
    assert done.result["status"] == "completed"
    assert "not scored: a classifier needs two classes or more" in caplog.text


def test_a_rehearsal_trains_no_classifier(pictures, tmp_path, trainings):
    settings = settings_of(pictures, "iterations=10", "logger=csv", folder=tmp_path)
    rehearse(settings, tmp_path / "x", {}, elsewhere=False)
    assert not trainings
    assert not (tmp_path / "cache" / "ganlab" / "features").exists()


def test_pictures_have_fid_through_a_classifier_that_is_there_and_a_run_says_which(pictures, tmp_path, trainings, capsys):
    def found(*more):
        settings = settings_of(pictures, "data=images", "model=dcgan", "metrics=pictures", *more, folder=tmp_path)
        return classifier.with_classifier(settings), capsys.readouterr().err

    alone, said = found()
    assert alone.metrics.scores.keys() == {"sliced_wasserstein"}
    assert "no FID: no classifier of this shape is at features/images.pt" in said
    assert "`ganlab features data=images data.source=PATH`" in said
    assert "`ganlab features data=mnist` makes one" in found("features=features/mnist.pt")[1]  # as data=mnist has it
    x = torch.randint(255, (40, 1, 8, 8), dtype=torch.uint8)
    file = train_classifier(x, torch.arange(40) % 2, ["a", "b"], None, 0, 1, "own", width=4)
    save(file, tmp_path / "features" / "images.pt")
    settings, said = found("metrics.n=60")
    assert settings.metrics.scores.keys() == {"sliced_wasserstein", "fid"}
    assert settings.metrics.n_real == 40  # all that there are
    assert "FID is through features/images.pt, a classifier of own" in said
    assert "no FID" in found("shape=[1,10,10]")[1]  # the file is of another shape
    save(file, tmp_path / "mine.pt")
    assert "mine.pt" in found(f"features={tmp_path}/mine.pt")[1]
    with pytest.raises(UserError, match=r"trained on images of shape \[1, 8, 8\]"):
        found(f"features={tmp_path}/mine.pt", "shape=[1,10,10]")
    with pytest.raises(UserError, match="is missing"):
        found(f"features={tmp_path}/other.pt")
    assert not trainings


def test_inception_is_scored_on_a_gpu_where_its_weights_are(pictures, tmp_path, trainings, weights, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    settings = settings_of(pictures, "iterations=10", folder=tmp_path)
    settled = classifier.with_classifier(settings)
    assert "inception_fid" not in settled.metrics.scores
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert "inception_fid" not in classifier._also_inception(settled).metrics.scores
    name = "weights-inception-2015-12-05-6726825d.pth"
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / name).symlink_to(weights)
    found = classifier._also_inception(settled)
    assert found.metrics.scores.keys() - settled.metrics.scores.keys() == {"inception_fid"}
    assert "inception_fid" in plain(found)["metrics"]["scores"]
    on_cpu = settled.model_copy(update={"trainer": {**settled.trainer, "accelerator": "cpu"}})
    assert "inception_fid" not in classifier._also_inception(on_cpu).metrics.scores
