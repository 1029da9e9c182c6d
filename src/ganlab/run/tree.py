"""conf/, the tree of choices: where it is, and what it has."""

from __future__ import annotations

import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ganlab.errors import UserError


def conf_dir() -> Path:
    """The tree of choices: that of train.py, of the working directory, or of the checkout that ganlab runs from."""
    for folder in (Path(sys.argv[0]).resolve().parent, Path.cwd(), Path(__file__).parents[3]):
        if (folder / "conf" / "config.yaml").is_file():
            return folder / "conf"
    raise UserError("there is no conf/config.yaml here: run this command in the folder that train.py lies in")


NOT_OF_A_RUN = ("hydra", "sampling")  # Hydra's own, and what is chosen when training is over


def groups() -> list[str]:
    """The choices of conf/, by the names of their folders."""
    return sorted(folder.name for folder in conf_dir().iterdir() if folder.is_dir() and folder.name not in NOT_OF_A_RUN)


def top_level() -> list[str]:
    return [*{*map(str, OmegaConf.load(conf_dir() / "config.yaml")), *groups()} - {"defaults"}]


def usual(group: str) -> str:
    """A choice of a group to name as an example: nothing, where that is one, or the default."""
    files = sorted(file.stem for file in (conf_dir() / group).glob("*.yaml"))
    defaults = [each for each in OmegaConf.load(conf_dir() / "config.yaml").defaults if isinstance(each, DictConfig)]
    return "none" if "none" in files else next((str(each[group]) for each in defaults if each.get(group)), files[0])
