"""The notebooks with what they show: `python notebooks/execute.py` runs each in an empty folder and writes it anew."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).parent
BOOKS = sorted(HERE.glob("*.ipynb"))
COLOUR = re.compile(r"\x1b\[[0-9;]*[mK]")  # a terminal's
TAG = "parameters"  # of the cell whose numbers may be others


def executed(book: NotebookNode, folder: Path, instead: str = "") -> NotebookNode:
    """The notebook, run in a folder; `instead` is run after the cell of its parameters. Raises what a cell raises."""
    cells = [cell for cell in book.cells if TAG in cell.metadata.get("tags", [])]
    ran, add = nbformat.from_dict(book), nbformat.v4.new_code_cell(instead, id="instead")
    if instead:
        ran.cells = [each for cell in book.cells for each in ([cell, add] if cell in cells else [cell])]
    NotebookClient(ran, timeout=3600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    return ran


def plain(book: NotebookNode, folder: Path) -> NotebookNode:
    """Without what is of one machine or moment: paths, times, and colours of what is only text."""
    for cell in (cell for cell in book.cells if cell.cell_type == "code"):
        cell.metadata.pop("execution", None)
        kept: list[NotebookNode] = []
        for output in cell.outputs:
            data = output.get("data", {})
            if output.output_type == "stream" or data.get("text/html", "").startswith("<pre style="):  # rich's, line by line
                text = output.get("text") or data["text/plain"] + "\n" * (not data["text/plain"].endswith("\n"))
                if kept and kept[-1].output_type == "stream":
                    kept[-1].text += text
                elif text.strip():
                    kept.append(nbformat.v4.new_output("stream", name="stdout", text=text))
            else:
                kept.append(output)
        for output in kept:
            values = output if output.output_type == "stream" else output.data
            for key, value in values.items():
                if isinstance(value, str) and key.startswith("text"):
                    values[key] = COLOUR.sub("", value.replace(f"{folder}/", ""))
        cell.outputs = kept
    return book


def main() -> None:
    for file in BOOKS:
        with TemporaryDirectory() as folder:
            book = plain(executed(nbformat.read(file, as_version=4), Path(folder)), Path(folder))
        nbformat.write(book, file)
        sys.stdout.write(f"{file}: {file.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
