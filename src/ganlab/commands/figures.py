"""The pictures of a run once more, from what is saved in it: `ganlab figures`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ganlab.errors import UserError
from ganlab.files.run import RunDirectory
from ganlab.observers.measure import Measure
from ganlab.run.build import game_of
from ganlab.run.config import HARMLESS, build_as, validate
from ganlab.run.gate import refuse_foreign_code
from ganlab.run.identity import located
from ganlab.run.portfolio import redrawn
from ganlab.run.theory import measure_of
from ganlab.types import Source

BUILT = ("data", "prior", "model", "loss", "adjust", "penalty", "augment", "objective", "updates", "average", "optim",
         "schedule", "theory")  # fmt: skip
PLACES = (*HARMLESS, "ganlab.game.", "ganlab.theory.", "torch.optim.")


def figures(run: RunDirectory, trust: bool) -> list[Path]:
    """Draw all of `figures/` and return the files. Raises UserError."""
    config, _ = located(run, ())
    if not run.table_file.is_file():
        raise UserError(f"{run.path} has no metrics.csv yet: there is nothing to draw")
    measure = _measure(run, config, trust)
    run.figures.mkdir(exist_ok=True)
    return redrawn(run, measure)


def _measure(run: RunDirectory, config: dict[str, Any], trust: bool) -> Measure | None:
    if config["theory"]["instrument"] is None:  # of images, whose data need not be here
        return None
    refuse_foreign_code({key: config[key] for key in BUILT}, trust, PLACES)
    settings = validate(config)
    return measure_of(settings, run, game_of(settings), build_as(Source, config["data"], "data"))
