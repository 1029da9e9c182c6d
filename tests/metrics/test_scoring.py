"""How scores are obtained, and what is written down about it: references, cards, means, evaluation after training."""

import json
import shutil

import pytest
import torch
import yaml
from conftest import ROOT, SHARED, runs_in
from forked import Forked
from PIL import Image
from torch import nn

from ganlab.commands.evaluate import EvaluationRequest, evaluate
from ganlab.data.datasets import torchvision_images
from ganlab.data.images import Images
from ganlab.data.splits import choose, overlap, parts
from ganlab.data.stacked import StackedDigits
from ganlab.data.toy import ring
from ganlab.errors import UserError
from ganlab.features.training import save, train_classifier
from ganlab.files.table import read
from ganlab.game.priors import Normal
from ganlab.metrics.cards import card, differing, name_of, refuse_unlike, short_of_published
from ganlab.metrics.modes import HighQuality
from ganlab.metrics.scoring import Scorer
from ganlab.metrics.sliced import SlicedWasserstein
from ganlab.networks.layers import Packed
from ganlab.observers.scores import Scores
from ganlab.random import generator_of


@pytest.fixture
def numbered():
    """40 images, 10 of each of 4 labels, whose pixels are their number."""
    return Images(
        torch.arange(40, dtype=torch.uint8)[:, None, None, None].expand(40, 1, 2, 2), torch.arange(40) // 10, list("abcd")
    )


def numbers(images):
    return images.x[:, 0, 0, 0].tolist()


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train", [*range(40)]),
        ("train::3", [0, 1, 2]),
        ("train:38:", [38, 39]),
        ("train:5:7+train:1:2", [5, 6, 1]),
        ("train:50%:55%", [20, 21]),
        ("test::1 + train::1", [0, 0]),
    ],
)
def test_a_split_is_what_tensorflow_datasets_means_by_it(numbered, split, expected):
    assert numbers(choose(split, ("train", "test"), lambda name: numbered)) == expected


@pytest.mark.parametrize("split", ["val", "train:", "train:1", "train:-1:", "", "train++test", "train::1.5", "train[1:2]"])
def test_what_is_no_split_is_told(split):
    with pytest.raises(UserError, match=r"is not a split: use train or test"):
        parts(split, ("train", "test"))


@pytest.mark.parametrize("split", ["train:5:5", "train::41", "train:40:"])
def test_a_split_that_has_nothing_is_told(numbered, split):
    with pytest.raises(UserError, match=r"is empty or beyond the 40 there are"):
        choose(split, ("train",), lambda name: numbered)


@pytest.mark.parametrize(
    ("a", "b", "common"),
    [
        ("train", "test", False),
        ("train+test", "test", True),
        ("train:0:50000", "train:50000:", False),
        ("train:0:50001", "train:50000:+test", True),
        ("train::90%", "train:90%:", False),
        ("train::91%", "train:90%:", True),
        ("train::90%", "train:50000:", True),  # cannot be told without the number of images
    ],
)
def test_splits_that_share_images_are_known(a, b, common):
    assert overlap(a, b, ("train", "test")) is common


def test_a_held_out_split_that_is_trained_on_is_refused(run, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(UserError, match=r"health.split = train::50% and data.split = train have images in common"):
        run(*overrides_of(pictures), "health.split=train::50%")


def test_an_automatic_held_out_split_is_none_where_the_data_have_no_test(run, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = run("data=mnist", *overrides_of(pictures)[1:])
    assert done.config["health"]["split"] == "auto"
    assert "health/logit_gap" not in read(done.table_file)[-1]


def test_a_reference_is_the_same_for_each_run_and_has_nothing_twice(numbered):
    (x, y), (again, _) = numbered.reference(15), numbered.reference(15)
    assert torch.equal(x, again)
    shown = x[:, 0, 0, 0].add(1).mul(127.5).round().tolist()
    assert len(set(shown)) == 15
    assert y.tolist() == [int(number) // 10 for number in shown]
    assert torch.equal(numbered.reference(40)[1], numbered.y)
    with pytest.raises(ValueError, match=r"41 real images are asked for and the data have 40: set metrics.n_real to 40"):
        numbered.reference(41)


def test_the_mean_image_is_that_of_all_images():
    x = torch.randint(256, (25_000, 1, 3, 2), dtype=torch.uint8, generator=generator_of(0, "x"))
    images = Images(x, torch.zeros(25_000, dtype=torch.long), ["a"])
    torch.testing.assert_close(images.mean(), x.double().mean(0).mul(2 / 255).sub(1).float())


def test_stacked_digits_are_named_by_their_triple(numbered):
    x, y = StackedDigits(numbered).sample(500, generator_of(0, "stack"))
    assert x.shape == (500, 3, 2, 2)
    digits = x[:, :, 0, 0].add(1).mul(127.5).round().long() // 10  # [500, 3]
    assert torch.equal(y, digits @ torch.tensor([16, 4, 1]))
    assert len(y.unique()) > 60  # of the 4^3
    batch = StackedDigits(numbered).minibatches(3, 2, 6, 0, slice(2, 4))
    whole = StackedDigits(numbered).minibatches(3, 2, 6, 0, slice(0, 6))
    assert torch.equal(batch.x, whole.x[:, 2:4])
    assert torch.equal(batch.y, whole.y[:, 2:4])


def test_a_score_after_more_looks_is_that_of_a_fresh_metric():
    source, prior = ring(8, 1.0, 0.1), Normal(2)
    x, y = source.reference(300)

    def scorer():
        return Scorer({"sliced": SlicedWasserstein(source), "hq": HighQuality(source)}, {}, x, y, 700, seed=4)

    def shifted(z, y):
        return z + 1

    kept, cpu = scorer(), torch.device("cpu")
    kept(lambda z, y: z, prior, cpu)
    assert kept(shifted, prior, cpu) == scorer()(shifted, prior, cpu)


def test_the_mean_over_iterations_is_the_area_by_the_trapezoid_rule():
    scores = Scores(lower=["fid"])
    for t, value in ((100, 4.0), (200, 2.0), (400, 0.0)):
        scores.keep({"fid": value, "other": 1.0}, t)
    assert {key: scores.mean["fid"][key] for key in ("value", "from", "to")} == {
        "value": pytest.approx((300 + 200) / 300), "from": 100, "to": 400}  # fmt: skip
    resumed = Scores(lower=["fid"])
    resumed.load_state_dict(json.loads(json.dumps(scores.state_dict())))
    for each in (scores, resumed):
        each.keep({"fid": 6.0}, 500)
    assert scores.mean == resumed.mean
    assert scores.mean["fid"]["value"] == pytest.approx(800 / 400)


def test_what_was_obtained_otherwise_is_no_part_of_a_best_or_a_mean(caplog):
    cards = {name: a_card() for name in ("fid", "kid", "classes")}
    scores = Scores(["classes"], ["fid", "kid"], cards.get)
    scores.keep({"fid": 1.0, "kid": 1.0, "classes": 5.0}, 100)
    state = json.loads(json.dumps(scores.state_dict()))
    now = {"fid": a_card(n_fake=99), "kid": a_card(seed=7, commit="b"), "classes": cards["classes"]}
    resumed = Scores(["classes"], ["fid", "kid"], now.get)
    resumed.load_state_dict(state)
    assert [r.getMessage() for r in caplog.records] == [
        "fid: obtained otherwise until here (n_fake: 100, 99), so that best and mean begin anew"
    ]
    assert "fid" not in resumed.final
    resumed.keep({"fid": 3.0, "kid": 3.0, "classes": 3.0}, 200)
    assert {name: best["value"] for name, best in resumed.best.items()} == {"fid": 3.0, "kid": 1.0, "classes": 5.0}
    assert {name: mean["value"] for name, mean in resumed.mean.items()} == {"fid": 3.0, "kid": 2.0, "classes": 4.0}


def test_a_run_that_goes_on_with_another_number_of_samples_has_the_scores_of_that(run, caplog):
    small = ("metrics.every=2", "metrics.picture=null", "theory.every=2", "theory.frames=0", "theory.instrument.side=24")
    before = run(*small, "metrics.n=100", "theory.instrument.n=200", "iterations=2")
    done = run(*small, "metrics.n=50", "theory.instrument.n=100", "iterations=4", f"resume={before.path}")
    for kind, at in (("final", "iteration"), ("best", "iteration"), ("mean", "from")):
        assert {score[at] for score in done.result[kind].values()} == {4}, kind
    assert done.result["cards"]["high_quality"]["n_fake"] == 50
    assert sum("obtained otherwise until here" in r.getMessage() for r in caplog.records) == 2


def test_a_score_that_was_not_finite_is_missing_from_the_mean_and_counted():
    scores = Scores(lower=["kl"])
    for t, value in ((1, float("nan")), (2, 1.0), (3, float("inf")), (4, 3.0)):
        scores.keep({"kl": value}, t)
    assert scores.mean["kl"] == {"value": 2.0, "from": 2, "to": 4, "last": 3.0, "missing": 2}


def a_card(**changed):
    settings = {"_target_": "x", **({"directions": changed.pop("directions")} if "directions" in changed else {})}
    given = {"reference": "MNIST train", "sha256": "a", "n_real": 50, "n_fake": 100, "weights": "EMA", "seed": 0, "commit": "a"}
    return card(SlicedWasserstein(ring(8, 1.0, 0.1)), settings, **{**given, **changed})


def test_cards_agree_whatever_the_seed_and_the_commit():
    assert differing(a_card(), a_card(seed=3, commit="b")) == []
    refuse_unlike("sliced", {"one": a_card(), "two": a_card(seed=3)})
    assert differing(a_card(), a_card(directions=128)) == []  # the default, written out


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"weights": "raw"}, ["weights: EMA, raw"]),
        ({"n_fake": 200}, ["n_fake: 100, 200"]),
        ({"reference": "MNIST test", "sha256": "b"}, ["reference: MNIST train, MNIST test", "reference_sha256: a, b"]),
        ({"n_real": 51, "sha256": "c"}, ["reference_sha256: a, c", "n_real: 50, 51"]),
        ({"directions": 7}, ["settings.directions: 128, 7"]),
    ],
)
def test_numbers_that_were_not_obtained_alike_are_not_compared(change, fields):
    found = differing(a_card(), a_card(**change))
    assert found == fields
    with pytest.raises(UserError, match=rf"fid of one and of two are not comparable: {fields[0]}"):
        refuse_unlike("fid", {"one": a_card(), "two": a_card(**change)})


def test_the_same_examples_are_the_same_whatever_their_split_is_called():
    assert differing(a_card(), a_card(reference="MNIST train:0:60000")) == []


def test_a_score_that_looks_at_no_real_example_has_none_in_its_card():
    given = {"reference": "ring", "sha256": None, "n_real": 50, "n_fake": 100, "weights": "EMA"}
    modes = [card(HighQuality(ring(8, 1.0, 0.1)), {}, **{**given, "n_real": n}) for n in (50, 60)]
    assert differing(*modes) == []


def test_how_far_a_fid_is_from_the_published_one_is_said():
    def fid(name, n):
        return {"metric": "ganlab.metrics.frechet.FrechetDistance", "extractor": {"name": name}, "n_fake": n, "n_real": 10_000}

    ours, standard = fid("classifier of mnist", 2000), fid("Inception v3 of 2015-12-05", 2000)
    assert "this is through classifier of mnist of 2,000" in short_of_published({"fid": ours})
    assert "this is through Inception v3 of 2015-12-05 of 2,000" in short_of_published({"fid": ours, "inception_fid": standard})
    assert short_of_published({"fid": {**standard, "n_fake": 50_000}}) is None
    few = short_of_published({"fid": {**standard, "n_fake": 50_000, "n_real": 200}})
    assert "of 50,000 against 200:" in few
    assert few.endswith("only")  # no command makes more of them
    assert "other weights" in short_of_published({"fid": fid("Inception v3 with other weights than the standard ones", 50_000)})
    assert short_of_published({"modes": {"metric": "ganlab.metrics.modes.Modes", "extractor": None}}) is None


def test_a_reference_has_the_same_name_wherever_it_lies():
    mnist = {"_target_": "ganlab.data.datasets.torchvision_images", "name": "MNIST", "root": "here", "split": "train"}
    assert name_of(mnist, None) == name_of({**mnist, "root": "there"}, None) == "MNIST train"
    assert name_of(mnist, "test::10") == "MNIST test::10"
    assert name_of({"_target_": "ganlab.data.toy.ring", "modes": 8, "std": 0.1}, None) == "ring modes=8 std=0.1"


def test_packs_are_of_samples_that_follow_each_other():
    class D(torch.nn.Module):
        def forward(self, x, y):
            self.x, self.y = x, y

    x, seen = torch.arange(12.0).view(6, 2), D()
    Packed(seen, 3)(x, torch.arange(6))
    assert seen.x.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert seen.y.tolist() == [0, 3]
    images = torch.randn(4, 3, 5, 5)
    Packed(seen, 2)(images, torch.arange(4))
    assert torch.equal(seen.x[1, 3:], images[3])


@pytest.mark.parametrize("updates", ["alternating", "simultaneous", "consensus"])
def test_a_packed_discriminator_sees_m_samples_and_a_step_moves_it(run, updates):
    done = run("model.pack=2", "batch_size=12", "iterations=3", f"updates={updates}", "metrics.n=16", "metrics.picture=null")
    state = torch.load(done.newest_checkpoint(), weights_only=True)["state_dict"]
    assert state["D.D.trunk.1.weight"].shape == (128, 4)
    assert done.result["verdict"]["state"] == "unknown"  # after one reading


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("model.pack=3", "batch_size=8"), "batch_size = 8 does not come in packs of 3"),
        (("model.pack=2", "+model.D.shape=[3]"), "model.pack = 2 needs a D that is told its shape"),
        (("+metrics.split=test",), "metrics.split = test but this data has no splits: take other"),
        (("metrics=classifier",), "metrics.scores.fid: there is no classifier of these data: give features=FILE"),
        (("+metrics.scores.x._target_=ganlab.game.priors.Normal", "+metrics.scores.x.dim=2"), "is no Metric"),
        (("health.split=test",), "health.split = test but this data has no splits: set it to null"),
    ],
)
def test_what_does_not_fit_is_told_before_training(run, overrides, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence):
        run(*overrides)
    assert not (tmp_path / "run" / "config.yaml").exists()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    torch.set_num_threads(1)
    run = runs_in(tmp_path_factory.mktemp("trained"))
    small = ("iterations=3", "metrics.n=64", "metrics.picture=null", "theory=none", "ema_decay=0.9")
    return [run(*small, f"seed={seed}", name=f"seed{seed}").path for seed in (0, 1)]


@pytest.fixture
def two(trained, tmp_path):
    return [shutil.copytree(path, tmp_path / path.name) for path in trained]


def test_a_run_has_a_card_beside_each_number(two):
    result = json.loads((two[0] / "result.json").read_text())
    assert set(result["cards"]) == set(result["final"]) == set(result["mean"]) >= set(result["best"])
    found = result["cards"]["high_quality"]
    assert found["metric"] == "ganlab.metrics.modes.HighQuality"
    assert (found["n_fake"], found["n_real"], found["weights"], found["seed"]) == (64, 0, "EMA", 0)
    assert found["reference"] == "ring modes=8 radius=1.0 std=0.1"


def test_evaluation_after_training_is_that_of_the_run(two, capsys):
    files = evaluate(two, EvaluationRequest())
    assert [file.parent.parent for file in files] == two
    for file, path in zip(files, two, strict=True):
        after, during = (json.loads(file.read_text()) for file in (file, path / "result.json"))
        values = {name: score["value"] for name, score in after["scores"].items()}
        assert values == {name: score["value"] for name, score in during["final"].items()}
        assert after["cards"] == during["cards"]
    head, *table = capsys.readouterr().out.splitlines()[1:]
    assert head.strip("┃ ").split() == ["score", "┃", two[0].name, "┃", two[1].name]  # and not the folder of both
    assert any("high_quality" in line for line in table)


def alone(kind, **settings):
    return {"_target_": f"ganlab.metrics.{kind}", **settings}


def renamed(path, scores):
    """The run as if its config had these nodes of scores."""
    config = yaml.safe_load((path / "config.yaml").read_text())
    config["metrics"]["scores"] = scores
    (path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def test_a_run_of_before_one_metric_gave_several_scores_is_scored_as_it_was(two):
    """Value by value and card by card; and by the names that it had then."""
    kinds = {"modes": "modes.Modes", "high_quality": "modes.HighQuality", "reverse_kl": "modes.ReverseKL"}
    kinds["mode_jsd"] = "modes.ModeJSD"
    renamed(two[1], {name: alone(kind) for name, kind in kinds.items()})
    after, during = (
        json.loads(evaluate(two[1:], EvaluationRequest())[0].read_text()),
        json.loads((two[1] / "result.json").read_text()),
    )
    assert {name: card["metric"] for name, card in after["cards"].items()} == {
        name: f"ganlab.metrics.{kind}" for name, kind in kinds.items()
    }
    assert after["cards"] == during["cards"]
    assert after["scores"] == {name: {"value": score["value"]} for name, score in during["final"].items()}
    assert len(evaluate(two, EvaluationRequest())) == 2  # and beside one of today


def test_a_score_that_there_is_already_is_refused(run):
    with pytest.raises(UserError, match=r"metrics.scores.modes_ gives the score modes, which there is already: leave one of"):
        run("+metrics.scores.modes_._target_=ganlab.metrics.modes.ModeCounts")


def test_an_evaluation_done_in_another_way_does_not_write_over_the_first(two):
    one, other = (evaluate(two[:1], EvaluationRequest(seed=seed))[0] for seed in (None, 5))
    assert one.exists()
    assert one != other
    card = json.loads(other.read_text())["cards"]["modes"]
    assert (card["seed"], card["z_seed"]) == (0, 5)


def test_a_checkpoint_of_one_run_is_not_taken_for_all(two):
    path = next((two[0] / "checkpoints").glob("*.ckpt"))
    with pytest.raises(UserError, match="is a file of one run"):
        evaluate(two, EvaluationRequest(checkpoint=str(path)))


def test_the_command_takes_overrides_before_and_after_its_options(two):
    def told(*arguments):
        done = Forked("ganlab", "evaluate", *arguments, cwd=two[0].parent).ended()
        return done.returncode, done.stdout + done.stderr

    code, text = told(str(two[0]), "metrics.n=12", "--seed", "3", "metrics.n_real=7")
    assert code == 0, text
    (file,) = (two[0] / "evaluations").glob("*-n12-*.json")
    assert str(file) in text
    assert told(str(two[0]), "--sede", "3")[0] == 2
    assert told("metrics.n=3")[0] == 2


def test_a_run_directory_cannot_have_a_file_written(two, tmp_path):
    """What a config from anyone may name is built; it must not be able to do anything else."""
    file = two[0] / "config.yaml"
    config = yaml.safe_load(file.read_text())
    for target, given in (("ganlab.files.atomic.write_whole", {"text": "x"}), ("ganlab.features.training.save", {"file": {}})):
        config["metrics"]["scores"]["x"] = {"_target_": target, "path": str(tmp_path / "pwned"), **given}
        file.write_text(yaml.safe_dump(config))
        with pytest.raises(UserError, match="is not ganlab's own code alone"):
            evaluate(two[:1], EvaluationRequest())
    assert not (tmp_path / "pwned").exists()


def test_what_is_no_score_is_told(two):
    file = two[0] / "config.yaml"
    config = yaml.safe_load(file.read_text())
    config["metrics"]["scores"]["x"] = {"_target_": "ganlab.game.priors.Normal", "dim": 2}
    file.write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match=r"ganlab.game.priors.Normal is no Metric"):
        evaluate(two[:1], EvaluationRequest())


def test_raw_and_averaged_generators_are_told_apart(two):
    averaged, raw = (json.loads(evaluate(two[:1], EvaluationRequest(raw=raw))[0].read_text()) for raw in (False, True))
    assert {raw["cards"]["modes"]["weights"], averaged["cards"]["modes"]["weights"]} == {"raw", "EMA"}
    few = ("metrics.n=8",)
    assert json.loads(evaluate(two[:1], EvaluationRequest(overrides=few))[0].read_text())["cards"]["modes"]["n_fake"] == 8


def test_runs_that_would_not_be_scored_alike_are_refused(run, two):
    small = ("iterations=3", "metrics.n=64", "metrics.picture=null", "theory=none")
    other = run(*small, "data.std=0.2", "ema_decay=0", name="other").path
    with pytest.raises(UserError, match=r"not comparable: reference: ring .* std=0.1, ring .* std=0.2; weights: EMA, raw"):
        evaluate([two[0], other], EvaluationRequest())
    assert not (two[0] / "evaluations").exists()


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (EvaluationRequest(metrics="nonsense"), "--metrics nonsense: there is no such file in .*: use one of classifier, "),
        (EvaluationRequest(overrides=("k=2",)), "k=2: after training only metrics.* and features can change"),
        (EvaluationRequest(overrides=("metrics.m=2",)), "unknown key metrics.m"),
        (EvaluationRequest(overrides=("metrics.n=0",)), "metrics.n = 0"),
        (EvaluationRequest(checkpoint="none.ckpt"), "--checkpoint none.ckpt: there is no such file"),
        (EvaluationRequest(metrics="parzen"), "metrics.split = .* but this data has no splits"),
        (EvaluationRequest(neighbours=True), "--neighbours shows images beside those that a network finds nearest"),
        (EvaluationRequest(metrics="none"), "--metrics none: these metrics have no scores: name others, with --metrics"),
    ],
)
def test_what_cannot_be_evaluated_is_told(two, request_, sentence, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=sentence):
        evaluate(two[:1], request_)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """40 grey pictures of two kinds, and a classifier of them."""
    folder = tmp_path_factory.mktemp("pictures")
    x = torch.randint(128, (40, 1, 8, 8), dtype=torch.uint8, generator=generator_of(0, "x"))
    x[20:] += 127
    for i, image in enumerate(x):
        (folder / "data" / "ab"[i // 20]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(folder / "data" / "ab"[i // 20] / f"{i}.png")
    save(train_classifier(x, torch.arange(40) // 20, ["a", "b"], None, seed=0, epochs=2, width=4), folder / "grey.pt")
    save(
        train_classifier(x.expand(-1, 3, -1, -1), torch.arange(40) // 20, ["a", "b"], None, 0, 1, width=4), folder / "colour.pt"
    )
    return folder


def overrides_of(pictures, features="grey.pt"):
    small = ("shape=[1,8,8]", "batch_size=8", "iterations=2", "metrics.n=20", "metrics.every=1", "metrics.picture=null")
    return ("data=images", f"data.source={pictures}/data", "metrics=classifier", f"features={pictures / features}", *small)


def test_images_are_scored_offline_while_training_and_after(run, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = run(*overrides_of(pictures))
    four = ("precision", "recall", "density", "coverage")
    assert [*done.result["final"]] == ["fid", "kid", "inception_score", *four, "classes", "class_kl"]
    assert done.result["cards"]["fid"]["extractor"]["sha256"] == done.result["cards"]["recall"]["extractor"]["sha256"]
    scores, nearest = evaluate([done.path], EvaluationRequest(overrides=("metrics.n=25", "metrics.n_real=40"), neighbours=True))
    result = json.loads(scores.read_text())
    assert sum(result["details"]["classes"]["samples"]) == 25
    assert sum(result["details"]["classes"]["real"]) == 40
    assert (result["cards"]["fid"]["n_fake"], result["cards"]["fid"]["n_real"]) == (25, 40)
    with pytest.raises(UserError, match=r"nowhere.pt is missing"):
        evaluate([done.path], EvaluationRequest(overrides=("features=nowhere.pt",)))
    assert done.result["details"]["fid"]["expected_bias"] > 0
    assert done.result["details"]["classes"] == done.result["details"]["class_kl"]
    looking = {"extractor": done.config["metrics"]["features"]}
    renamed(done.path, {
        **{name: alone(f"prdc.{name.title()}", k=5, **looking) for name in four},
        "classes": alone("classes.Classes", **looking), "class_kl": alone("classes.ClassKL", **looking),
    })  # fmt: skip
    before = json.loads(evaluate([done.path], EvaluationRequest())[0].read_text())
    assert len(before["cards"]) == 6
    for name, how in before["cards"].items():  # found alone, as in runs of before
        assert how == done.result["cards"][name]
        assert before["scores"][name]["value"] == done.result["final"][name]["value"]
    cards = done.result["cards"]
    assert (cards["recall"]["metric"], cards["recall"]["settings"]) == ("ganlab.metrics.prdc.Recall", {"k": 5})
    assert [cards[name]["n_real"] for name in ("precision", "class_kl", "classes")] == [20, 20, 0]
    with Image.open(nearest) as picture:
        assert picture.width > 8 * 8


@pytest.mark.parametrize(
    ("features", "sentence"),
    [("none.pt", r"none.pt is missing .*: make it with `ganlab features"), ("colour.pt", r"\[3, 8, 8\].*\[1, 8, 8\]")],
)
def test_a_classifier_that_cannot_look_is_told_before_training(run, pictures, features, sentence, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(UserError, match=sentence):
        run(*overrides_of(pictures, features))
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_too_few_samples_are_told(run, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(UserError, match=r"metrics.n = 5 is too few for metrics.scores.inception_score: it needs at least 10"):
        run(*overrides_of(pictures), "metrics.n=5")


def test_too_few_samples_for_fid_are_warned_of_with_the_bias(run, pictures, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run(*overrides_of(pictures))
    assert any("FID of 20 samples and 20 real ones in 128 dimensions" in text for text in caplog.messages)


def test_an_empty_folder_is_no_run(tmp_path):
    with pytest.raises(UserError, match=r"is not a run directory: it has no config.yaml"):
        evaluate([tmp_path], EvaluationRequest())


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
def test_the_generator_of_the_paper_starts_at_the_mean_digit():
    """protocols 1.1: 50,000 images; biases in [-16.118, 0.197], 67 pixels that are always 0; mean pixel 0.132 against 0.131."""
    from ganlab.networks.maxout import Generator

    source = torchvision_images("MNIST", str(SHARED), None, [1, 28, 28], "train::50000")
    torch.manual_seed(0)
    G = Generator((1, 28, 28), 100)
    G.start_near(source.mean())
    last = G.net[-1]
    assert isinstance(last, nn.Linear)
    assert last.bias.min().item() == pytest.approx(-16.118, abs=1e-3)
    assert last.bias.max().item() == pytest.approx(0.197, abs=1e-3)
    assert (last.bias < -16.1).sum() == 67
    z = (2 * torch.rand(1000, 100, generator=generator_of(0, "z")) - 1) * 3**0.5
    assert (G(z, z).mean().item() + 1) / 2 == pytest.approx(0.132, abs=1e-3)
