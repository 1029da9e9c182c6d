"""Phase portraits of Dirac-GANs side by side: `ganlab phase`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from ganlab.errors import UserError
from ganlab.figures import phase as pictures
from ganlab.files.run import RunDirectory, natural
from ganlab.files.table import read
from ganlab.observers.field import dirac_field
from ganlab.run.config import build, refuse_foreign_code
from ganlab.theory.trajectory import path_of


def phase(folders: Sequence[Path], out: Path, trust: bool) -> Iterator[str]:
    """Draws all runs of model=dirac that lie there, and says how far from the solution each has ended. Raises UserError."""
    files = [file for folder in folders for file in folder.glob("**/metrics.csv")]
    panels = []
    for file in sorted(files, key=natural):
        run = RunDirectory(file.parent)
        if path := path_of(read(file)):
            panels.append((_title(run), path, _field(run.config, trust)))
    if not panels:
        raise UserError(f"{', '.join(map(str, folders))}: no run of model=dirac lies there")
    pictures.portrait(panels).save(out)
    for title, path, _ in panels:
        yield f"{math.hypot(*path[-1]):10.3g}  {title}"
    yield f"{out}"


def _title(run: RunDirectory) -> str:
    lines = yaml.safe_load(run.overrides_file.read_text())
    given = [line.split("=")[1] for line in lines if line.startswith(("exp", "updates"))]
    return ", ".join(given).replace("dirac_", "").replace("_", " ")


def _field(config: dict[str, Any], trust: bool) -> pictures.Field:
    nodes = {key: config[key] for key in ("loss", "augment", "objective", "updates")}
    terms = {f"penalty.{name}": node for name, node in config["penalty"].items()}
    refuse_foreign_code({**nodes, **terms}, trust)
    loss, augment, objective, updates = (build(node, key) for key, node in nodes.items())
    return dirac_field(loss, {key: build(node, key) for key, node in terms.items()}, augment, objective, updates)
