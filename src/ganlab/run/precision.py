"""Which precision a run may train in, and where it would be slow."""

from __future__ import annotations

import logging
from typing import Any

import torch

from ganlab.errors import UserError
from ganlab.precision import DOUBLE

log = logging.getLogger(__name__)


def refuse_unfit_precision(precision: str, accelerator: Any) -> None:
    """Raises UserError; a warning where this CPU has no instructions for it."""
    if precision in ("16", "16-mixed", "16-true"):
        raise UserError(
            f"trainer.precision = {precision}: fp16 needs a loss scale, and one scale cannot serve two optimizers "
            "that step at different times; use bf16-mixed or 32-true"
        )
    if precision not in ("32-true", "32", "bf16-mixed", *DOUBLE):
        raise UserError(f"trainer.precision = {precision}: use 32-true, bf16-mixed or 64-true")
    on_cpu = accelerator == "cpu" or not torch.cuda.is_available()
    if precision == "bf16-mixed" and on_cpu and not multiplies_bf16():
        log.warning("trainer.precision = bf16-mixed on a CPU without bf16 instructions: 15 to 20 times slower than 32-true")


def multiplies_bf16() -> bool:
    """Whether this CPU has instructions for bfloat16 (AVX512-BF16, or AMX, whose tiles have them); so it is taken to where
    this torch cannot tell."""
    asked = [getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile")]
    return None in asked or any(ask() for ask in asked if ask)
