"""What all instruments have in common: the form of a reading, and the numbers that masses on cells give."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ganlab.figures.style import Frame, Row
from ganlab.theory import divergences
from ganlab.theory.optimum import Unsolved, best_output, suboptimality
from ganlab.types import Cells, Loss, Solved

log = logging.getLogger(__name__)

Values = dict[str, float]

SEEN = 1e-5  # share of (p_data + p_g) / 2 that a cell must have to count for the distance of D from its optimum


class Reading(NamedTuple):
    values: Values
    frame: Frame


class Probe(Protocol):
    def distances(self, G: Callable[[Tensor], Tensor]) -> Values:
        """How far p_g is from p_data, for G: z [n, Z] -> x [n, *S]."""
        ...

    def measure(self, G: Callable[[Tensor], Tensor], D: Callable[[Tensor], Tensor]) -> Reading:
        """The distances, and D: x [n, *S] -> output [n] against its optimum."""
        ...

    def figures(self, frames: Sequence[tuple[int, Frame]], rows: Sequence[Row], folder: Path) -> list[Path]:
        """Pictures of a finished run, from its frames (with their iterations) and the rows of its table."""
        ...


def distances(cells: Cells) -> Values:
    """p_g from p_data, whatever the loss; in nats but for total variation."""
    p, q = cells.log_p, cells.log_q
    return {
        "jsd": divergences.jsd(p, q).item(),
        "C": divergences.C(p, q).item(),
        "identity_error": divergences.identity_error(p, q).item(),
        "kl": divergences.kl(p, q).item(),
        "reverse_kl": divergences.kl(q, p).item(),
        "total_variation": divergences.total_variation(p, q).item(),
    }


def against_optimum(loss: Loss, output: Tensor, cells: Cells) -> Values:
    """D's output [M] on the cells against the best one; nothing where no optimum is known.

    Distances are averages over (p_data + p_g) / 2, on the cells that have a share of it and where the best output is finite.
    """
    best = best_output(loss, cells)
    if best is None or not isinstance(loss, Solved):
        return {}
    values = {"D_gap": suboptimality(loss, output, best, cells).item(), "divergence": loss.divergence(cells).item()}
    weight = divergences.mixed(cells.log_p, cells.log_q).exp()
    seen = best.isfinite() & (weight >= SEEN)
    if seen.any():  # or both laws lie apart, and the best output is infinite everywhere
        distance = torch.where(seen, (loss.admissible(output, cells) - best).abs(), 0.0)
        values["D_distance"] = ((distance * weight).sum() / weight[seen].sum()).item()
        furthest = distance.argmax()
        values["D_distance_max"] = distance[furthest].item()
        place = cells.x[furthest].flatten().tolist()
        values |= {f"D_distance_at{i if len(place) > 1 else ''}": x for i, x in enumerate(place, 1)}
    if loss.is_V:
        values["V"] = divergences.V(cells.log_p, cells.log_q, output).item()
        values["D_error"] = ((output.sigmoid() - best.sigmoid()).abs() * weight).sum().item()
    return values


def say_if_unknown(loss: Loss, cells: Cells) -> None:
    """Once, before training."""
    if isinstance(loss, Unsolved):
        log.warning("D is not compared with D*: %s", loss.reason)
    elif best_output(loss, cells) is None:
        log.warning("D is not compared with D*: no known optimum for this loss (%s)", type(loss).__name__)


def frame_times(iterations: int, frames: int) -> set[int]:
    """At most so many iterations from 0 to the last, ever further apart: most happens in the beginning."""
    if frames < 2:
        return {iterations} if frames else set()
    return {0, iterations, *(round(iterations ** (i / (frames - 2))) for i in range(frames - 2))}
