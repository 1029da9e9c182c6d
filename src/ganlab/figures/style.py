"""What all portraits share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

Frame = Mapping[str, Tensor]  # what one picture needs
Frames = Sequence[tuple[int, Frame]]  # with their iterations
Row = Mapping[str, float]  # of metrics.csv

P_DATA, P_G, OF_D, BEST = "black", "#009E73", "#0072B2", "#D55E00"
DPI = 110
