"""What `train.py --help` prints, without composing a config: Hydra copies its search path for each of the choices."""

from __future__ import annotations

import yaml

from ganlab.files.command import program
from ganlab.run.tree import conf_dir, groups


def help_text() -> str:
    """As Hydra would make it of conf/hydra/help/ganlab.yaml."""
    told = yaml.safe_load((conf_dir() / "hydra" / "help" / "ganlab.yaml").read_text(encoding="utf-8"))
    named = {group: sorted(file.stem for file in (conf_dir() / group).glob("*.yaml")) for group in groups()}
    choices = "".join(f"{group}: {', '.join(names)}\n" for group, names in named.items())
    text: str = told["template"].replace("$APP_CONFIG_GROUPS", choices)
    for part in ("header", "footer"):
        text = text.replace(f"${{hydra.help.{part}}}", told[part])
    return text.replace("${program:}", program())
