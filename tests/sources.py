"""Every distribution of the line that `conf/data` offers."""

import yaml
from conftest import ROOT

from ganlab.run.config import build

CONFIGS = sorted(path.stem for path in (ROOT / "conf" / "data").glob("*1d.yaml"))


def source(name):
    return build(yaml.safe_load((ROOT / "conf" / "data" / f"{name}.yaml").read_text())["data"], "data")
