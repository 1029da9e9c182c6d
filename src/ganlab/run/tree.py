"""conf/, the tree of choices: where it is, and what it has."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ganlab.errors import UserError


def conf_dir() -> Path:
    """The tree of choices: that of train.py, or that which ganlab was installed with, or of its checkout."""
    for folder in (Path(sys.argv[0]).resolve().parent, Path(__file__).parents[1], Path(__file__).parents[3]):
        if (folder / "conf" / "config.yaml").is_file():
            return folder / "conf"
    raise UserError(f"{Path(__file__).parents[1]} has no conf: install ganlab anew, from a wheel or a checkout that is whole")


def own_conf() -> Path | None:
    """`conf/` of the working directory, where it has choices of one's own. One that is another program's has a config.yaml that
    does not choose a loss."""
    own = Path.cwd() / "conf"
    if not own.is_dir() or own.samefile(conf_dir()) or next(own.rglob("*.yaml"), None) is None:
        return None
    if (own / "config.yaml").is_file() and "loss:" not in (own / "config.yaml").read_text(errors="replace"):
        return None
    return own


def config_files(folder: str | Path) -> Iterator[tuple[Path, bytes]]:
    """All yaml files of a folder that can be read, with what is in them; an editor leaves links there that lead nowhere."""
    for file in sorted(Path(folder).rglob("*.yaml")):
        with suppress(OSError):
            yield file, file.read_bytes()


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
