"""What a claim (`ganlab.reproduce`) reads out of a run by another command: a measure, which its file names."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout

from ganlab.commands.evaluate import EvaluationRequest, evaluate
from ganlab.files.run import RunDirectory


def rescored(run: RunDirectory, with_D: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The run's scores as `ganlab evaluate` has them: of G alone as SCORE_G, and as SCORE_NAME with each choice NAME of
    conf/sampling, changed by overrides; NaN where a score was not finite. Raises UserError."""
    found = dict[str, float]()
    for name, overrides in [("G", ()), *with_D.items()]:
        request = EvaluationRequest(with_D=None if name == "G" else name, overrides=list(overrides), device="cpu")
        with redirect_stdout(io.StringIO()):  # a table for each of some thirty
            (file,) = evaluate([run.path], request)
        scores = json.loads(file.read_text())["scores"]
        found |= {f"{score}_{name}": math.nan if own["value"] is None else own["value"] for score, own in scores.items()}
    return found
