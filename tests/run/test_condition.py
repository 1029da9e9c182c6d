"""Runs whose G is told y, or whose z has a code: what is scored, drawn, sampled, kept, and refused."""

import json

import numpy as np
import pytest
import torch
from conftest import ROOT, composed, same_state
from PIL import Image

from ganlab.commands.evaluate import EvaluationRequest, evaluate
from ganlab.commands.sample import sample
from ganlab.errors import UserError
from ganlab.figures.pictures import Grid, Points
from ganlab.files.table import read
from ganlab.game.priors import Coded, Normal
from ganlab.observers.asking import ask
from ganlab.run.build import game_of
from ganlab.run.config import resolve, validate

TINY = ("model.G.width=8", "model.D.width=8", "theory=none", "metrics.picture=null", "metrics.n=40", "metrics.every=2",
        "batch_size=8", "log_every=1")  # fmt: skip
IMAGES = ("data=dirac", "data._target_=outsiders.Noise", "shape=[3,16,16]", "theory=none")
FORMS = {  # what one word has to bring: to G, to D, and as the objective
    "concat": ("OneHot", "batch", "ConcatenationHead", "Adversarial"),
    "projection": ("OneHot", "batch", "ProjectionHead", "Adversarial"),
    "cbn": ("OneHot", "class", "ProjectionHead", "Adversarial"),
    "ac_gan": ("OneHot", "batch", "LinearHead", "AuxiliaryClassifier"),
    "infogan": ("Told", "batch", "LinearHead", "InfoGAN"),
}


@pytest.fixture(autouse=True)
def outside(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests")


def state(run):
    return torch.load(run.newest_checkpoint(), weights_only=True)["state_dict"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("model", ["mlp", "dcgan"])
def test_one_word_brings_a_form_to_points_and_to_images(form, model, tmp_path):
    on = (*IMAGES, "model=dcgan") if model == "dcgan" else ("data.modes=4",)
    gan = game_of(validate(resolve(composed(*on, "model.G.width=4", "model.D.width=4", f"condition={form}", path=tmp_path))))
    told, norm, head, objective = FORMS[form]
    kinds = {type(layer).__name__ for layer in gan.G.modules()}
    assert (type(gan.G.told).__name__, type(gan.D.head).__name__, type(gan.objective).__name__) == (told, head, objective)
    assert ("ClassBatchNorm" in kinds) == (norm == "class")
    assert [p.shape[0] for p in (*gan.G.parameters(), *gan.D.parameters()) if p.shape[0] == 0] == []
    classes = {
        name: gan.state_dict()[name].shape
        for name in gan.state_dict()
        if name in ("D.head.embed.weight", "objective.classifier.weight")
    }
    assert all(shape[0] == 4 for shape in classes.values())  # as many as the data have


def test_the_two_ways_to_type_ac_gan_and_infogan_are_one(tmp_path):
    for form in ("ac_gan", "infogan"):
        by_condition, by_objective = (
            resolve(composed(f"{group}={form}", path=tmp_path)) for group in ("condition", "objective")
        )
        assert by_condition == by_objective


@pytest.mark.parametrize(
    "choices",
    [
        pytest.param(("condition=cbn",), marks=pytest.mark.slow),
        ("condition=ac_gan",),
        pytest.param(("condition=infogan", "prior.continuous=2"), marks=pytest.mark.slow),
    ],
    ids=["cbn", "ac_gan", "infogan"],
)
def test_a_run_goes_on_as_if_nothing_had_happened(choices, run, tmp_path):
    whole = run(*choices, *TINY, "iterations=6", "checkpoint.every=3", name="whole")
    run(*choices, *TINY, "iterations=3", name="parts")
    parts = run(*choices, *TINY, "iterations=6", f"resume={tmp_path}/parts", name="parts")
    assert same_state(state(whole), state(parts))
    if choices[0] != "condition=cbn":
        assert any(name.startswith("objective.") for name in state(whole))
    assert read(whole.table_file)[-1]["train/loss_D"] == read(parts.table_file)[-1]["train/loss_D"]


def test_what_was_asked_for_is_scored_where_g_is_told_and_left_out_where_it_is_not(run):
    told, plain = run("condition=concat", *TINY, "iterations=2", name="told"), run(*TINY, "iterations=2", name="plain")
    assert told.result["final"].keys() - plain.result["final"].keys() == {"component_accuracy"}
    card = told.result["cards"]["component_accuracy"]
    assert (card["metric"], card["n_fake"], card["n_real"]) == ("ganlab.metrics.conditional.ComponentAccuracy", 40, 0)
    assert len(told.result["details"]["component_accuracy"]["classes"]) == 8
    (file,) = evaluate([told.path], EvaluationRequest(device="cpu"))
    again = json.loads(file.read_text())["scores"]["component_accuracy"]["value"]
    assert again == told.result["final"]["component_accuracy"]["value"]
    assert "train/class_nll_data" not in read(told.table_file)[-1]


def test_what_an_objective_says_is_logged(run):
    done = run("condition=infogan", *TINY, "iterations=2")
    row = read(done.table_file)[-1]
    assert row["train/information_category"] < np.log(8) + 1e-6
    assert "train/information_continuous" in row
    assert done.config["prior"]["classes"] == 8  # from the data
    assert done.config["model"]["G"]["z_dim"] == 2 + 8 + 1


def test_a_head_of_ones_own_is_told_y(run):
    done = run("condition=concat", "model.D.head={_target_: outsiders.Bilinear}", "~model.D.head.width", *TINY, "iterations=2")
    assert state(done)["D.head.rows.weight"].shape == (8, 8)


MISTAKES = {
    "condition=projection data=swissroll": "model.G: a G that is told y wants labels and the data have none",
    "data=swissroll +model.D.head._target_=ganlab.networks.heads.Projection": "model.D: a projection wants labels and the data",
    "condition=cbn data=swissroll": "model.G: class-conditional BatchNorm wants labels",
    "condition=infogan data=swissroll": "prior: a code needs classes >= 2",
    "condition=infogan prior=uniform": "objective: InfoGAN needs a prior with a code, and Uniform has none: use prior=coded",
    "condition=projection model.pack=2": "model.pack = 2 but D is told y, of which a pack has 2",
    "condition=ac_gan model.pack=2": "model.pack = 2 but this objective has D tell a class of each sample",
    "condition=cbn model=maxout": "model.G.norm = ClassBatch is asked for by a preset, as a condition, but this net",
    "condition=concat model.D.head.width=0": "model.D: width must be >= 1",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_sentence_before_anything_is_trained(words, run, tmp_path):
    with pytest.raises(UserError) as caught:
        run(*words.split(), "iterations=2", "theory=none")
    text = str(caught.value)
    assert MISTAKES[words] in text
    assert len(text) <= 200
    assert "\n" not in text


class Source:
    shape, classes = (1, 4, 4), 3

    def sample(self, n, generator):
        return torch.rand(n, 1, 4, 4, generator=generator), torch.arange(n) % 3


class Line(Source):
    shape = (2,)

    def sample(self, n, generator):
        return torch.randn(n, 2, generator=generator), torch.arange(n) % 3


def test_a_grid_asks_for_a_row_of_each_class_by_the_same_z():
    grid, prior = Grid(Source(), n=8, columns=4), Normal(2)
    z, y = prior.sample(8, torch.Generator().manual_seed(0)), torch.zeros(8, dtype=torch.long)
    asked = ask(grid, prior, 3, z, y)
    assert asked.y.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert torch.equal(asked.z, z[:4].repeat(3, 1))
    plain = ask(grid, prior, 1, z, y)
    assert (plain.z is z, plain.y is y, plain.shown) == (True, True, {})
    coded = Coded(2, 3, 1)
    z = coded.sample(8, torch.Generator().manual_seed(0))
    asked = ask(grid, coded, 1, z, y)
    assert torch.equal(coded.code(asked.z)[0].argmax(1), asked.y)
    assert torch.equal(asked.z[:, :2], z[:4, :2].repeat(3, 1))


def test_points_are_asked_for_as_the_data_have_them_or_as_their_code_says():
    points, z, y = Points(Line(), n=6), torch.randn(6, 2), torch.arange(6) % 3
    assert ask(points, Normal(2), 3, z, y).shown["y"] is y
    coded = Coded(2, 3, 0)
    z = coded.sample(6, torch.Generator().manual_seed(0))
    assert torch.equal(ask(points, coded, 1, z, y).shown["y"], z[:, 2:].argmax(1))


def test_rows_have_the_names_of_their_classes_beside_them(drawn):
    grid = Grid(Source(), n=4, columns=2)
    grid.names = ["a", "boot", "c"]
    rows, which = grid.rows(3)
    x = rows[:, None, None, None].float().expand(6, 1, 4, 4) - 1
    image, plain = np.asarray(grid.draw(x, "", y=rows).convert("L")), np.asarray(grid.draw(x, "").convert("L"))
    room = image.shape[1] - plain.shape[1]
    assert room > 12
    assert image.shape[0] == plain.shape[0] > plain.shape[1]  # three rows of two
    for row in range(3):
        beside = image[row * image.shape[0] // 3 : (row + 1) * image.shape[0] // 3, :room]
        assert beside.min() < 100  # something is written
    assert which.tolist() == [0, 1] * 3


def test_points_have_the_colour_of_the_class_that_was_asked_for(drawn):
    points = Points(Line(), n=300)
    x, y = torch.zeros(300, 2), torch.zeros(300, dtype=torch.long)

    def at_the_middle(**more):
        image = np.asarray(points.draw(x, "", **more)).astype(int)
        return image[image.shape[0] // 2 - 20 : image.shape[0] // 2 + 40]

    of = [at_the_middle(y=y), at_the_middle(y=y + 1), at_the_middle()]
    assert all((a != b).any() for i, a in enumerate(of) for b in of[i + 1 :])


def test_samples_are_of_the_classes_that_are_asked_for(run, tmp_path):
    done = run("condition=concat", *TINY, "iterations=2")
    out = sample(done, n=6, seed=0, checkpoint=None, out=tmp_path / "out", trust=False, classes=[3, 5])
    lines = (out / "samples.csv").read_text().splitlines()
    assert lines[0] == "x1,x2,y"
    assert [float(line.split(",")[2]) for line in lines[1:]] == [3, 5] * 3
    with pytest.raises(UserError, match=r"--classes 8: give numbers from 0 to 7"):
        sample(done, 6, 0, None, tmp_path / "out", False, classes=[3, 8])
    plain = run(*TINY, "iterations=2", name="plain")
    with pytest.raises(UserError, match=r"--classes 0: this G is not told any: leave it out"):
        sample(plain, 6, 0, None, tmp_path / "out", False, classes=[0])


def test_images_are_named_by_their_class_and_a_grid_has_a_row_for_each(run, tmp_path):
    small = (
        "model=dcgan",
        "model.G.width=4",
        "model.D.width=4",
        "metrics=images",
        "batch_size=8",
        "iterations=2",
        "prior.dim=4",
    )
    done = run(*IMAGES, *small, "condition=infogan", "metrics.picture.draw.columns=3", "metrics.picture.draw.n=3")
    with Image.open(sorted(done.samples.glob("*.png"))[-1]) as image:
        assert image.height > image.width  # four rows of three
    out = sample(done, n=4, seed=0, checkpoint=None, out=tmp_path / "out", trust=True, classes=[2])
    assert {path.name for path in out.glob("0*.png")} == {f"{i:05d}-class2.png" for i in range(4)}
    assert (out / "grid.png").is_file()
