"""The notebooks run: with few iterations in `make test`, as they are in `make test-all`."""

import sys

import nbformat
import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "notebooks"))
from execute import BOOKS, executed, plain

BLANK = """
from unittest.mock import patch
from matplotlib.backends.backend_agg import FigureCanvasAgg
undrawn = patch.object(FigureCanvasAgg, "draw", lambda canvas: canvas.get_renderer())  # the pictures of runs: see conftest
train = ganlab.train
ganlab.train = lambda *words, **keys: undrawn(train)(*words, **keys)
"""
FEW = {
    "paper_in_ten_minutes": 'iterations = {"figure 1": 5, "D alone": 5, "saturation": 2, "ring": 5}' + BLANK,
    "first_study": "iterations, seeds = 24, 2",
}


def book_of(name):
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def outputs(book):
    return [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]


def pictures(book):
    return sum("image/png" in output.get("data", {}) for output in outputs(book))


def test_both_are_here_and_say_what_they_have_shown():
    assert [file.stem for file in BOOKS] == sorted(FEW)
    for file in BOOKS:
        book = nbformat.read(file, as_version=4)
        assert all(cell.execution_count for cell in book.cells if cell.cell_type == "code")
        assert pictures(book) >= 2
        assert file.stat().st_size < 1e6
        assert not [output for output in outputs(book) if output.output_type == "error"]
        assert "/tmp/" not in file.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper_in_ten_minutes", pytest.param("first_study", marks=pytest.mark.long)])
def test_a_notebook_runs(name, tmp_path):
    book = executed(book_of(name), tmp_path, instead=FEW[name])
    assert pictures(book) == pictures(book_of(name))
    assert str(tmp_path) not in nbformat.writes(plain(book, tmp_path))
    assert not any("ipywidgets" in str(output) or "\\x1b[2K" in repr(output) for output in outputs(book))


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(FEW))
def test_a_whole_notebook_shows_what_it_says(name, tmp_path):
    book = executed(book_of(name), tmp_path)
    said = "".join(output.get("text", "") for output in outputs(plain(book, tmp_path)))
    if name == "paper_in_ten_minutes":
        assert float(said.split("JSD ")[1].split()[0]) < 0.01
    else:
        assert "12 completed" in said
