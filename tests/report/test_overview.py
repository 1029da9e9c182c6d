"""The first screen: its picture, its sentences, and where the report lies."""

import io
import json

import pytest
from rich.console import Console
from test_compare import edit, finished, seeds, studied

import ganlab
from ganlab.errors import UserError
from ganlab.report import compare as report
from ganlab.report.compare import compare, home
from ganlab.report.overview import main_score
from ganlab.report.terminal import show
from ganlab.report.text import of_cell

RING = {"data": {"_target_": "ganlab.data.toy.ring", "modes": 8}}


@pytest.fixture
def grid(tmp_path):
    """5 losses and k = 1, 2, 5 with 4 seeds each: FID is 10 times the loss's number over k, plus the seed's."""
    for number, loss in enumerate(("a", "b", "c", "d", "e"), 1):
        for k in (1, 2, 5):
            config = {"k": k, "loss": {"_target_": f"x.{loss}"}}
            for seed, path in enumerate(
                seeds(tmp_path, f"{loss}{k}", [10 * number / k + i / 10 for i in range(4)], config=config)
            ):
                edit(path / "overrides.yaml", lambda lines, loss=loss, k=k, s=seed: lines.__setitem__(
                    slice(None), [f"loss={loss}", f"k={k}", f"seed={s}"]))  # fmt: skip
    return tmp_path


def test_the_best_comes_first_and_says_by_how_much(tmp_path):
    for k, middle in ((1, 10.0), (2, 5.0), (5, 30.0)):
        seeds(tmp_path, f"k{k}", [middle + i for i in range(6)], config={"k": k})
    view = studied([tmp_path]).overview
    assert (view.score, view.lower) == ("fid", True)
    assert [mark.setting for mark in view.marks] == ["k=2", "k=1", "k=5"]
    best, shown = view.sentences
    assert best.startswith("Lowest FID: k=2, with 7.5 [")
    assert best.endswith("]; next k=1, 12.5; highest k=5, 32.5.")
    assert shown == "3 of 3 pairs differ: k=2 better than k=1 · k=5 worse than k=1 · k=5 worse than k=2 (p < 0.05 after Holm)."
    assert view.heat is None
    assert view.title == "FID, lower is better"


def test_what_was_not_shown_is_said(tmp_path):
    for k, middle in ((1, 10.0), (2, 10.4), (5, 30.0), (7, 3.0)):
        seeds(tmp_path, f"k{k}", [middle + i for i in range(6)], config={"k": k})
    view = studied([tmp_path]).overview
    assert view.sentences[1] == "Against k=1, better: k=7; worse: k=5; no difference shown: k=2 (p < 0.05 after Holm)."
    assert {mark.setting: mark.versus for mark in view.marks} == {
        "k=7": "better", "k=1": "reference", "k=2": "unshown", "k=5": "worse"}  # fmt: skip


def test_a_notebook_shows_the_same_picture_and_sentences(tmp_path, drawn):
    for k, middle in ((1, 10.0), (2, 10.4), (5, 30.0), (7, 3.0)):
        seeds(tmp_path, f"k{k}", [middle + i for i in range(6)], config={"k": k})
    comparison = ganlab.compare(tmp_path)
    (section,) = comparison.study.sections
    view = section.overview
    assert comparison.first == [*view.sentences, comparison.study.outcome]
    assert next(iter(comparison.figures)) == "fid"
    (axes,) = comparison.figures["fid"].axes
    assert [name.get_text() for name in axes.get_yticklabels()] == ["k=7", "k=1 (reference)", "k=2", "k=5"]
    assert [text.get_text() for text in axes.texts] == [
        of_cell(mark.cell) + sign for mark, sign in zip(view.marks, (" ▲", "", "", " ▼"), strict=True)
    ]
    bars = [[*line.get_xdata()] for line in axes.lines if len(line.get_xdata()) == 2]
    assert bars == [[mark.cell.mean.low, mark.cell.mean.high] for mark in view.marks]
    assert axes.get_xlim() == (view.axis.low, view.axis.high)
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the best on top
    told = comparison._repr_html_()
    assert view.sentences[0] in told
    assert told.count("data:image/png") == 1


def test_many_settings_of_two_keys_are_a_heat_map(grid):
    view = studied([grid], versus="k=1").overview
    heat = view.heat
    assert (heat.down, heat.across, heat.columns) == ("loss", "k", ["1", "2", "5"])
    assert [name for name, _ in heat.rows] == ["a", "b", "c", "d", "e"]
    assert [mark.cell.mean.value for mark in heat.rows[2][1]] == pytest.approx([30.15, 15.15, 6.15])
    assert view.marks[0] is heat.rows[0][1][2]
    shades = [view.shade(mark) for mark in view.marks]
    assert (shades[0], shades[-1]) == (0, 100)
    assert shades == sorted(shades)
    assert {mark.versus for mark in view.marks} <= {"better", "unshown", "reference"}


def test_a_cell_that_nobody_trained_is_empty(grid):
    for path in grid.glob("a2-*"):
        (path / "result.json").unlink()
    heat = studied([grid]).overview.heat
    assert next(marks for name, marks in heat.rows if name == "a")[1] is None


def test_an_axis_is_logarithmic_where_scores_are_far_apart(tmp_path):
    for k, value in ((1, 1.0), (2, 10.0), (5, 100.0)):
        finished(tmp_path, f"k{k}", [200.0, value], config={"k": k})
    axis = studied([tmp_path]).overview.axis
    assert axis.log
    assert axis.at(10.0) == pytest.approx((axis.at(1.0) + axis.at(100.0)) / 2)
    assert {1.0, 10.0, 100.0} <= {*axis.ticks}


def test_how_runs_ended_is_counted(tmp_path):
    for i, modes in enumerate((8.0, 7.0, 3.0, 8.0)):
        finished(tmp_path, f"r{i}", [2.0, 1.0], config=RING | {"seed": i}, scores={"modes": modes})
    assert report.studied([tmp_path]).outcome == (
        "Of 4 runs, none failed, collapsed or diverged; 2 of 4 ended without all modes.")  # fmt: skip
    edit(tmp_path / "r0" / "result.json", lambda result: result.update(status="failed"))
    edit(tmp_path / "r1" / "result.json", lambda result: result.update(verdict={"state": "collapsed", "since": 1, "why": ""}))
    assert report.studied([tmp_path]).outcome == (
        "Of 4 runs, 1 failed or did not end, 1 collapsed; 2 of 3 ended without all modes.")  # fmt: skip


def test_the_main_score():
    lower = {"modes": False, "fid": True, "theory/jsd": True, "plain": None}
    assert main_score(["modes", "theory/jsd", "fid"], lower) == "fid"
    assert main_score(["modes", "theory/jsd"], lower) == "theory/jsd"
    assert main_score(["plain", "modes"], lower) == "modes"
    assert main_score(["plain"], lower) == "plain"
    assert main_score(["modes", "fid"], lower, "modes") == "modes"
    assert main_score([], lower) is None


def test_another_score_can_be_asked_for(tmp_path):
    seeds(tmp_path, "a", [1.0, 2.0], scores={"kid": 0.5})
    assert studied([tmp_path], score="kid").overview.score == "kid"
    with pytest.raises(UserError, match=r"^--score kdi: no run has that: did you mean kid\?$"):
        studied([tmp_path], score="kdi")


# where it lies


def test_no_report_is_written_over_another(tmp_path):
    a, b, c = (tmp_path / name for name in ("a", "b", "c/a"))
    places = [
        home([a]), home([b]), home([a, b]), home([a, c]), home([b, a]), home([a], versus="k=1"), home([a], at="images=9"),
        home([a], at="images=9", versus="k=1"), home([a], score="fid"), home([a], reference="k=1"),
    ]  # fmt: skip
    assert len({*places}) == len(places)
    assert all(place.is_relative_to(b if i in (1, 4) else a) for i, place in enumerate(places))
    assert home([a]) == a / "compare"
    assert home([a], versus="k=1") == a / "compare" / "versus-k-1"
    assert home([a], at=None) == home([a])
    assert len(home([a], reference="x" * 300).name) < 150


def test_a_folder_that_has_another_report_is_refused(tmp_path):
    seeds(tmp_path / "a", "a", [1.0])
    seeds(tmp_path / "b", "b", [1.0])
    out = tmp_path / "out"
    page = compare([tmp_path / "a"], out)
    before = page.read_bytes()
    with pytest.raises(UserError, match=r"out/report\.html is a report of other directories: name another folder with --out"):
        compare([tmp_path / "b"], out)
    assert page.read_bytes() == before
    assert compare([tmp_path / "a"], out, score="fid") == page  # its own is made anew


# in the terminal


def shown(study, width=100, **more):
    console = Console(width=width, file=io.StringIO())
    show(study, console, **more)
    return console.file.getvalue()


def test_the_terminal_has_a_row_for_each_setting_best_first(tmp_path):
    for k in range(1, 25):
        seeds(tmp_path, f"k{k}", [50.0 - k, 51.0 - k], config={"k": k}, picture=False,
              scores={"kid": 0.1 * k, "theory/jsd": 0.1, "x": 1.0, "y": 1.0})  # fmt: skip
    for path in tmp_path.iterdir():
        edit(path / "result.json", lambda result: result["cards"].update(theory={"metric": "x"}))
    study = report.studied([tmp_path])
    text = shown(study)
    assert [line.split()[1] for line in text.splitlines() if line.startswith("│ k=")] == [f"k={k}" for k in range(24, 0, -1)]
    assert text.count("setting") == 2  # the headings stay in sight: below as well
    assert "theory/jsd" not in text
    assert "theory/jsd" in shown(study, every=True)
    for width in (44, 56, 80):  # seeds, and how many failed: scores go first
        narrow = [line.split("│") for line in shown(study, width).splitlines() if line.startswith("│ k=")]
        assert [(cells[-3].strip(), cells[-2].strip()) for cells in narrow] == [("2", "-")] * 24


def test_a_name_is_shown_to_its_end(tmp_path):
    long = "a_word_of_more_than_forty_characters_that_is_told_apart_by_its_end"
    for end in ("x", "y"):
        finished(tmp_path, end, [1.0], overrides=[f"loss={long}_{end}"], config={"loss": {"_target_": f"z.{end}"}})
    text = shown(report.studied([tmp_path]))
    column = "".join(line[2:].split("│")[0].strip() for line in text.splitlines() if line.startswith("│"))
    assert f"loss={long}_x" in column
    assert f"loss={long}_y" in column


def test_the_page_says_the_same_as_the_terminal(tmp_path):
    seeds(tmp_path / "a", "a", [1.0, 2.0, 3.0, 4.0])
    seeds(tmp_path / "a", "b", [5.0, 6.0, 7.0, 8.0], config={"k": 2})
    page = compare([tmp_path / "a"])
    study = report.studied([tmp_path / "a"])
    for file in (page, page.parent / "report.md"):
        text = file.read_text()
        for sentence in (*study.sections[0].overview.sentences, study.outcome):
            assert sentence.replace("[", "\\[").replace("]", "\\]") in text or sentence in text or json.dumps(sentence) in text
