"""Train one GAN, or sweep over many with -m. `python train.py --help` lists the choices."""

from __future__ import annotations

import sys

import hydra
from omegaconf import DictConfig

from ganlab.run.command_line import guarded, job


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> None:
    job(cfg)


if __name__ == "__main__":
    sys.exit(guarded(main))
