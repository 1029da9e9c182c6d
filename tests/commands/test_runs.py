"""`ganlab runs`: what it lists, what it lets go, and what it never touches."""

import json
import os
import time

import pytest
import yaml
from filelock import FileLock

from ganlab.commands.runs import QUIET, main_of, runs
from ganlab.errors import UserError
from ganlab.files.elapsed import largest_unit
from ganlab.files.result import report


def trained(folder, name, status="completed", verdict="healthy", config=None, overrides=(), final=None, old=True):
    path = folder / name
    (path / "checkpoints").mkdir(parents=True)
    config = {"seed": 0, "k": 1, "loss": {"_target_": "ganlab.game.losses.LeastSquares"}, "penalty": {}} | (config or {})
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    (path / "overrides.yaml").write_text(yaml.safe_dump([*overrides]))
    (path / "checkpoints" / "step-000000004.ckpt").write_bytes(b"0" * 9)
    if status is not None:
        final = {"modes": {"value": 8.0, "iteration": 4}} if final is None else final
        result = {"status": status, "verdict": {"state": verdict, "since": None, "why": ""}, "final": final}
        (path / "result.json").write_text(json.dumps(result))
    if old:
        for file in path.glob("*.*"):
            os.utime(file, (time.time() - 2 * QUIET,) * 2)
    return path


@pytest.fixture
def folder(tmp_path):
    trained(tmp_path, "sweep/loss-hinge_k-1", overrides=["loss=hinge", "k=1"], final={"fid": {"value": 12.34, "iteration": 4}})
    trained(
        tmp_path, "sweep/loss-hinge_k-2", overrides=["loss=hinge", "k=2"], config={"k": 2}, status="failed", verdict="unknown"
    )
    trained(tmp_path, "other", config={"k": 2}, verdict="collapsed")
    trained(tmp_path, "half", status=None)
    return tmp_path


def names(text):
    return [line.split()[1] for line in text.splitlines() if line.startswith("│")]


def test_a_list_of_runs(folder, capsys):
    runs([folder])
    text = capsys.readouterr().out
    assert sorted(names(text)) == ["half", "loss-hinge_k-1", "loss-hinge_k-2", "other"]
    (line,) = [line for line in text.splitlines() if "loss-hinge_k-1" in line]
    assert [cell.strip() for cell in line.strip("│").split("│")] == [
        "loss-hinge_k-1",
        "completed",
        "healthy",
        "fid 12.34",
        "20 min",
    ]
    assert "runs       4 of 4" in text


@pytest.mark.parametrize(
    ("states", "where", "expected"),
    [
        (["failed"], [], ["loss-hinge_k-2"]),
        (["failed", "unfinished"], [], ["half", "loss-hinge_k-2"]),
        ([], ["k=2"], ["other", "loss-hinge_k-2"]),
        ([], ["loss=hinge", "k=2"], ["loss-hinge_k-2"]),
        ([], ["loss=least_squares"], ["half", "other"]),  # by its class, where it was not given
        ([], ["penalty=none", "k=1"], ["half", "loss-hinge_k-1"]),
        (["completed"], ["k=2"], ["other"]),
        ([], ["k=3"], []),
    ],
)
def test_filters(folder, capsys, states, where, expected):
    runs([folder], states, where)
    text = capsys.readouterr().out
    assert names(text) == expected
    assert f"runs       {len(expected)} of 4" in text


def test_mistakes_are_one_sentence(folder, tmp_path):
    for given, said in (
        (([folder], ["done"]), r"^--state done: there is no such state; known are collapsed"),
        (([folder], [], ["los=hinge"]), r"^--where los=\.\.\.: no run has such a key: did you mean loss\?$"),
        (([folder], [], ["k"]), r"^--where k: it is KEY=VALUE, as in --where k=2$"),
        (([folder / "nothing"],), r"^no runs to list: .*nothing: there is no such folder$"),
    ):
        with pytest.raises(UserError, match=said):
            runs(*given)


def test_nothing_is_removed_without_a_yes(folder, capsys):
    for answer in ("", "n", "yess"):
        runs([folder], remove=True, ask=lambda _, answer=answer: answer)
    assert capsys.readouterr().out.count("nothing was removed") == 3

    def nobody(_):
        raise EOFError

    with pytest.raises(UserError, match="add --yes"):
        runs([folder], remove=True, ask=nobody)
    assert len([*folder.glob("**/config.yaml")]) == 4


def test_what_was_asked_for_goes_and_nothing_else(folder, capsys):
    runs([folder], ["failed"], remove=True, ask=lambda question: "y" if "remove this run directory" in question else "n")
    assert sorted(path.parent.name for path in folder.glob("**/config.yaml")) == ["half", "loss-hinge_k-1", "other"]
    assert "removed    1 of 1" in capsys.readouterr().out


def test_a_running_one_is_never_removed(folder, capsys):
    with FileLock(folder / "other" / ".lock"):
        runs([folder], ["running"])
        assert names(capsys.readouterr().out) == ["other"]
        runs([folder], remove=True, yes=True)
    text = capsys.readouterr().out
    assert "kept       other: it is running" in text
    assert "removed    3 of 4" in text
    assert [path.parent.name for path in folder.glob("**/config.yaml")] == ["other"]


def test_one_that_may_train_elsewhere_or_holds_more_than_a_run_is_kept(folder, tmp_path, capsys):
    trained(folder, "elsewhere", status=None, old=False)
    (folder / "other" / "thesis.tex").write_text("years of work")
    link = folder / "link"
    link.symlink_to(trained(folder, "far"))
    runs([folder / "elsewhere", folder / "other", link], remove=True, yes=True)
    text = capsys.readouterr().out
    assert "kept       elsewhere: it changed 0 s ago and has no result" in text
    assert "kept       other: it also holds thesis.tex: remove it by hand" in text
    assert "kept       link: it is a link: remove it by hand" in text.replace("far: it is", "link: it is")
    assert "removed    0 of 3" in text
    assert (folder / "other" / "thesis.tex").exists()


def test_the_newest_unit_of_an_age_and_the_main_score():
    assert [largest_unit(t) for t in (-5, 59.9, 60, 7199, 86399, 86400, 86400 * 800)] == [
        "0 s", "59 s", "1 min", "1 h", "23 h", "1 d", "2 y"]  # fmt: skip
    assert main_of({"final": {"modes": {"value": 8.0}, "theory/ema_jsd": {"value": 0.01234}}}) == "ema_jsd 0.01234"
    assert main_of({"final": {"modes": {"value": None}}}) == ""
    assert main_of({}) == ""


# the end of a run, in words


def result(**more):
    final = {name: {"value": 0.5, "iteration": 9} for name in ("modes", *"abcdef", "theory/jsd", "theory/ema_jsd", "theory/V")}
    best = {name: entry for name, entry in final.items() if name != "theory/V"}
    cards = {"modes": {"weights": "EMA"}}
    verdict = {"state": "healthy", "since": None, "why": ""}
    return {"name": "ring", "status": "completed", "iterations": 9, "images": 99, "seconds": 1.0, "final": final, "best": best,
            "mean": best, "cards": cards, "verdict": verdict} | more  # fmt: skip


def test_the_end_of_a_run_has_few_scores_and_the_theory_apart(capsys):
    report(result(), ["next       ganlab sample runs/[a] --n 64"])
    text = capsys.readouterr().out
    assert text.startswith("ring: completed after 9 iterations, 99 images, 1 s\nverdict    healthy\n")
    assert "scores of the average of G (EMA)" in text
    table = [line for line in text.splitlines() if line.startswith("│")]
    assert [line.split()[1] for line in table] == ["modes", *"abcde"]
    assert "theory     ema_jsd 0.5, jsd 0.5\n" in text
    assert "scores     1 more: f\n" in text
    assert text.endswith("next       ganlab sample runs/[a] --n 64\n")


def test_the_end_of_a_run_says_what_went_wrong(capsys):
    report(result(verdict={"state": "collapsed", "since": 5, "why": "samples are alike"}, final={}, best={}), [])
    text = capsys.readouterr().out
    assert "verdict    collapsed from iteration 5 on: samples are alike" in text
    assert "│" not in text
    report(result(verdict={"state": "unknown", "since": None, "why": "there are fewer than 2 readings of health"}), [])
    assert "verdict    unknown: there are fewer than 2 readings of health" in capsys.readouterr().out
