"""Weights & Biases, without asking anything: online where there is an account, otherwise offline."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wandb
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

MODES = ("auto", "online", "offline", "disabled")


class Wandb(WandbLogger):
    """One W&B run per run directory, under the same id when the run is resumed. All runs share `<runs>/wandb`, where
    `wandb leet` and `wandb sync` find them side by side. The x axis of every chart is the number of real images seen."""

    def __init__(
        self,
        run_dir: Path,
        name: str,
        group: str,
        tags: Sequence[str],
        runs: Path,
        project: str = "ganlab",
        mode: str = "auto",
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
        self.mode = self._available() if mode == "auto" else mode
        super().__init__(
            name=name,
            save_dir=runs,
            id=hashlib.blake2b(str(run_dir.resolve()).encode(), digest_size=5).hexdigest(),
            project=project,
            group=group,
            tags=list(tags),
            mode=self.mode,
            settings=wandb.Settings(silent=True, console="off"),
        )
        self._wandb_init.pop("anonymous")  # Lightning's argument, about which W&B only warns

    @staticmethod
    def _available() -> str:
        """WANDB_MODE if set; online when logged in and the server answers; otherwise offline. Never prompts."""
        if mode := os.environ.get("WANDB_MODE"):
            if mode not in MODES[1:]:
                raise ValueError(f"the environment's WANDB_MODE must be one of {', '.join(MODES[1:])}, got {mode!r}")
            return mode
        try:
            return "online" if wandb.login(prompt=False) else "offline"
        except Exception:  # a key, but no network or a refused key: whatever W&B raises, training goes on
            return "offline"

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.experiment.config.update(params, allow_val_change=True)
        self.experiment.define_metric("images")
        for group in ("train", "eval", "theory", "health"):
            self.experiment.define_metric(f"{group}/*", step_metric="images")

    @rank_zero_only
    def log_picture(self, key: str, path: Path, step: int) -> None:
        self.experiment.log({key: wandb.Image(str(path)), "trainer/global_step": step})

    @rank_zero_only
    def close(self, result: dict[str, Any], figures: Sequence[Path]) -> list[str]:
        """Add the final figures and the result, end the run, and say how to look at it. An unfinished run would swallow
        the next job of a sweep."""
        for path in figures:
            media = wandb.Video(str(path), format="gif") if path.suffix == ".gif" else wandb.Image(str(path))
            self.experiment.log({f"figures/{path.stem}": media})
        self.experiment.config.update({"cards": result["cards"]}, allow_val_change=True)
        self.experiment.summary["verdict"] = result["verdict"]["state"]
        for kind in ("final", "best", "area"):
            self.experiment.summary.update({f"{kind}/{name}": v["value"] for name, v in result[kind].items()})
        self.experiment.summary.update({f"best_iteration/{name}": v["iteration"] for name, v in result["best"].items()})
        run, folder = self.experiment, Path(self.experiment.dir).parent
        if self.mode == "disabled":
            lines = []
        elif self.mode == "offline":
            lines = [f"compare    wandb leet {folder.parent}", f"upload     wandb login && wandb sync {folder}"]
        else:
            lines = [f"compare    {run.url}"]
        wandb.finish(exit_code=0 if result["status"] == "completed" else 1)
        return lines
