"""What is noticed of a game that has gone wrong, and from when on."""

import math

import pytest
import torch
from conftest import same_state

from ganlab.files.table import read
from ganlab.files.verdict import verdict, verdict_in_words


def rows(**columns):
    return [
        {"iteration": 10 * (i + 1), **{f"health/{k}": v for k, v in zip(columns, values, strict=True)}}
        for i, values in enumerate(zip(*columns.values(), strict=True))
    ]


def test_a_game_that_goes_on_is_healthy():
    assert verdict(rows(diversity=[0.01, 0.9, 1.1], V=[-0.01, -1.3, -1.38]), None).state == "healthy"
    assert verdict(rows(diversity=[0.9]), None).state == verdict([], None).state == "unknown"


def test_the_first_iteration_of_what_lasts_until_the_end_is_named():
    found = verdict(rows(diversity=[0.05, 0.5, 0.09, 0.05, 0.02], V=[-1.0] * 5), None)
    assert (found.state, found.since) == ("collapsed", 30)
    assert verdict_in_words(found) == "collapsed from iteration 30 on: samples are 0.02 times as far apart as data"


def test_one_reading_is_not_believed():
    assert verdict(rows(diversity=[0.5, 0.5, 0.01]), None).state == "healthy"


def test_a_discriminator_that_is_sure_of_all_has_stalled_the_game():
    found = verdict(rows(diversity=[1.0, 1.0, 1.0], V=[-0.5, -0.001, -0.0005]), None)
    assert (found.state, found.since) == ("stalled", 20)


def test_a_game_that_reaches_no_mode_is_not_healthy():
    apart = rows(diversity=[1.0, 1.0, 1.0])
    readings = [{"iteration": 15 + 10 * i, "eval/modes": value} for i, value in enumerate((3.0, 0.0, 0.0))]
    assert verdict([*apart, *readings], None)[:2] == ("astray", 25)
    assert verdict([*apart, *readings[:2]], None).state == "healthy"  # one reading
    assert verdict([*apart, *readings, {"iteration": 45, "eval/modes": 1.0}], None).state == "healthy"


def test_readings_that_are_not_finite_are_no_readings():
    assert verdict(rows(diversity=[0.5, 0.05, 0.05, math.nan]), None).since == 20


def test_divergence_comes_first():
    assert verdict(rows(diversity=[0.01, 0.01]), 70)[:2] == ("diverged", 70)


def test_a_run_reads_its_health_and_gradients(run):
    done = run("iterations=6", "health.every=2", "health.n=64", "metrics=none", "theory=none")
    found = [row for row in read(done.table_file) if "health/V" in row]
    assert [row["iteration"] for row in found] == [2, 4, 6]
    assert all(row["health/gradient_G"] > 0 and row["health/gradient_D"] > 0 for row in found)
    assert all(0 <= row["health/accuracy"] <= 1 and -5 < row["health/V"] < 0 for row in found)
    assert "health/logit_gap" not in found[0]  # the source is endless


@pytest.mark.parametrize(("pack", "n"), [(2, 51), (3, 50), (4, 2)])  # also one larger than the examples
def test_packs_that_do_not_divide_the_examples_are_watched(run, pack, n):
    done = run(f"model.pack={pack}", f"batch_size={6 * pack}", "iterations=2", f"health.n={n}", "metrics=none", "theory=none")
    assert "health/V" in read(done.table_file)[-1]


def test_nothing_is_said_of_a_logit_where_there_is_none(run):
    done = run("loss=wasserstein", "iterations=4", "health.every=2", "metrics=none", "theory=none")
    last = read(done.table_file)[-1]
    assert {"health/diversity", "health/gradient_D"} < set(last)
    assert not {"health/V", "health/accuracy"} & set(last)


def test_to_be_watched_changes_nothing(run):
    often, never = (run("iterations=6", f"health.every={n}", "metrics=none", "theory=none", name=str(n)) for n in (1, 100))
    a, b = (torch.load(done.newest_checkpoint(), weights_only=True)["state_dict"] for done in (often, never))
    assert same_state(a, b)


def test_a_gradient_norm_is_that_of_the_step_that_was_taken(run):
    """SGD without momentum moves the weights by lr times the gradient."""
    sgd = (
        "optim=sgd",
        "optim.momentum=0",
        "optim.lr=0.5",
        "metrics=none",
        "theory=none",
        "health.every=1",
        "checkpoint.every=1",
    )
    done = run("iterations=2", *sgd)
    states = [torch.load(path, weights_only=True)["state_dict"] for path in sorted(done.checkpoints.glob("*.ckpt"))]
    row = next(row for row in read(done.table_file) if row["iteration"] == 2)
    for net in ("G", "D"):
        moved = [(states[1][name] - states[0][name]).square().sum() for name in states[0] if name.startswith(f"{net}.")]
        assert row[f"health/gradient_{net}"] == pytest.approx(torch.stack(moved).sum().sqrt().item() / 0.5, rel=1e-3)


def test_a_discriminator_that_knows_its_images_by_heart_shows_a_logit_gap(run, tmp_path):
    """Sixteen noise images and sixteen unseen ones, no other way to tell them apart than to know them."""
    from PIL import Image

    for i in range(32):
        Image.effect_noise((8, 8), 80.0).save(tmp_path / f"{i:02d}.png")
    data = ("data=images", f"data.source={tmp_path}", "shape=[1,8,8]", "data.split=train::50%", "health.split=train:50%:")
    done = run(*data, "batch_size=16", "iterations=150", "health.every=50", "metrics=none", "ema_decay=0")
    last = [row for row in read(done.table_file) if "health/V" in row][-1]
    assert last["health/logit_gap"] > 1
    assert last["health/accuracy"] > last["health/accuracy_held_out"]
