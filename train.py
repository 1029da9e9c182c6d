"""Train one GAN, or sweep over many with -m. `python train.py --help` lists the choices."""

from __future__ import annotations

import sys

from ganlab.signals import listen

listen()  # before seconds of importing: a signal then is told in one line, too

import hydra  # noqa: E402
from omegaconf import DictConfig  # noqa: E402

from ganlab.run.command_line import guarded, job  # noqa: E402


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> None:
    job(cfg)


if __name__ == "__main__":
    sys.exit(guarded(main))
