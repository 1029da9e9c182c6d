"""Comparing at an equal budget, on several data sets, one factor at a time, and with what was evaluated afterwards."""

import csv
import json
import re
import shutil
import sys

import pytest
from test_compare import CARD, edit, finished, names, seeds, studied

from ganlab.commands import main as cli
from ganlab.errors import UserError
from ganlab.report import compare as report
from ganlab.report.data import called
from ganlab.report.page import rendered

FALL = [9.0, 7.0, 8.0, 4.0, 5.0]  # at iterations 10, ..., 50
GRID = {"data": {"_target_": "ganlab.data.toy.grid", "side": 5}}


@pytest.fixture
def lengths(tmp_path):
    """k = 1 for 50 iterations and k = 5 for 20: at 50 D steps the one ends and the other is at iteration 10."""
    for seed in (0, 1):
        finished(tmp_path, f"a-{seed}", [v + seed for v in FALL], config={"iterations": 50, "seed": seed})
        more = {"k": 5, "iterations": 20, "images": 1600, "seed": seed}
        finished(tmp_path, f"b-{seed}", [6.0 + seed, 3.0 + seed], config=more, overrides=["k=5", "images=1600"])
    return tmp_path


def means(study):
    return [[row.cells[kind].mean.value for kind in ("last", "best", "mean")] for row in study.rows]


# at an equal budget


@pytest.mark.parametrize("at", ["d_steps=50", "images=800", "images=815"])
def test_scores_and_costs_are_those_of_the_moment(lengths, at):
    study = studied([lengths], equal=at)
    assert means(study) == [[5.5, 4.5, pytest.approx((8 + 7.5 + 6 + 4.5) / 4 + 0.5)], [6.5, 6.5, 6.5]]
    assert [[cost.means[key] for key in ("iterations", "d_steps", "images", "seconds")] for cost in study.costs] == [
        [50, 50, 800, 12.5], [10, 50, 800, 2.5]]  # fmt: skip
    assert not any("Budgets differ" in note for note in study.notes)
    assert any(note.startswith(f"Scores are at {at.replace('=', ' = ')}: ") for note in study.notes)
    assert [setting.name for setting in study.settings] == ["k=1", "k=5"]


def test_between_two_readings_the_last_one_counts(lengths):
    study = studied([lengths], equal="iterations=19")
    assert means(study) == [[9.5] * 3, [6.5] * 3]
    assert any("FID: measured last at 10 iterations, more than a quarter below 19 iterations" in n for n in study.notes)
    study = studied([lengths], equal="iterations=12")
    assert not any("measured last" in note for note in study.notes)
    study = studied([lengths], equal="seconds=2")
    assert study.rows == []
    assert any("FID: not measured up to 2 seconds" in note for note in study.notes)


def test_a_run_that_ended_before_is_left_out_and_one_that_diverged_is_not(lengths):
    diverged = {"state": "diverged", "since": 20, "why": ""}
    edit(lengths / "b-1" / "result.json", lambda result: result.update(status="diverged", verdict=diverged))
    study = studied([lengths], equal="iterations=40")
    assert "b-0: left out, as it ended before 40 iterations" in study.notes
    assert means(study)[1] == [4.0] * 2 + [5.5]  # of the one that diverged, as it ended
    assert (study.costs[1].runs, study.costs[1].verdicts["diverged"]) == (1, 1)
    study = studied([lengths], equal="iterations=10")  # but at that time it was still well
    assert means(study)[1] == [6.5] * 3
    assert (study.costs[1].verdicts["diverged"], study.rows[1].cells["last"].n) == (0, 2)
    assert "b-1: diverged later: counted as it was at 10 iterations" in study.notes
    (lengths / "b-1" / "config.yaml").unlink()
    with pytest.raises(UserError, match=r"^nothing to compare at 60 iterations: no run went so far$"):
        studied([lengths], equal="iterations=60")


def test_without_what_the_budget_is_made_of_it_is_one_setting(tmp_path):
    finished(tmp_path, "a", [3.0, 2.0], config={"iterations": 20}, overrides=["iterations=20"])
    finished(tmp_path, "b", [4.0, 3.0, 1.0], config={"iterations": 30, "seed": 1}, overrides=["iterations=30"])
    finished(tmp_path, "c", [4.0, 3.0], config={"iterations": 20, "k": 2}, overrides=["images=640", "k=2"])
    assert len(names(tmp_path)) == 3
    study = studied([tmp_path], equal="iterations=20")
    assert [(row.setting, row.cells["last"].mean.value, row.cells["last"].n) for row in study.rows] == [
        ("k=1", 2.5, 2), ("k=2", 3.0, 1)]  # fmt: skip


def test_a_reading_that_was_not_finite_is_not_the_one_before(lengths):
    table = lengths / "a-0" / "metrics.csv"
    table.write_text(table.read_text().replace(",4.0\n", ",nan\n"))
    study = studied([lengths], equal="iterations=40")
    assert study.rows[0].cells["last"].n == 1
    assert any("a-0: the last FID is not finite" in note for note in study.notes)


def test_the_verdict_is_of_that_moment(lengths):
    for file in lengths.glob("a-*/metrics.csv"):
        header, *rows = file.read_text().splitlines()
        file.write_text(
            "\n".join([f"{header},health/diversity", *(f"{r},{1 if i < 3 else 0.01}" for i, r in enumerate(rows)), ""])
        )
        edit(file.parent / "result.json", lambda result: result.update(verdict={"state": "collapsed", "since": 40, "why": ""}))
    assert studied([lengths], equal="iterations=50").costs[0].verdicts["collapsed"] == 2
    cost = studied([lengths], equal="iterations=30").costs[0]
    assert (cost.verdicts["collapsed"], cost.verdicts["healthy"]) == (0, 2)


def test_samples_are_the_last_up_to_the_budget(lengths):
    for path in lengths.glob("*"):
        (own,) = path.glob("samples/*.png")
        for t in (0, 10):
            shutil.copy(own, path / "samples" / f"step-{t:09d}.png")
    gallery = studied([lengths], equal="d_steps=50").gallery
    assert {(picture.setting, picture.iteration) for picture in gallery.pictures} == {("k=1", 50), ("k=5", 10)}
    gallery = studied([lengths], equal="iterations=10").gallery
    assert gallery.iteration == 10


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("--at=epochs=3", r"--at epochs=3: 'epochs' is no budget, which is AXIS=N; known are d_steps, images, iterations, sec"),
        ("--at=image=3", r"--at image=3: 'image' is no budget, which is AXIS=N: did you mean images\?"),
        ("--at=images", r"--at images: '' is no number above 0, as in --at images=10000"),
        ("--at=images=-1", r"--at images=-1: '-1' is no number above 0, as in --at images=10000"),
        ("--at=images=many", r"--at images=many: 'many' is no number above 0, as in --at images=10000"),
        ("--at=images=inf", r"--at images=inf: 'inf' is no number above 0, as in --at images=10000"),
        ("--versus=q=1", r"--versus q=1: it is KEY=VALUE, and 'q' is no KEY: the settings do not differ in it; known are k"),
        ("--versus=k=11", r"--versus k=11: no setting has that: did you mean 1\?"),
        ("--versus=data=ring", r"--versus data=ring: .* data sets are not tested against each other; known are k"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_one_sentence(lengths, monkeypatch, capsys, given, what):
    monkeypatch.setattr(sys, "argv", ["ganlab", "compare", str(lengths), given, "--out", str(lengths / "out")])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert re.search(what, line)
    assert not (lengths / "out").exists()


def test_captions_say_at_what_budget(lengths, tmp_path, capsys):
    page = report.compare([lengths], tmp_path / "out", equal="d_steps=50")
    html, md = page.read_text(), (tmp_path / "out" / "report.md").read_text()
    assert ", at 50 D steps</h1>" in html
    assert '<th class="n">at 50 D steps</th>' in html
    assert "Tests are on scores at 50 D steps," in html
    assert '"text":"50 D steps"' in html
    assert md.startswith("# 2 settings, 4 runs on ring modes=8, at 50 D steps\n")
    assert "| score | setting | at 50 D steps | middle half |" in md
    assert "scores at 50 D steps: " in " ".join(capsys.readouterr().out.split())
    lines = [*csv.DictReader((tmp_path / "out" / "scores.csv").read_text().splitlines())]
    assert {(line["data"], line["at"]) for line in lines} == {("ring modes=8", "d_steps=50")}


# several data sets, and one factor at a time


@pytest.fixture
def factors(tmp_path):
    """Two data sets, two losses, k = 1, 2 and 5, six seeds each: k = 2 is better, and everything is on the grid."""
    for data, config in (("ring", {}), ("grid", GRID)):
        for loss in ("hinge", "minimax"):
            for k in (1, 2, 5):
                lasts = [10 - 4 * (k == 2) + 20 * (loss == "minimax") - 5 * (data == "grid") + i / 10 for i in range(6)]
                more = {**config, "k": k, "loss": {"_target_": f"x.{loss}"}, "iterations": 30}
                for i, path in enumerate(seeds(tmp_path, f"{data}-{loss}-{k}", lasts, config=more, card={"reference": data})):
                    given = [f"seed={i}", f"data={data}", f"loss={loss}", f"k={k}"]
                    (path / "overrides.yaml").write_text(json.dumps([*given, "iterations=30" if k == 5 else "images=480"]))
    return tmp_path


def test_each_data_set_has_a_section_and_nothing_is_tested_across(factors, tmp_path, capsys):
    study = report.studied([factors])
    assert [section.data for section in study.sections] == ["grid side=5", "ring modes=8"]
    wanted = [f"loss={loss}, k={k}" for loss in ("hinge", "minimax") for k in (1, 2, 5)]
    for section in study.sections:
        assert [setting.name for setting in section.settings] == wanted
        assert [(test.a, test.b) for test in section.tests] == [(wanted[0], other) for other in wanted[1:]]
        assert all(test.p_adjusted >= test.comparison.p for test in section.tests)
        assert section.notes == []  # nor is a score refused, for being held against other data
    assert [section.rows[0].cells["last"].mean.value for section in study.sections] == pytest.approx([5.25, 10.25])
    page = report.compare([factors], tmp_path / "out")
    md = (tmp_path / "out" / "report.md").read_text()
    assert [line for line in md.splitlines() if line.startswith("## ")] == [
        "## Notes", "## grid side=5", "## ring modes=8", "## Reproduce"]  # fmt: skip
    assert md.count("### Tests") == 2
    assert page.read_text().count('class="data">') == 2
    lines = [*csv.DictReader((tmp_path / "out" / "scores.csv").read_text().splitlines())]
    assert [line["data"] for line in lines] == ["grid side=5"] * 18 + ["ring modes=8"] * 18


def test_each_setting_against_the_same_with_another_value(factors):
    study = report.studied([factors], versus="k=1")
    for section in study.sections:
        assert [(test.a, test.b) for test in section.tests] == [
            (f"loss={loss}, k=1", f"loss={loss}, k={k}") for loss in ("hinge", "minimax") for k in (2, 5)
        ]
        assert [test.p_adjusted for test in section.tests] == pytest.approx([8 / 924, 1, 8 / 924, 1])
        assert (section.against, section.reference) == ("k=1, all else equal", None)
    pairs = [(test.a, test.b) for test in report.studied([factors], versus="loss=minimax").sections[0].tests]
    assert pairs == [(f"loss=minimax, k={k}", f"loss=hinge, k={k}") for k in (1, 2, 5)]


def test_the_summary_of_many_counterparts_goes_by_their_value(factors):
    for loss in ("least_squares", "wasserstein"):
        for path in [*factors.glob("ring-hinge-*")]:
            copy = shutil.copytree(path, factors / path.name.replace("hinge", loss))
            edit(copy / "config.yaml", lambda config, loss=loss: config.update(loss={"_target_": f"x.{loss}"}))
            edit(copy / "overrides.yaml", lambda lines, loss=loss: lines.__setitem__(2, f"loss={loss}"))
    (line,) = report.studied([factors], versus="k=1").sections[1].summary
    losses = "loss=hinge · loss=least_squares · loss=minimax · loss=wasserstein"
    assert line.endswith(f"against k=1 and all else equal, k=2: better with {losses}; k=5: no difference shown with {losses}.")


def test_the_first_screen_counts_what_is_said_of_most_and_calls_data_by_their_first_words(factors):
    for path in factors.glob("ring-hinge-*"):
        for loss in ("least_squares", "wasserstein"):
            copy = shutil.copytree(path, factors / path.name.replace("hinge", loss))
            edit(copy / "config.yaml", lambda config, loss=loss: config.update(loss={"_target_": f"x.{loss}"}))
            edit(copy / "overrides.yaml", lambda lines, loss=loss: lines.__setitem__(2, f"loss={loss}"))
    for path in factors.glob("ring-minimax-2-*"):  # where k = 2 is no better
        shutil.copy(factors / path.name.replace("-2-", "-1-") / "result.json", path / "result.json")
    study = report.studied([factors], versus="k=1")
    assert [section.called for section in study.sections] == ["grid", "ring"]
    assert study.sections[1].overview.sentences[1] == (
        "Against k=1 and all else equal, k=2: better with 3 of 4, no difference shown with loss=minimax; "
        "k=5: no difference shown with all 4 (p < 0.05 after Holm).")  # fmt: skip
    page = rendered("report.html", study)
    assert 'href="#data-set-2">ring</a>' in page
    assert "<li><b>ring.</b> Lowest FID: " in page
    assert "<h2>ring modes=8</h2>" in page  # of its section: all of it


def test_data_of_one_kind_are_called_by_all_that_tells_them_apart():
    assert called(["ring std=0.1", "grid std=0.1"]) == ["ring", "grid"]
    assert called(["ring std=0.1", "ring std=0.2"]) == ["ring std=0.1", "ring std=0.2"]
    assert called([""]) == [""]


def test_a_setting_without_a_counterpart_is_told(factors):
    for path in factors.glob("grid-hinge-1-*"):
        shutil.rmtree(path)
    grid, ring = report.studied([factors], versus="k=1").sections
    assert grid.notes == ["loss=hinge, k=2 · loss=hinge, k=5: not tested, as no setting is the same with k=1"]
    assert (len(grid.tests), len(ring.tests)) == (2, 4)
    with pytest.raises(UserError, match="each says what settings are tested against, use one"):
        report.studied([factors], "loss=hinge, k=1", versus="k=1")
    grid, ring = report.studied([factors], "loss=hinge, k=1").sections
    assert grid.notes == ["nothing is tested, as loss=hinge, k=1 is not among these settings"]
    assert len(ring.tests) == 5


# evaluated afterwards


def evaluation(path, value, *, iteration=30, finished="2026-01-01", file="a", **card):
    """As ganlab evaluate would have written it."""
    (path / "evaluations").mkdir(exist_ok=True)
    content = {"checkpoint": f"step-{iteration:09d}.ckpt", "iteration": iteration, "scores": {"fid": {"value": value}},
               "cards": {"fid": {**CARD, "n_fake": 5000, "seed": 0, **card}}, "finished": finished}  # fmt: skip
    (path / "evaluations" / f"{file}.json").write_text(json.dumps(content))


@pytest.fixture
def evaluated(tmp_path):
    for name, k in (("a", 1), ("b", 2)):
        for path in seeds(tmp_path, name, [10.0 * k + i for i in range(3)], config={"k": k}):
            evaluation(path, 2.0 * k)
    return tmp_path


def test_evaluations_are_further_scores(evaluated):
    study = studied([evaluated])
    assert [(row.score, row.cells["last"].mean.value) for row in study.rows] == [
        ("fid", 11), ("fid", 21), ("evaluated/fid", 2), ("evaluated/fid", 4)]  # fmt: skip
    assert [(test.score, test.lower) for test in study.tests] == [("fid", True), ("evaluated/fid", True)]
    assert "FID, evaluated" in study.tests[1].text
    assert study.notes == []
    assert study.charts["scores"][1]["column"] == "eval/fid"


def test_evaluations_that_were_made_in_another_way_are_refused(evaluated):
    evaluation(evaluated / "a-0", 99.0, n_fake=50)
    study = studied([evaluated])
    assert [row.cells["last"].n for row in study.rows] == [3, 3, 2, 3]
    assert study.notes == [
        "a-0: left out of the comparison of FID, evaluated: not obtained as in the other runs (n_fake: 50, 5000)"
    ]


def test_of_several_evaluations_of_a_run_that_of_most_runs_and_of_these_the_newest_counts(evaluated):
    evaluation(evaluated / "a-0", 99.0, n_fake=50, file="b", finished="2026-02-01")
    evaluation(evaluated / "a-1", 5.0, file="b", finished="2026-02-01")
    evaluation(evaluated / "a-1", 99.0, file="0", finished="2025-02-01")
    evaluation(evaluated / "a-2", 99.0, file="b", iteration=20, finished="2026-02-01")  # the last checkpoint counts
    study = studied([evaluated])
    assert study.charts["scores"][1]["dots"][0]["seeds"] == {0: 2.0, 1: 5.0, 2: 2.0}
    (note,) = study.notes
    assert note.startswith("a-0: also has FID, evaluated in another way (n_fake: 50, 5000), in which fewer runs have it")
    evaluation(evaluated / "b-0", 4.0, iteration=20)
    assert "b-0: FID, evaluated is of a checkpoint at iteration 20, not of the last" in studied([evaluated]).notes


def test_at_a_budget_the_last_checkpoint_up_to_there_counts(evaluated):
    for path in evaluated.glob("a-?"):
        evaluation(path, 7.0, file="b", iteration=20, finished="2025-01-01")
    study = studied([evaluated], equal="iterations=20")
    assert [(row.score, row.setting) for row in study.rows][2:] == [("evaluated/fid", "k=1")]
    assert study.rows[2].cells["last"].mean.value == 7
    assert "FID, evaluated: no values of k=2." in study.notes


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"iteration": 3, "scores": {"fid": {"value": "x"}}, "cards": {}}'])
def test_a_damaged_evaluation_is_told(evaluated, content):
    (evaluated / "a-0" / "evaluations" / "a.json").write_text(content)
    study = studied([evaluated])
    assert study.notes == ["a-0/evaluations/a.json: a damaged file of ganlab evaluate: left out"]
    assert [row.cells["last"].n for row in study.rows] == [3, 3, 2, 3]


def test_an_evaluation_without_a_number_is_not_finite(evaluated):
    evaluation(evaluated / "a-0", None)
    assert studied([evaluated]).notes == [
        "a-0: the last FID, evaluated is not finite: it is left out of the mean, which flatters"
    ]
