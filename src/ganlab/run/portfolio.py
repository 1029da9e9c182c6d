"""All pictures of a run, from what is saved in it."""

from __future__ import annotations

import sys
from pathlib import Path

from ganlab.files.run import RunDirectory
from ganlab.files.table import read
from ganlab.observers.measure import Measure


def redrawn(run: RunDirectory, measure: Measure | None) -> list[Path]:
    """The files in `figures/`: curves from the table, the game from the frames of `measure`, and the film of the pictures in
    `samples/`. Says on stderr that it draws, as that takes seconds."""
    from ganlab.figures import pictures  # matplotlib

    print(f"drawing    {run.figures}", file=sys.stderr, flush=True)
    figures = []
    rows = read(run.table_file)
    if any("train/V" in row for row in rows):
        figures.append(run.figures / "curves.png")
        pictures.curves(rows, figures[-1])
    if measure is not None:
        figures += measure.instrument.figures(measure.frames(), rows, run.figures)
    if frames := sorted(run.samples.glob("step-*.png")):
        figures += [run.figures / "samples.png", run.figures / "training.gif"]
        figures[-2].write_bytes(frames[-1].read_bytes())
        pictures.animation(frames, figures[-1])
    return figures
