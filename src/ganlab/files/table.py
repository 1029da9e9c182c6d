"""metrics.csv: the truth about a run, without account or network."""

from __future__ import annotations

import csv
import io
import logging
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ganlab.errors import UserError
from ganlab.files.atomic import replaced

log = logging.getLogger(__name__)

KINDS = ("train", "eval", "theory", "health")  # the groups of columns, in their order


def read(path: Path) -> list[dict[str, float]]:
    """The rows of a metrics.csv; a value that was not measured at an iteration is absent from its row. A last line without its
    end is one that is being written, or that a kill has cut: it is left out. Raises UserError where the file is damaged."""
    rows, wrong = _read(path)
    if wrong:
        raise UserError(f"{path} is damaged: {wrong}; a resumed run keeps its {len(rows)} rows before that")
    return rows


def _read(path: Path, in_order: bool = False) -> tuple[list[dict[str, float]], str | None]:
    """The rows up to the first that is damaged, and what is wrong with that."""
    rows: list[dict[str, float]] = []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.DictReader(line for line in file if line.endswith("\n"))
        try:
            for row in reader:
                found = {name: _number(value) for name, value in row.items() if value != ""}
                if not math.isfinite(found["iteration"]) or (in_order and rows and found["iteration"] <= rows[-1]["iteration"]):
                    return rows, f"line {reader.line_num} is out of order"
                rows.append(found)
        except (ValueError, TypeError, KeyError, csv.Error, AttributeError) as error:
            return rows, f"line {reader.line_num} is no row ({type(error).__name__})"
    return rows, None


class Table:
    """The rows of a run, oldest first, and their file, which grows with them.

    Values of one iteration are one row, and its line is appended when the next row begins. Only where that is not enough is the
    file replaced as a whole: at a new column, at a value for a line that is written already, and where a run goes on, as rows
    after `start`, its checkpoint, are dropped.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self._columns: list[str] | None = None  # of the file; None: it has to be written anew
        self._written = 0  # rows that have a line in it
        self._damage = ""  # of the file that a run goes on with
        if path.exists():
            rows, wrong = _read(path, in_order=True)
            self.rows = [row for row in rows if row["iteration"] <= start]
            self._damage = f"{wrong}; its {len(rows)} rows before that are kept" if wrong else ""

    def add(self, row: Mapping[str, float]) -> None:
        if self.rows and self.rows[-1]["iteration"] == row["iteration"]:
            self.rows[-1].update(row)
            if self._written == len(self.rows):
                self._columns = None
            return
        try:
            if self.rows:
                self.write()
        finally:
            self.rows.append(dict(row))

    def write(self, to_the_disk: bool = False) -> None:
        """Bring the file up to date; `to_the_disk`: so that not even a power cut takes it back."""
        self._set_aside()
        columns, rows = self._columns, self.rows[self._written :]
        self._columns = None  # until it has gone well: half a line is no place to go on
        if columns is None or not all(row.keys() <= {*columns} for row in rows) or not self.path.exists():
            columns = columns_of(self.rows)
            replace(self.path, lines([dict(zip(columns, columns, strict=True)), *self.rows], columns))
        elif rows or to_the_disk:
            append(self.path, lines(rows, columns), to_the_disk)
        self._columns, self._written = columns, len(self.rows)

    def _set_aside(self) -> None:
        """A damaged file is kept beside the new one; not before there is something to write, as a run may yet be refused."""
        if self._damage:
            kept = self.path.with_suffix(".csv.corrupt")
            log.warning("%s is damaged: %s, the file as %s", self.path, self._damage, kept.name)
            with suppress(FileNotFoundError):
                self.path.replace(kept)
            self._damage = ""


def columns_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """In the order in which they first appear, group by group; counters come first."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return sorted(columns, key=lambda name: KINDS.index(name.split("/")[0]) if "/" in name else -1)


def lines(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.DictWriter(text, columns).writerows({name: no_formula(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode()


def no_formula(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text that begins like one and is no number has an apostrophe before."""
    if not isinstance(cell, str) or not cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def append(path: Path, text: bytes, to_the_disk: bool) -> None:
    """In one write, so that a reader finds whole lines but for the moment in which the last one comes."""
    with path.open("ab", buffering=0) as file:
        if file.write(text) != len(text):
            raise OSError(f"{path}: no more than a part of a row could be written: is the disk full?")
        if to_the_disk:
            os.fsync(file.fileno())


def replace(path: Path, text: bytes) -> None:
    with replaced(path) as file:
        file.write(text)


def _number(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        return float(text)
