"""Phase portraits of Dirac-GANs side by side: `ganlab phase`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from ganlab.errors import UserError
from ganlab.figures import phase as pictures
from ganlab.files.run import RunDirectory, natural
from ganlab.files.saved import read_plain
from ganlab.files.table import read
from ganlab.observers.field import dirac_field
from ganlab.run.config import build
from ganlab.run.gate import saved_config
from ganlab.theory.trajectory import path_of


def phase(folders: Sequence[Path], out: Path, trust: bool) -> Iterator[str]:
    """Draws all runs of model=dirac that lie there, and says how far from the solution each has ended. Raises UserError."""
    files = [file for folder in folders for file in folder.glob("**/metrics.csv")]
    panels = []
    for file in sorted(files, key=natural):
        run = RunDirectory(file.parent)
        if path := path_of(read(file)):
            panels.append((_title(run), path, _field(run, trust)))
    if not panels:
        raise UserError(f"{', '.join(map(str, folders))}: no run of model=dirac lies there")
    pictures.portrait(panels).save(out)
    for title, path, _ in panels:
        yield f"{math.hypot(*path[-1]):10.3g}  {title}"
    yield f"{out}"


def _title(run: RunDirectory) -> str:
    lines = read_plain(run.overrides_file, resolved=False) if run.overrides_file.is_file() else []
    given = [str(line).partition("=")[2] for line in lines or () if str(line).startswith(("exp", "updates"))]
    return ", ".join(given).replace("dirac_", "").replace("_", " ")


def _field(run: RunDirectory, trust: bool) -> pictures.Field:
    nodes = ("loss", "augment", "objective", "updates")
    config = saved_config(run, (*nodes, "penalty"), trust)
    loss, augment, objective, updates = (build(config[key], key) for key in nodes)
    terms = {name: build(node, f"penalty.{name}") for name, node in config["penalty"].items()}
    return dirac_field(loss, terms, augment, objective, updates)
