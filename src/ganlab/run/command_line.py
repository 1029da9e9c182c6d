"""What surrounds every command: the run directory's name, and mistakes told in one sentence."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ganlab.errors import Diverged, Interrupted, Locked, Unfinished, UserError, did_you_mean
from ganlab.files.older import overrides
from ganlab.files.status import Status


def guarded(main: Callable[[], Any]) -> int:
    """Run main and return the exit code: 0 done, 2 a user's mistake (one sentence), 3 diverged, 75 interrupted with a
    checkpoint; our bugs have a traceback.

    GANLAB_TRACEBACK=1 shows the traceback of a mistake, too.
    """
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra would print and exit with 1 by itself
    if "GANLAB_OVERRIDES" not in os.environ:  # the other processes of a run inherit the whole line
        sys.argv = with_saved_overrides(sys.argv)
        os.environ["GANLAB_OVERRIDES"] = "complete"
    try:
        main()
    except Diverged as error:
        print(f"ganlab: {error}", file=sys.stderr)
        return Status.DIVERGED.exit_code
    except Interrupted as error:
        print(f"ganlab: {error}", file=sys.stderr)
        return Status.INTERRUPTED.exit_code
    except Unfinished as error:
        print(f"ganlab: {error}", file=sys.stderr)
        return error.code
    except (UserError, HydraException, OmegaConfBaseException) as error:
        return _told(error, sentence(error))
    except ValueError as error:
        if "Config group override" not in str(error):
            raise
        return _told(error, "a group cannot be null: choose one of its files, as penalty=none, or leave it out")
    except OSError as error:
        if error.filename is None or Path(error.filename).suffix == ".py":
            raise
        return _told(error, f"cannot use {error.filename}: {error.strerror}; run directories go to runs=PATH")
    return 0


def job(cfg: DictConfig) -> None:
    """Hydra's task, one run. One that never began leaves no directory behind."""
    from ganlab.run.experiment import train  # after composing: a typo is reported without importing torch

    hydra = HydraConfig.get()
    try:
        train(cfg)
    except UserError as error:
        if not isinstance(error, Locked):
            _discard(Path(hydra.runtime.output_dir))
        sys.exit(_told(error, str(error)))


def _discard(folder: Path) -> None:
    if not (folder / "config.yaml").exists():
        logging.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _told(error: Exception, sentence: str) -> int:
    if os.environ.get("GANLAB_TRACEBACK"):
        traceback.print_exception(error)
    print(f"ganlab: error: {sentence}", file=sys.stderr)
    return 2


def sentence(error: Exception) -> str:
    """Hydra's message on one line, without its search path and its advice about `+key`."""
    if isinstance(error, OverrideParseException):
        return f"cannot read the override {error.override!r}: see https://hydra.cc/docs/1.3/advanced/override_grammar/basic"
    text = f"{error} {error.__cause__ or ''}"
    if match := re.search(r"full_key: penalty\.(\w+)\s", f"{text} "):
        return f"unknown key penalty.{match[1]}: a penalty is set by its name, as in penalty=r1 penalty.r1.gamma=1"
    if match := re.search(r"Key '(\w+)' is not in struct\s*full_key: (\S+)", text):
        group, _, key = match[2].rpartition(".")
        advice = f"; `python train.py --cfg job -p {group}` lists its keys" if group else did_you_mean(key, _top_level())
        return f"unknown key {match[2]}{advice}"
    lines = (line.strip() for line in str(error).split("Config search path")[0].splitlines())
    return " ".join(line for line in lines if line)


def conf_dir() -> Path:
    """The tree of choices: that of train.py, of the working directory, or of the checkout that ganlab runs from."""
    for folder in (Path(sys.argv[0]).resolve().parent, Path.cwd(), Path(__file__).parents[3]):
        if (folder / "conf" / "config.yaml").is_file():
            return folder / "conf"
    raise UserError("there is no conf/config.yaml here: run this command in the folder that train.py lies in")


def _top_level() -> list[str]:
    conf = conf_dir()
    return [*map(str, OmegaConf.load(conf / "config.yaml")), *(folder.name for folder in conf.iterdir() if folder.is_dir())]


BUDGETS = {"iterations", "images"}  # a new one replaces the other


def with_saved_overrides(argv: list[str]) -> list[str]:
    """`train.py resume=RUN ...` means the overrides that RUN was started with, and then the new ones."""
    for argument in argv[1:]:
        key, _, value = argument.partition("=")
        saved = Path(value) / "overrides.yaml"
        if key == "resume" and saved.is_file():
            new = {line.split("=")[0] for line in argv[1:]}
            if new & BUDGETS:
                new |= BUDGETS
            old = overrides([str(line) for line in OmegaConf.load(saved)], saved.with_name("config.yaml"))
            return [argv[0], *(line for line in old if line.split("=")[0] not in new), *argv[1:]]
    return argv


def run_dir(resume: str | None, fresh: str, *, _root_: DictConfig) -> str:
    """`${run_dir:${resume},...}`: the directory of the run to go on with, otherwise a fresh one."""
    from ganlab.files.run import newest_like
    from ganlab.run.identity import fingerprint_of
    from ganlab.settings import GAME

    if resume == "auto":
        config = {key: _plain(_root_[key]) for key in GAME}
        if (found := newest_like(config, Path(_root_.runs), lambda: fingerprint_of(config["data"]))) is not None:
            return str(found)
    elif resume is not None and not resume.endswith(".ckpt"):
        return resume
    return fresh


def study(given: str | None, overrides: ListConfig, params: DictConfig | None, *, _root_: DictConfig) -> str:
    """`${study:...}`: the name of a sweep's directory, that of the user or one after what varies."""
    from ganlab.run.names import given_lines, split, study_of

    searched = _root_.hydra.runtime.choices.get("hydra/sweeper") == "tune"  # not the directory of a grid of the same keys
    name = study_of(*split([*(f"{key!s}={value}" for key, value in (params or {}).items()), *given_lines(overrides)]))
    return given or f"{'tune_' * searched}{name}"


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if isinstance(value, DictConfig | ListConfig) else value


OmegaConf.register_new_resolver("run_dir", run_dir, replace=True)
OmegaConf.register_new_resolver("study", study, replace=True)
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # device lists and tips
