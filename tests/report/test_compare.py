"""Comparing finished runs: who belongs to which setting, what is averaged, what is refused, and what is said about it."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from ganlab.errors import UserError
from ganlab.report import compare as report
from ganlab.report.compare import compare
from ganlab.report.names import titled
from ganlab.report.text import interval, number, probability

CARD = {"metric": "ganlab.metrics.frechet.FrechetDistance", "version": 1, "n_fake": 1000, "weights": "EMA"}
CONFIG = {
    "seed": 0,
    "k": 1,
    "batch_size": 16,
    "iterations": 40,
    "ema_decay": 0.99,
    "name": "toy-s0",
    "data": {"_target_": "ganlab.data.toy.ring", "modes": 8},
    "model": {"G": {"_target_": "ganlab.networks.mlp.Generator", "z_dim": 2}},
    "loss": {"_target_": "ganlab.game.losses.NonSaturating"},
    "trainer": {"precision": "32-true"},
}


def finished(folder, name, fid, *, config=None, overrides=None, card=None, status="completed", verdict="healthy", picture=True,
             command="train.py -m k=1,2", scores=None):  # fmt: skip
    """A run directory whose curve of fid, lower the better, has these values at iterations 10, 20, ..."""
    path = folder / name
    (path / "samples").mkdir(parents=True)
    config = CONFIG | (config or {})
    k, seed = config["k"], config["seed"]
    (path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (path / "overrides.yaml").write_text(yaml.safe_dump([f"k={k}", f"seed={seed}"] if overrides is None else overrides))
    t = [10 * (i + 1) for i in range(len(fid))]
    lines = [f"{a},{k * a},{16 * k * a},{a / 4},{-1 / a},{v}" for a, v in zip(t, fid, strict=True)]
    (path / "metrics.csv").write_text("\n".join(["iteration,d_steps,images,seconds,train/V,eval/fid", *lines, ""]))
    best = min(fid)
    values = {
        "final": {"fid": {"value": fid[-1], "iteration": t[-1]}},
        "best": {"fid": {"value": best, "iteration": t[fid.index(best)]}},
        "mean": {"fid": {"value": sum(fid) / len(fid), "from": t[0], "to": t[-1]}},
    }
    for other, value in (scores or {}).items():
        for kind in values.values():
            kind[other] = {"value": value, "iteration": t[-1]}
    counters = {"iterations": t[-1], "d_steps": k * t[-1], "images": 16 * k * t[-1], "seconds": t[-1] / 4}
    cards = {name: {**CARD, "seed": seed, "commit": "abc", **(card or {})} for name in values["final"]}
    state = {"state": verdict, "since": None, "why": ""}
    result = {"status": status, "cards": cards, "verdict": state, "command": command, "commit": "abc", "device": "cpu"}
    (path / "result.json").write_text(json.dumps(result | values | counters))
    if picture:
        pixels = np.full((8, 8, 3), 20 * k, dtype=np.uint8)
        Image.fromarray(pixels).save(path / "samples" / f"step-{t[-1]:09d}.png")
    return path


def seeds(folder, name, lasts, **more):
    """Runs of one setting, a seed each, whose fid ends at these values."""
    config = more.pop("config", {})
    return [
        finished(folder, f"{name}-{seed}", [9.0, last + 1, last], config=config | {"seed": seed}, **more)
        for seed, last in enumerate(lasts)
    ]


@pytest.fixture
def two(tmp_path):
    """k = 1 with fid 1, 2, 3, 4, 5 and k = 2 with fid 11, ..., 15."""
    folder = tmp_path / "sweep"
    seeds(folder, "a", [1.0, 2.0, 3.0, 4.0, 5.0])
    seeds(folder, "b", [11.0, 12.0, 13.0, 14.0, 15.0], config={"k": 2})
    return folder


def studied(dirs, reference=None, **more):
    """The section of a study of one data set, with the study's notes."""
    study = report.studied(dirs, reference, **more)
    (section,) = study.sections
    return section._replace(notes=study.notes)


def names(folder, **more):
    return [setting.name for setting in report.studied([folder], **more).settings]


def edit(path, change):
    """Rewrite a json or yaml file."""
    load, dump = (json.loads, json.dumps) if path.suffix == ".json" else (yaml.safe_load, yaml.safe_dump)
    content = load(path.read_text())
    change(content)
    path.write_text(dump(content))


# what is averaged


def test_the_table_by_hand(two):
    study = studied([two])
    assert [(row.setting, row.score) for row in study.rows] == [("k=1", "fid"), ("k=2", "fid")]
    first, second = (row.cells for row in study.rows)
    assert first["last"].mean.value == 3
    assert first["last"].mean.low < 3 < first["last"].mean.high
    assert first["last"].middle == pytest.approx(3)
    assert first["last"].n == 5
    assert first["best"].mean.value == 3
    assert first["mean"].mean.value == pytest.approx((9 + 4 + 3) / 3)
    assert second["last"].mean.value == 13
    cost = study.costs[1]
    assert (cost.runs, cost.failures, cost.states["completed"], cost.verdicts["healthy"]) == (5, 0, 5, 5)
    assert cost.means == {"iterations": 30, "d_steps": 60, "images": 960, "seconds": 7.5}


def test_the_interquartile_mean_leaves_out_the_ends(tmp_path):
    seeds(tmp_path / "a", "a", [1.0, 2.0, 4.0, 100.0])
    (row,) = studied([tmp_path]).rows
    assert row.cells["last"].middle == 3
    assert row.cells["last"].mean.value == 26.75


def test_the_best_is_not_the_last(tmp_path):
    finished(tmp_path, "a", [5.0, 2.0, 8.0])
    (row,) = studied([tmp_path]).rows
    assert [row.cells[kind].mean.value for kind in ("last", "best", "mean")] == [8, 2, 5]


def test_a_test_says_who_is_better(two):
    (test,) = studied([two]).tests
    assert (test.a, test.b, test.comparison.difference.value) == ("k=1", "k=2", 10)
    assert test.comparison.p == pytest.approx(2 / 252)
    assert test.text.startswith("k=1 reaches lower FID than k=2 (difference -10.0")
    assert studied([two]).summary == [test.text]


def test_where_higher_is_better_the_sentence_turns_round(two):
    for file in two.glob("*/result.json"):  # the best is where the curve is highest
        edit(file, lambda result: result["best"].update(fid={"value": 9.0, "iteration": 10}))
    for file in two.glob("b-*/result.json"):
        edit(file, lambda result: result["best"].update(fid={"value": result["final"]["fid"]["value"] + 1, "iteration": 20}))
    study = studied([two])
    assert study.tests[0].lower is False
    assert study.tests[0].text.startswith("k=2 reaches higher FID than k=1 ")


def test_with_one_reading_the_metric_says_what_is_better(tmp_path):
    for k in (1, 2):
        for seed in (0, 1):
            finished(tmp_path, f"{k}-{seed}", [float(k + seed)], config={"k": k, "seed": seed})
    assert studied([tmp_path]).tests[0].lower is True


def test_p_is_adjusted_over_the_comparisons_of_a_score(tmp_path):
    for k in (1, 2, 3):
        seeds(tmp_path, f"k{k}", [10.0 * k + i for i in range(5)], config={"k": k})
    study = studied([tmp_path])
    assert [(test.a, test.b) for test in study.tests] == [("k=1", "k=2"), ("k=1", "k=3"), ("k=2", "k=3")]
    assert [test.p_adjusted for test in study.tests] == pytest.approx([3 * 2 / 252] * 3)


def test_many_settings_are_compared_with_one(tmp_path):
    for k in (1, 2, 3, 4):
        seeds(tmp_path, f"k{k}", [10.0 * k + i for i in range(5)], config={"k": k})
    study = studied([tmp_path])
    assert (study.reference, [(test.a, test.b) for test in study.tests]) == ("k=1", [("k=1", f"k={k}") for k in (2, 3, 4)])
    study = studied([tmp_path], "k=3")
    assert [(test.a, test.b) for test in study.tests] == [("k=3", f"k={k}") for k in (1, 2, 4)]
    with pytest.raises(UserError, match=r"--reference 'k=33' is not one of the settings: did you mean k=3\?"):
        studied([tmp_path], "k=33")


def test_a_score_that_the_first_setting_lacks_is_tested_among_the_others(tmp_path):
    seeds(tmp_path, "k1", [1.0, 2.0])
    for k in (2, 3, 4, 5, 6):
        seeds(tmp_path, f"k{k}", [1.0, 2.0], config={"k": k}, scores={"kid": 1.0} if k < 6 else {"mmd": 1.0, "kid": 1.0})
    pairs = {}
    for test in studied([tmp_path]).tests:
        pairs.setdefault(test.score, []).append((test.a, test.b))
    assert pairs["fid"] == [("k=1", f"k={k}") for k in (2, 3, 4, 5, 6)]
    assert pairs["kid"] == [("k=2", f"k={k}") for k in (3, 4, 5, 6)]
    assert "mmd" not in pairs


def test_the_summary_of_many_tests_is_a_line_for_each_score(tmp_path):
    for k in range(1, 9):
        seeds(tmp_path, f"k{k}", [(10.0 if k < 5 else 20.0) * k + i for i in range(6)], config={"k": k})
    study = studied([tmp_path], "k=4")
    (line,) = study.summary
    assert line.startswith("FID (lower is better): the best mean is 12.5 [")
    assert line.endswith("] of k=1; against k=4, better: k=1 · k=2 · k=3; worse: k=5 · k=6 · k=7 and 1 more.")


def test_without_seeds_to_test_the_summary_says_so(tmp_path):
    for k in range(1, 9):
        finished(tmp_path, str(k), [3.0, 1.0 * k], config={"k": k})
    (line,) = studied([tmp_path]).summary
    assert line == "FID (lower is better): the best mean is 1 of k=1; nothing is tested against k=1, for want of seeds."


def test_the_summary_tells_of_the_theory_together(tmp_path):
    for k in (1, 2, 3, 4):
        more = {"theory/jsd": 0.1 * k, "theory/kl": 0.2 * k, "kid": 1.0 * k}
        paths = seeds(tmp_path, f"k{k}", [10.0 * k, 10.0 * k + 1], config={"k": k}, scores=more)
        for path in paths:
            edit(path / "result.json", lambda result: result["cards"].update(theory={"metric": "x"}))
    fid, kid, theory = studied([tmp_path]).summary
    assert fid.startswith("FID (lower is better): the best mean is 10.5 ")
    assert kid.startswith("KID (lower is better): the best mean is 1 ")
    assert theory.startswith("theory/jsd, theory/kl: so few seeds cannot show a difference from k=1 in 3 comparisons ")


def test_tests_that_cannot_show_anything_are_told(tmp_path):
    for k in range(1, 9):
        seeds(tmp_path, f"k{k}", [10.0 * k + i for i in range(4)], config={"k": k})
    assert (
        "so few seeds cannot show a difference from k=1 in 7 comparisons (p after Holm is at least 0.2)"
        in (studied([tmp_path]).summary[0])
    )


# who belongs to which setting


def test_a_setting_is_named_by_what_varies_among_the_overrides(tmp_path):
    for i, (k, loss) in enumerate([(1, "minimax"), (1, "hinge"), (2, "minimax")]):
        config = {"k": k, "loss": {"_target_": f"ganlab.game.losses.{loss}"}, "log_every": i}
        overrides = [f"k={k}", f"loss={loss}", "iterations=40", f"seed={i}", "logger=csv", f"metrics.n={i}", f"threads={i}"]
        finished(tmp_path, str(i), [1.0], config=config, overrides=overrides)
    assert names(tmp_path) == ["k=1, loss=minimax", "k=1, loss=hinge", "k=2, loss=minimax"]


def test_an_override_that_was_left_out_is_read_from_the_config(tmp_path):
    finished(tmp_path, "a", [1.0], overrides=["seed=0", "experiment=x"])
    finished(tmp_path, "b", [1.0], config={"k": 5}, overrides=["k=5"])
    finished(tmp_path, "c", [1.0], config={"k": 5, "seed": 1}, overrides=["+k=5", "seed=1"])
    assert names(tmp_path) == ["k=1", "k=5"]


@pytest.mark.parametrize(
    ("configs", "expected"),
    [
        ([{"k": 1}, {"k": 5}], ["k=1", "k=5"]),
        ([{"loss": {"_target_": "ganlab.game.losses.Hinge"}}, {}], ["loss=Hinge", "loss=NonSaturating"]),
        (  # what varies along with it does not flood the name
            [{"data": {"_target_": "ganlab.data.toy.grid", "side": 5}, "shape": [3]}, {"shape": [2]}],
            ["data=grid", "data=ring"],
        ),
        (
            [{"model": {"G": {"_target_": f"ganlab.networks.{net}.Generator"}}} for net in ("mlp", "dcgan")],
            ["model.G=mlp.Generator", "model.G=dcgan.Generator"],
        ),
        (
            [{"loss": {"_target_": "x.Soft", "a": 1}}, {"loss": {"_target_": "x.Soft", "a": 2}}, {}],
            ["loss=Soft, loss.a=1", "loss=Soft, loss.a=2", "loss=NonSaturating"],
        ),
        (
            [{"updates": {"_target_": "hydra.utils.get_method", "path": f"updates.{u}"}} for u in ("alternating", "both")],
            ["updates=alternating", "updates=both"],
        ),
        ([{"k": k, "ema_decay": e} for k in (1, 2) for e in (0, 0.5)],
         ["k=1, ema_decay=0", "k=1, ema_decay=0.5", "k=2, ema_decay=0", "k=2, ema_decay=0.5"]),
        ([{"trainer": {"precision": "32-true"}}, {"trainer": {"precision": "bf16-mixed"}}],
         ["precision=32-true", "precision=bf16-mixed"]),
    ],
)  # fmt: skip
def test_without_overrides_a_setting_is_named_by_its_config(tmp_path, configs, expected):
    for i, config in enumerate(configs):
        path = finished(tmp_path, str(i), [1.0], config=config | {"seed": i})
        (path / "overrides.yaml").unlink()
    assert names(tmp_path) == expected


def test_a_model_that_was_left_out_is_named_by_its_module(tmp_path):
    finished(tmp_path, "a", [1.0], overrides=[])
    finished(
        tmp_path,
        "b",
        [1.0],
        config={"model": {"G": {"_target_": "ganlab.networks.dcgan.Generator"}}},
        overrides=["model=dcgan"],
    )
    assert names(tmp_path) == ["model=mlp", "model=dcgan"]


def test_what_differs_and_no_name_says_is_told(tmp_path):
    told = "Settings differ in augment, k, too, which their names do not say: what is shown is of all of it together."
    more = {"k": 2, "augment": {"_target_": "x.Noise"}, "penalty": {"r1": {"_target_": "x.R1", "gamma": 1.0}}, "iterations": 9}
    finished(tmp_path, "a", [1.0], config={"augment": {"_target_": "x.Augment"}, "penalty": {}}, overrides=["seed=0"])
    finished(tmp_path, "b", [1.0], config=more, overrides=["k=2", "penalty=r1", "augment=noise"])
    study = report.studied([tmp_path])
    assert [setting.name for setting in study.settings] == ["penalty=none", "penalty=r1"]
    assert [note for note in study.notes if "names do not say" in note] == [told]
    one, two = tmp_path / "one", tmp_path / "two"
    finished(one, "a", [1.0], overrides=["k=1"])
    finished(two, "b", [1.0], config={"k": 2}, overrides=["k=2"])
    assert not [note for note in report.studied([one, two]).notes if "names do not say" in note]


def test_overrides_that_vary_with_others_do_not_flood_the_name(tmp_path):
    for i, (data, k) in enumerate([("ring", 1), ("ring", 2), ("grid", 1)]):
        config = {"data": {"_target_": f"x.{data}"}, "k": k, "iterations": 40 // k, "batch_size": 16 if data == "ring" else 8}
        overrides = [f"k={k}", f"iterations={40 // k}", f"batch_size={config['batch_size']}", f"data={data}"]
        finished(tmp_path, str(i), [1.0], config=config, overrides=overrides)
    assert names(tmp_path) == ["k=1", "k=2", "k=1"]  # of ring and of grid, each in its section


def test_the_same_overrides_with_other_configs_are_other_settings(tmp_path):
    """As when a default has changed between two runs."""
    finished(tmp_path, "a", [1.0], overrides=["k=1"])
    finished(tmp_path, "b", [1.0], config={"ema_decay": 0.5}, overrides=["k=1"])
    assert names(tmp_path) == ["ema_decay=0.99", "ema_decay=0.5"]


def test_how_a_run_was_observed_and_where_its_data_lie_is_no_setting(tmp_path):
    data = CONFIG["data"]
    finished(tmp_path, "a", [1.0], config={"data": data | {"root": "/here"}, "health": {"every": 1}})
    finished(tmp_path, "b", [1.0], config={"data": data | {"root": "/there"}, "metrics": {"every": 3}, "seed": 1})
    assert names(tmp_path) == ["ring-mlp-NonSaturating-k1"]


def test_copies_of_the_same_pictures_are_one_setting_and_other_pictures_another(tmp_path):
    data = {"_target_": "ganlab.data.datasets.torchvision_images", "name": "CIFAR10", "split": "train"}
    for i, (source, fingerprint) in enumerate([("/a", "1"), ("/b", "1"), ("/a", None), ("/c", "2"), ("/d", None)]):
        path = finished(tmp_path, str(i), [1.0], config={"data": data | {"source": source}, "seed": i})
        if fingerprint:
            (path / "data.json").write_text(json.dumps({"fingerprint": fingerprint, "place": {"source": source}}))
    settings = studied([tmp_path]).settings
    assert [[run.name for run in setting.runs] for setting in settings] == [["0", "1", "2"], ["3"], ["4"]]


def test_the_folder_of_a_group_of_replicas_is_no_run(tmp_path):
    """It has the overrides of those within, by which it goes on, and no config."""
    seeds(tmp_path / "group", "seed", [1.0, 2.0, 3.0])
    (tmp_path / "group" / "overrides.yaml").write_text("[replicas=3]")
    (tmp_path / "group" / "run.log").touch()
    section = studied([tmp_path])
    assert [run.scores["last"]["fid"] for run in section.settings[0].runs] == [1.0, 2.0, 3.0]
    assert not [note for note in section.notes if "config.yaml" in note]


def test_settings_differ_in_these_values(two):
    assert studied([two]).differences == {"k": ["1", "2"]}


def test_a_run_is_read_once_and_a_seed_counts_once(two, tmp_path):
    study = studied([two, two / "a-0", two / ".." / "sweep"])
    assert study.costs[0].runs == 5
    (note,) = study.notes
    assert note.count("sweep/a-0, /") == note.count("/../sweep: its runs were given already") == 1
    shutil.copytree(two / "a-0", two / "a-9")
    edit(two / "a-9" / "result.json", lambda result: result["final"]["fid"].update(value=99.0))
    study = studied([two])
    assert study.rows[0].cells["last"].mean.value == pytest.approx((99 + 2 + 3 + 4 + 5) / 5)
    assert "a-0: left out, as later runs of k=1 have the same seed" in study.notes
    assert study.costs[0].runs == 5
    assert {curve["n"] for column in study.charts["columns"] for curve in column["curves"]} == {5}


# what is refused


@pytest.mark.parametrize(
    ("card", "how"),
    [({"n_fake": 50}, "n_fake: 50, 1000"), ({"weights": "raw"}, "weights: raw, EMA"), ({"version": 2}, "version: 2, 1")],
)
def test_scores_that_were_obtained_in_another_way_are_left_out(two, card, how):
    for file in two.glob("b-[01]/result.json"):
        edit(file, lambda result: result["cards"]["fid"].update(card))
    study = studied([two])
    assert study.rows[1].cells["last"].n == 3
    assert study.rows[1].cells["last"].mean.value == 14
    assert f"b-0, b-1: left out of the comparison of FID: not obtained as in the other runs ({how})" in study.notes
    assert not any("not finite" in note for note in study.notes)
    (column,) = [column for column in study.charts["columns"] if column["key"] == "eval/fid"]
    assert [curve["n"] for curve in column["curves"]] == [5, 3]


def test_a_score_without_a_card_is_left_out(two):
    edit(two / "a-0" / "result.json", lambda result: result.update(cards={}))
    study = studied([two])
    assert study.rows[0].cells["last"].n == 4
    assert "a-0: left out of the comparison of FID: without a card that says how it was obtained" in study.notes


def test_other_seeds_and_commits_are_compared_and_told(two):
    edit(two / "a-0" / "result.json", lambda result: result.update(commit="def") or result["cards"]["fid"].update(commit="def"))
    study = studied([two])
    assert study.rows[0].cells["last"].n == 5
    assert "The runs are of 2 commits of the code: def, abc." in study.notes


def test_a_setting_of_which_everything_is_refused_is_still_reported(two, tmp_path):
    for file in two.glob("b-?/result.json"):
        edit(file, lambda result: result["cards"]["fid"].update(reference="other data"))
    study = studied([two])
    assert [row.setting for row in study.rows] == ["k=1"]
    assert [cost.setting for cost in study.costs] == ["k=1", "k=2"]
    assert study.tests == []
    assert "FID: no values of k=2." in study.notes


# bad input


def test_nothing_to_read_is_one_sentence(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text("k: 1")  # the tree of choices is no run
    with pytest.raises(UserError, match=r"^nothing to compare: .*conf: no run directory .* lies there$"):
        compare([tmp_path / "conf"], tmp_path / "out")
    with pytest.raises(UserError, match=r"nothing to compare: .*/x: there is no such folder"):
        compare([tmp_path / "x"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def damage(path, how):
    result, table = path / "result.json", path / "metrics.csv"
    text = table.read_text()
    match how:
        case "no result":
            result.unlink()
        case "half a result":
            result.write_text(result.read_text()[:100])
        case "a list as result":
            result.write_text("[]")
        case "a result without cards":
            edit(result, lambda content: content.pop("cards"))
        case "failed" | "interrupted":
            edit(result, lambda content: content.update(status=how))
        case "half a row":
            table.write_text(text[:-6])
        case "a row too short":
            table.write_text(text + "40,40\n")
        case "no table":
            table.unlink()
        case "an empty table":
            table.write_text("")
        case "bytes as table":
            table.write_bytes(b"\xff\xfe\x00")
        case "words in the table":
            table.write_text(text.replace("9.0", "nine"))
        case "a table that goes back":
            table.write_text(text + text.splitlines()[1] + "\n")
        case "no config":
            (path / "config.yaml").unlink()
        case "half a config":
            (path / "config.yaml").write_text("a: [1,")
        case "a config without a bottom":
            (path / "config.yaml").write_text("[" * 100_000)
        case "a config with no such day":
            (path / "config.yaml").write_text("seed: 0\na: 2024-13-45\n")
        case "no score":
            edit(result, lambda content: content["final"]["fid"].update(value=None))
        case "a score that is no number":
            edit(result, lambda content: content["final"]["fid"].update(value=float("nan")))
        case "damaged picture":
            next(path.glob("samples/*.png")).write_bytes(b"no picture")


@pytest.mark.parametrize(
    ("how", "note", "n", "runs", "curves"),
    [
        ("no result", "no result.json: the run is not over or was killed, and counts as unfinished", 4, 5, 4),
        ("half a result", "result.json is damaged: the run counts as unfinished", 4, 5, 4),
        ("a list as result", "result.json is damaged: the run counts as unfinished", 4, 5, 4),
        ("a result without cards", "result.json is damaged: the run counts as unfinished", 4, 5, 4),
        ("failed", "failed: counted, but without scores", 4, 5, 4),
        ("interrupted", "interrupted: counted, but without scores", 4, 5, 4),
        ("half a row", "metrics.csv ends within a row: the row is left out", 5, 5, 5),
        ("a row too short", "metrics.csv ends within a row: the row is left out", 5, 5, 5),
        ("no table", "no metrics.csv: there are no curves of it", 5, 5, 4),
        ("an empty table", "metrics.csv is damaged: there are no curves of it", 5, 5, 4),
        ("bytes as table", "metrics.csv is damaged: there are no curves of it", 5, 5, 4),
        ("words in the table", "metrics.csv is damaged: there are no curves of it", 5, 5, 4),
        ("a table that goes back", "metrics.csv is damaged: there are no curves of it", 5, 5, 4),
        ("no config", "left out, as there is no config.yaml, or a damaged one", 4, 4, 4),
        ("half a config", "left out, as there is no config.yaml, or a damaged one", 4, 4, 4),
        ("a config with no such day", "left out, as there is no config.yaml, or a damaged one", 4, 4, 4),
        ("a config without a bottom", "left out, as there is no config.yaml, or a damaged one", 4, 4, 4),
        ("no score", "the last FID is not finite: it is left out of the mean, which flatters", 4, 5, 5),
        ("a score that is no number", "the last FID is not finite: it is left out of the mean, which flatters", 4, 5, 5),
        ("damaged picture", "the picture of its samples is damaged", 5, 5, 5),
    ],
)
def test_a_bad_run_is_told_in_a_sentence_and_the_rest_is_reported(two, how, note, n, runs, curves):
    damage(two / "a-1", how)
    study = studied([two])
    assert study.notes == [f"a-1: {note}"]
    assert (study.rows[0].cells["last"].n, study.costs[0].runs) == (n, runs)
    assert study.costs[0].failures == (how in ("no result", "half a result", "a list as result", "a result without cards",
                                               "failed", "interrupted"))  # fmt: skip
    (column,) = [column for column in study.charts["columns"] if column["key"] == "eval/fid"]
    assert column["curves"][0]["n"] == curves
    assert study.rows[1].cells["last"].mean.value == 13
    assert len(study.tests) == 1


def test_the_same_about_many_runs_is_said_once(two):
    for i in range(5):
        damage(two / f"a-{i}", "no result")
    study = studied([two])
    assert study.notes == [
        "a-0, a-1, a-2 and 2 more: no result.json: the run is not over or was killed, and counts as unfinished",
        "k=1: no run ended well: there is nothing to average",
    ]
    assert [row.setting for row in study.rows] == ["k=2"]


def test_a_diverged_run_counts_with_what_it_had(two):
    edit(
        two / "a-4" / "result.json", lambda r: r.update(status="diverged", verdict={"state": "diverged", "since": 9, "why": ""})
    )
    study = studied([two])
    assert study.rows[0].cells["last"].n == 5
    assert (study.costs[0].verdicts["diverged"], study.costs[0].failures) == (1, 0)
    assert study.notes == ["k=1: has diverged runs, which count with the last scores that they had"]
    (column,) = [column for column in study.charts["columns"] if column["key"] == "eval/fid"]
    assert column["curves"][0]["n"] == 4  # a mean must not jump where a run ends


def test_one_seed_has_no_interval(tmp_path):
    finished(tmp_path, "a", [3.0, 2.0])
    finished(tmp_path, "b", [4.0, 3.0], config={"k": 2})
    study = studied([tmp_path])
    assert np.isnan(study.rows[0].cells["last"].mean.low)
    assert study.notes == ["k=1, k=2: one seed only: there is no interval, and one run is an anecdote"]
    assert study.summary[0].endswith("one seed each: no interval, no test.")
    assert "low" not in study.charts["columns"][0]["curves"][0]


def test_runs_of_different_scores_are_told(two):
    for file in two.glob("b-*/result.json"):

        def rename(result):
            for kind in ("final", "best", "mean", "cards"):
                result[kind]["kid"] = result[kind].pop("fid")

        edit(file, rename)
    study = studied([two])
    assert [(row.setting, row.score) for row in study.rows] == [("k=1", "fid"), ("k=2", "kid")]
    assert study.tests == []
    assert {"KID: no values of k=1.", "FID: no values of k=2."} <= {*study.notes}


def test_mixed_data_sets_and_budgets_are_told(tmp_path):
    seeds(tmp_path, "a", [1.0, 2.0])
    seeds(tmp_path, "b", [1.0, 2.0], config={"data": {"_target_": "ganlab.data.toy.grid"}}, card={"reference": "grid"})
    finished(tmp_path, "c-0", [1.0] * 7, config={"iterations": 70})
    study = report.studied([tmp_path])
    ring, grid = study.sections
    assert (ring.data, grid.data) == ("ring modes=8", "grid")
    assert study.notes == ["The runs are of 2 data sets, each with its own section: nothing is tested across them."]
    assert any(note.startswith("Budgets differ, from 30 iterations (") for note in ring.notes)
    assert grid.notes == []
    assert [row.cells["last"].n for row in grid.rows] == [2]  # cards are of the same data within a section
    assert [(test.a, test.b) for section in study.sections for test in section.tests] == [("iterations=40", "iterations=70")]


def test_runs_without_any_score_still_have_curves(two):
    for file in two.glob("*/result.json"):
        edit(file, lambda result: [result[kind].clear() for kind in ("final", "best", "mean", "cards")])
    study = studied([two])
    assert study.rows == []
    assert "No run has a score: there are only curves and samples." in study.notes
    assert {column["key"] for column in study.charts["columns"]} == {"train/V", "eval/fid"}


# curves and samples


def test_curves_are_means_over_seeds_on_a_common_grid(tmp_path):
    finished(tmp_path, "a", [4.0, 2.0, 0.0], config={"k": 3})
    finished(tmp_path, "b", [8.0, 4.0, 2.0], config={"k": 3, "seed": 1})
    finished(tmp_path, "c", [9.0, 6.0, 1.6], config={"k": 3, "seed": 2})
    charts = studied([tmp_path]).charts
    (curve,) = next(column for column in charts["columns"] if column["key"] == "eval/fid")["curves"]
    grid = charts["grids"][curve["grid"]]
    assert (grid["x"], grid["seconds"], curve["mean"]) == ([10, 20, 30], [2.5, 5.0, 7.5], [7.0, 4.0, 1.2])
    assert curve["seeds"] == [[4.0, 2.0, 0.0], [8.0, 4.0, 2.0], [9.0, 6.0, 1.6]]  # three have no band
    assert "low" not in curve
    finished(tmp_path, "d", [0.5, 6.0, 1.6], config={"k": 3, "seed": 3})
    (curve,) = next(column for column in studied([tmp_path]).charts["columns"] if column["key"] == "eval/fid")["curves"]
    assert all(low < mean < high for low, mean, high in zip(curve["low"], curve["mean"], curve["high"], strict=True))
    assert "seeds" not in curve
    assert (min(curve["low"]), curve["low"][0]) == (0, 0)  # no FID is below
    (setting,) = charts["settings"]
    assert (setting["d_steps"], setting["images"]) == (3, 48)  # for each iteration


def test_samples_are_shown_after_equal_iterations(two):
    for path in two.glob("*"):
        shutil.copy(next(path.glob("samples/*.png")), path / "samples" / "step-000000020.png")
    (two / "b-0" / "samples" / "step-000000030.png").unlink()
    gallery = studied([two]).gallery
    assert gallery.iteration == 20
    assert [(picture.setting, picture.seed) for picture in gallery.pictures] == [
        (name, seed) for seed in range(3) for name in ("k=1", "k=2")
    ]
    assert gallery.without == 4


def test_samples_of_unequal_iterations_say_so(two):
    for path in two.glob("*"):  # all have noise from before the first iteration, and that is no common ground
        shutil.copy(next(path.glob("samples/*.png")), path / "samples" / "step-000000000.png")
    (two / "b-0" / "samples" / "step-000000030.png").rename(two / "b-0" / "samples" / "step-000000010.png")
    study = studied([two])
    assert study.gallery.iteration is None
    assert {picture.iteration for picture in study.gallery.pictures} == {10, 30}
    assert study.notes == ["Samples were not drawn at the same iterations: the gallery shows the last of each run."]


# what is written


def test_the_files(two, tmp_path, capsys):
    page = compare([two])
    assert page == two / "compare" / "report.html"  # within what it is of
    assert {path.name for path in page.parent.iterdir()} == {"report.html", "report.md", "scores.csv"}
    lines = [*csv.DictReader((page.parent / "scores.csv").read_text().splitlines())]
    assert [(line["setting"], line["value"]) for line in lines] == [
        (name, kind) for name in ("k=1", "k=2") for kind in ("last", "best", "mean")
    ]
    assert [float(lines[3][key]) for key in ("mean", "interquartile_mean", "n", "d_steps", "failures")] == [13, 13, 5, 60, 0]
    text = (page.parent / "report.md").read_text()
    assert "| FID | k=1 | 3.0 \\[" in text
    assert "k=1 reaches lower FID than k=2" in text
    assert "    python train.py -m k=1,2" in text
    printed = capsys.readouterr().out
    assert "k=1 reaches lower FID than k=2" in printed
    assert "3.0 [" in printed


def test_numbers_have_two_digits_of_their_interval():
    from ganlab.report.statistics import Interval

    assert interval(Interval(0.41234, 0.39, 0.43)) == "0.412 [0.390, 0.430]"
    assert interval(Interval(12345.6, 12000, 12600)) == "12,350 [12,000, 12,600]"
    assert interval(Interval(2.0, float("nan"), float("nan"))) == "2"
    assert interval(Interval(8.0, 8.0, 8.0)) == "8 [8, 8]"
    assert (number(float("nan")), number(38400), number(0.123456)) == ("–", "38,400", "0.1235")
    assert (probability(0.0001), probability(0.04)) == ("< 0.001", "0.04")
    assert (titled("eval/reverse_kl"), titled("theory/ema_w1"), titled("mine")) == (
        "reverse KL [nats]", "theory/ema_w1 [units of x]", "mine")  # fmt: skip


def test_a_relative_folder_has_a_place_for_the_report(two, monkeypatch):
    monkeypatch.chdir(two)
    assert compare([Path()]) == two / "compare" / "report.html"


def test_the_direction_of_a_score_is_read_as_its_class_has_it():
    """From the source: the same for every class of metrics/ as from the class itself, and without torchmetrics."""
    import importlib
    import inspect
    import pkgutil
    import subprocess
    import sys

    import ganlab.metrics
    from ganlab.report.comparable import _says

    found = {}
    for info in pkgutil.iter_modules(ganlab.metrics.__path__, "ganlab.metrics."):
        for name, kind in inspect.getmembers(importlib.import_module(info.name), inspect.isclass):
            if kind.__module__ == info.name and isinstance(getattr(kind, "higher_is_better", None), bool):
                found[info.name, name] = kind.higher_is_better
    assert len(found) > 20
    assert {key: _says(*key) for key in found} == found
    assert _says("ganlab.metrics.modes", "NoSuchScore") is None
    code = (
        "import sys, ganlab.report.compare, ganlab.commands.main; from ganlab.report.comparable import _says\n"
        "assert _says('ganlab.metrics.modes', 'ReverseKL') is False; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_runs_behind_links_are_found_and_each_once(tmp_path):
    from ganlab.report.read import Notes, found

    for name in ("elsewhere/a", "runs/b", "others/c"):
        (tmp_path / name).mkdir(parents=True)
        for file in ("config.yaml", "result.json"):
            (tmp_path / name / file).write_text("{}")
    (tmp_path / "runs/moved").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "runs/again").symlink_to(tmp_path / "elsewhere/a")
    (tmp_path / "runs/round").symlink_to(tmp_path / "runs")
    (tmp_path / "runs/up").symlink_to(tmp_path)  # with runs that nobody has asked for
    notes = Notes()
    assert {path.resolve() for path in found([tmp_path / "runs"], notes)} == {tmp_path / "elsewhere/a", tmp_path / "runs/b"}
    assert len(found([tmp_path / "runs"], notes)) == 2
    assert not notes.sentences()
