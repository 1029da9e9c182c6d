"""The instrument that reads a game against its theory."""

from __future__ import annotations

import logging
from typing import Any

import torch

from ganlab.files.run import RunDirectory
from ganlab.game.module import GAN
from ganlab.observers.adapter import evaluation
from ganlab.observers.field import dirac_field
from ganlab.observers.measure import Measure, function_of, labels_of
from ganlab.run.config import build, classes_told
from ganlab.settings import Settings
from ganlab.theory.optimum import Unsolved
from ganlab.types import Source, Subject

log = logging.getLogger(__name__)


def measure_of(settings: Settings, run: RunDirectory, gan: GAN, source: Source, **made: Any) -> Measure | None:
    """None where there is nothing to measure, or nothing that the theory is about; a warning says what. `made` goes into its
    card."""
    if settings.theory.instrument is None:
        return None
    if settings.model.pack > 1:
        log.warning("theory is not measured: it is that of a D that sees one x, and model.pack = %d", settings.model.pack)
        return None
    if classes_told(settings.model.D):
        log.warning("theory is not measured: it is that of a D that sees x alone, and model.D is told y")
        return None
    cpu = torch.device("cpu")
    G, D = (function_of(net, cpu, labels_of(source, cpu)) for net in (gan.G, gan.D))
    loss = gan.loss if gan.augment.neutral else Unsolved(gan.loss, "augment changes the laws that D sees")
    field = dirac_field(gan.loss, gan.players.terms, gan.augment, gan.objective, gan.updates)
    with evaluation(gan.G, gan.D):  # an instrument may ask for their values now
        subject = Subject(source, gan.prior, loss, G, D, field, classes_told(settings.model.G) is not None)
        instrument = build(settings.theory.instrument, "theory.instrument", subject=subject)
    own = {name: value for name, value in settings.theory.instrument.items() if name != "_target_"}
    card = {
        "metric": settings.theory.instrument["_target_"],
        "version": 1,
        "settings": own,
        "reference": "p_data itself",
        "weights": "raw",
        **made,
    }
    return Measure(settings.theory.every, instrument, run.theory, settings.theory.frames, settings.iterations, card)
