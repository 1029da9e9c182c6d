"""metrics.csv while it grows: what it costs, and what a reader finds."""

import csv
import os
import random

import pytest

from ganlab.files import table
from ganlab.files.table import Table, columns_of, read


def row(t, **values):
    return {"iteration": t, "seconds": t / 8, **{name.replace("_", "/"): value for name, value in values.items()}}


def written_as_a_whole(path, rows):
    """The file as one would write it at the end, knowing all."""
    columns = columns_of(rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path.read_bytes()


def test_no_cell_is_a_formula():
    for text in ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "-x"):
        assert table.no_formula(text) == f"'{text}"
    for value in ("k=2", "-1e-3", "+5", "-inf", "", -0.5, 3, None, "loss=hinge"):
        assert table.no_formula(value) is value
    written = table.lines([{"iteration": 1, "=eval/x": "=1+1"}, {"iteration": -2, "=eval/x": -0.5}], ["iteration", "=eval/x"])
    assert written == b"1,'=1+1\r\n-2,-0.5\r\n"


@pytest.fixture
def traffic(monkeypatch):
    """What is written, as (how, bytes)."""
    seen = []

    def spied(how, original):
        def spy(path, text, *arguments):
            seen.append((how, len(text)))
            original(path, text, *arguments)

        return spy

    for how in ("append", "replace"):
        monkeypatch.setattr(table, how, spied(how, getattr(table, how)))
    return seen


def test_two_thousand_rows_are_written_once_each(tmp_path, traffic):
    grown = Table(tmp_path / "metrics.csv")
    for t in range(2000):
        grown.add(row(t, train_V=-1.5, train_loss=t / 3))
        grown.add(row(t, health_V=0.25))
    grown.write(to_the_disk=True)
    assert [how for how, _ in traffic].count("replace") == 1
    assert sum(size for _, size in traffic) == (tmp_path / "metrics.csv").stat().st_size


@pytest.mark.parametrize("seed", range(5))
def test_a_file_that_grew_is_the_one_that_is_written_at_the_end(tmp_path, seed):
    """Whatever comes when: columns that are late, several parts of a row, saving in the midst of one."""
    draw = random.Random(seed)
    grown, rows = Table(tmp_path / "grown.csv"), []
    for t in range(60):
        rows.append({})
        for group in draw.sample([*table.KINDS], draw.randint(1, 4)):
            part = row(t, **{f"{group}_{draw.choice('abc')}": draw.choice([1, 0.5, float("nan"), float("inf")])})
            rows[-1].update(part)
            grown.add(part)
            if draw.random() < 0.2:
                grown.write(to_the_disk=draw.random() < 0.5)
                assert (tmp_path / "grown.csv").read_bytes() == written_as_a_whole(tmp_path / "whole.csv", rows)
    grown.write()
    assert grown.rows == rows
    assert (tmp_path / "grown.csv").read_bytes() == written_as_a_whole(tmp_path / "whole.csv", rows)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".csv"]


def test_a_row_is_there_when_the_next_one_begins(tmp_path):
    grown = Table(tmp_path / "metrics.csv")
    grown.add(row(1, train_V=-1.0))
    assert not grown.path.exists()
    grown.add(row(2, train_V=-2.0))
    grown.add(row(2, eval_fid=3.0))
    assert read(grown.path) == [row(1, train_V=-1.0)]
    grown.add(row(3))
    assert read(grown.path) == [row(1, train_V=-1.0), row(2, train_V=-2.0, eval_fid=3.0)]


def test_a_new_column_replaces_the_file_once_and_an_old_reader_keeps_the_old_one(tmp_path, traffic):
    grown = Table(tmp_path / "metrics.csv")
    for t in range(5):
        grown.add(row(t, train_V=0.5))
    with grown.path.open() as old:
        for t in range(5, 10):
            grown.add(row(t, theory_jsd=0.5))
        assert [line.split(",")[0] for line in old.read().splitlines()] == ["iteration", "0", "1", "2", "3", "4"]
    grown.write()
    assert [how for how, _ in traffic].count("replace") == 2
    assert read(grown.path) == grown.rows
    assert columns_of(grown.rows) == ["iteration", "seconds", "train/V", "theory/jsd"]


def test_a_line_that_a_kill_has_cut_is_no_row_at_any_length(tmp_path):
    grown = Table(tmp_path / "metrics.csv")
    for t in range(1, 4):
        grown.add(row(t, train_V=-1.25))
    grown.write()
    text = grown.path.read_bytes()
    last = len(text.splitlines(keepends=True)[-1])
    for cut in range(1, last + 1):
        grown.path.write_bytes(text[:-cut])
        assert read(grown.path) == grown.rows[:2]


def test_a_run_goes_on_behind_its_checkpoint_and_writes_the_file_anew_once(tmp_path, traffic):
    path = tmp_path / "metrics.csv"
    first = Table(path)
    for t in range(1, 9):
        first.add(row(t, train_V=float(t)))
    first.write()
    path.write_bytes(path.read_bytes() + b"9,1.1")  # and then it was killed
    before = path.read_bytes()
    traffic.clear()
    second = Table(path, start=5)
    assert path.read_bytes() == before  # nothing is lost before there is something new
    for t in range(6, 50):
        second.add(row(t, train_V=float(-t)))
    second.write()
    assert [how for how, _ in traffic].count("replace") == 1
    assert read(path) == [row(t, train_V=float(t if t < 6 else -t)) for t in range(1, 50)]


def test_what_is_saved_is_on_the_disk(tmp_path, monkeypatch):
    synced = []
    original = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.fstat(file).st_size), original(file)))
    grown = Table(tmp_path / "metrics.csv")
    for t in range(5):
        grown.add(row(t))
    before = len(synced)
    grown.add(row(5))
    assert len(synced) == before  # a row alone does not wait for the disk
    grown.write(to_the_disk=True)
    grown.write(to_the_disk=True)  # nor is one that was appended before forgotten
    assert synced[before:] == [grown.path.stat().st_size] * 2


def test_a_write_that_fails_leaves_no_half_line_behind(tmp_path, monkeypatch):
    grown = Table(tmp_path / "metrics.csv")
    for t in range(3):
        grown.add(row(t))

    def full(path, text, to_the_disk):
        path.write_bytes(path.read_bytes() + text[:3])
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(table, "append", full)
        with pytest.raises(OSError, match="no space"):
            grown.write()
    assert read(grown.path) == grown.rows[:2]
    grown.write()
    assert read(grown.path) == grown.rows


def test_a_file_that_was_taken_away_comes_again(tmp_path):
    grown = Table(tmp_path / "metrics.csv")
    for t in range(3):
        grown.add(row(t))
    grown.path.unlink()
    grown.write()
    assert read(grown.path) == grown.rows


def test_a_damaged_file_is_left_alone_until_there_is_something_to_write(tmp_path):
    """As a run may yet be refused, and all jobs of a sweep are built to be checked."""
    path, kept = tmp_path / "metrics.csv", tmp_path / "metrics.csv.corrupt"
    path.write_text("iteration,a\n1,1.0\nx,y\n3,3.0\n")
    before = path.read_bytes()
    table = Table(path, 1)
    assert (path.read_bytes(), kept.exists()) == (before, False)
    table.add({"iteration": 2, "a": 2.0})
    table.write()
    assert kept.read_bytes() == before
    assert [row["a"] for row in read(path)] == [1.0, 2.0]
