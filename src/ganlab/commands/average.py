"""Averages of G of any width, made after training of those that `average=power` has kept (Karras et al., 2024, section 3)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganlab.errors import UserError
from ganlab.files.checkpoint import iteration_of, read_checkpoint
from ganlab.files.run import snapshots
from ganlab.game.averages import misfit, synthesis

log = logging.getLogger(__name__)
TOLERATED = 0.05  # of the misfit of a profile, before a warning


def synthesised(
    config: Mapping[str, Any], checkpoint: Path, state: Mapping[str, Tensor], weights: Iterable[str], std: float
) -> dict[str, Tensor]:
    """The state of G whose `weights`, by name, are the power average of relative width std, as of the checkpoint's
    iteration; buffers are those of the checkpoint, whose own `state` has the averages at that iteration. Raises UserError."""
    t, stds = iteration_of(checkpoint), config["average"].get("stds")
    if stds is None:
        raise UserError("--ema-std needs a run with average=power, which keeps what averages are made of")
    own = ["G_ema.", *(f"G_others.{i}." for i in range(len(stds) - 1))]
    found: list[tuple[int, float, Mapping[str, Tensor]]] = [
        (t, std_, {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)})
        for std_, prefix in zip(stds, own, strict=True)
    ]
    for iteration, path in snapshots(checkpoint.parent.parent / "averages"):
        if iteration < t:
            try:
                kept = read_checkpoint(path)
                found += [(iteration, std_, net) for std_, net in zip(kept["stds"], kept["weights"], strict=True)]
            except (OSError, RuntimeError, KeyError, EOFError) as error:
                raise UserError(f"{path} is damaged: {str(error).splitlines()[0]}; move it away") from error
    times, widths = [iteration for iteration, *_ in found], [width for _, width, _ in found]
    try:
        shares = synthesis(times, widths, t, std)
    except ValueError as error:
        raise UserError(f"--ema-std: {error}") from error
    if (off := misfit(shares, times, widths, t, std)) > TOLERATED:
        log.warning(
            "--ema-std %g: its profile is met to %.0f %% only by the %d snapshots there are", std, 100 * off, len(found)
        )
    result = dict(found[0][2])
    for name in weights:
        parts = [share * net[name].double() for share, (*_, net) in zip(shares.tolist(), found, strict=True)]
        result[name] = torch.stack(parts).sum(0).to(result[name].dtype)
    return result
