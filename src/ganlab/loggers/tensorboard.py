"""TensorBoard (extra `tensorboard`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from ganlab.loggers.base import RunLogger
from ganlab.loggers.redact import redact


class TensorBoard(RunLogger, TensorBoardLogger):
    """Event files in `tensorboard/` of the run directory."""

    def __init__(self, run_dir: Path, name: str, group: str, tags: Sequence[str], runs: Path) -> None:
        super().__init__(save_dir=run_dir, name="tensorboard", version="")
        self.runs = runs

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        super().log_hyperparams(redact(params), *args, **kwargs)

    @rank_zero_only
    def log_picture(self, key: str, path: Path, step: int) -> None:
        self.experiment.add_image(key, np.asarray(Image.open(path).convert("RGB")), step, dataformats="HWC")

    def close(self, result: dict[str, Any], figures: Sequence[Path]) -> list[str]:
        self.experiment.close()
        return [f"compare    tensorboard --logdir {self.runs}"]
