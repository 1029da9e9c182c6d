"""What surrounds every command: the run directory's name, and mistakes told in one sentence."""

from __future__ import annotations

import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import hydra
import yaml
from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ganlab.errors import (
    Diverged,
    Interrupted,
    Locked,
    Mistakes,
    Storage,
    Unfinished,
    Unsaved,
    UserError,
    brief,
    did_you_mean,
)
from ganlab.files.command import SCRIPT, program
from ganlab.files.run import RunDirectory
from ganlab.files.saved import yaml_problem
from ganlab.files.status import Status
from ganlab.run.composing import remembering
from ganlab.run.help import help_text
from ganlab.run.hints import meant
from ganlab.run.line import GRAMMAR, flags_first, read_line, with_own_conf, with_saved_overrides
from ganlab.run.output import patient
from ganlab.run.tree import conf_dir, groups, own_conf, top_level, usual
from ganlab.signals import SIGNALS


def trained() -> int:
    """All that train.py does, and `ganlab train`; the exit code."""
    return guarded(lambda: hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(job)())


def guarded(main: Callable[[], Any], overrides: bool = True) -> int:
    """Run main and return the exit code: 0 done, 2 a user's mistake (one sentence), 3 diverged, 5 no room on the disk, 75
    interrupted with a checkpoint; our bugs have a traceback. `overrides`: that the command line is one of train.py's.

    GANLAB_TRACEBACK=1 shows the traceback of a mistake, too.
    """
    SIGNALS.listen()
    patient()
    remembering()
    if overrides and sys.argv[1:] in (["--help"], ["-h"]):
        print(help_text())
        return 0
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra would print and exit with 1 by itself
    if (here := os.getcwd()) not in sys.path:  # noqa: PTH109
        sys.path.append(here)  # parts of one's own; last, so that no file there is taken for another's
    try:
        if overrides and "GANLAB_OVERRIDES" not in os.environ:  # the other processes of a run inherit the whole line
            sys.argv = complete(sys.argv)
            os.environ["GANLAB_OVERRIDES"] = "complete"
        main()
    except Interrupted as error:
        with suppress(OmegaConfBaseException, ValueError):  # where there is no directory yet
            if overrides and not _BEGUN:
                discard(Path(HydraConfig.get().runtime.output_dir))
        return _said(error, Status.INTERRUPTED.exit_code)
    except Unfinished as error:
        return _said(error, error.code)
    except Exception as error:
        if (said := mistake(error, composing=overrides and not _BEGUN)) is None:
            raise
        return _told(error, said)
    return 0


def mistake(error: Exception, composing: bool) -> str | None:
    """The sentence of a user's mistake; None for a bug of ours. `composing`: that no run has begun, so that it is in the
    config."""
    if isinstance(error, UserError | HydraException | OmegaConfBaseException | yaml.YAMLError | UnicodeDecodeError):
        return sentence(error) + (of_what_is_swept(error) if composing else "")
    if isinstance(error, OSError):
        if error.filename is None or Path(error.filename).suffix == ".py":
            return None
        return f"cannot use {error.filename}: {error.strerror}{_elsewhere(sys.argv)}"
    if composing and isinstance(error, ValueError | TypeError | AttributeError | KeyError | AssertionError | RecursionError):
        return f"the config cannot be composed: {type(error).__name__}: {error}; look at the files in {conf_dir()}"
    return None


def _elsewhere(argv: Sequence[str]) -> str:
    if any(word.split("=")[0] == "--out" for word in argv):
        return "; name another place with --out"
    return "; run directories go to runs=PATH" if Path(argv[0]).name == SCRIPT.name else ""


def complete(argv: Sequence[str]) -> list[str]:
    """The command line with what a run to go on with, and the working directory, add to it. Raises UserError."""
    line = with_own_conf(with_saved_overrides(flags_first(argv)))
    refuse_null_groups(line)
    return line


_BEGUN: list[str] = []  # runs of this process: what is raised before the first is a mistake in the config


def job(cfg: DictConfig) -> None:
    """Hydra's task, one run. Hydra prints a line of its own about exceptions, so that how a run ended leaves here as an exit
    code."""
    _BEGUN.append(str(HydraConfig.get().runtime.output_dir))
    try:
        run_once(cfg, alone=True)
    except UserError as error:
        sys.exit(_told(error, str(error)))
    except Interrupted as error:
        sys.exit(_said(error, Status.INTERRUPTED.exit_code))
    except Diverged as error:
        sys.exit(_said(error, Status.DIVERGED.exit_code))
    except Unsaved as error:
        sys.exit(_said(error, Status.UNSAVED.exit_code))


def run_once(cfg: DictConfig, alone: bool = False) -> None:
    """`experiment.train`; a run that never began leaves no directory behind. `alone`: that this process is here for nothing
    else."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    fresh = not (folder / "config.yaml").exists()
    try:
        from ganlab.run.lightly import import_lightly, keep, undisturbed  # after composing: a typo is told without torch

        with undisturbed():
            import_lightly(OmegaConf.to_yaml(cfg))
            from ganlab.run.experiment import train
        if alone:
            keep()

        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # device lists and tips; imported, it says them
        train(cfg)
    except UserError as error:
        if not isinstance(error, Locked):
            discard(folder)
        raise
    except Interrupted:
        if fresh and not any(folder.glob("checkpoints/step-*.ckpt")):
            discard(folder, begun=True)
        raise


def discard(folder: Path, begun: bool = False) -> None:
    """Remove what a run that never trained has written there, and the folder if nothing else is in it: it may be anyone's."""
    if (folder / "config.yaml").exists() and not begun:
        return
    if not _let_go(folder / ".lock"):
        return
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).parent == folder.absolute():
            handler.close()
    for file in [folder / "run.log", *(RunDirectory(folder).files() if begun else ())]:
        file.unlink(missing_ok=True)
    inner = [folder / name for name in ("checkpoints", "samples", "figures", "theory")] if begun else []
    dated = [folder.parent] if re.fullmatch(r"\d{4}-\d\d-\d\d", folder.parent.name) else []
    for one in (*inner, folder, *dated):
        with suppress(OSError):
            one.rmdir()


def _let_go(lock: Path) -> bool:
    """Remove a lock, unless another process holds it, as that of a sweep which lies in the same folder."""
    if lock.exists():
        try:
            with FileLock(lock, timeout=0):
                lock.unlink(missing_ok=True)
        except Timeout:
            return False
    return True


def _said(error: BaseException, code: int) -> int:
    print(f"ganlab: {brief(str(error))}", file=sys.stderr)
    return code


def _told(error: Exception, sentence: str) -> int:
    if os.environ.get("GANLAB_TRACEBACK"):
        traceback.print_exception(error)
    lines = error.mistakes if isinstance(error, Mistakes) else [sentence]
    for line in lines:
        print(f"ganlab: error: {brief(line)}", file=sys.stderr)
    return Status.UNSAVED.exit_code if isinstance(error, Storage) else 2


def sentence(error: Exception) -> str:
    """Hydra's message on one line, without its search path and its advice about `+key`."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, yaml.YAMLError | UnicodeDecodeError):
        return f"{_file_of(error)} is no yaml: {yaml_problem(error)}"
    if isinstance(error, OverrideParseException):
        return f"cannot read the override {error.override!r}: see {GRAMMAR}"
    text = f"{error} {error.__cause__ or ''}"
    if match := re.search(r"full_key: penalty\.(\w+)\s", f"{text} "):
        return f"unknown key penalty.{match[1]}: a penalty is set by its name, as in penalty=r1 penalty.r1.gamma=1"
    if match := re.search(r"Key '(\w+)' is not in struct\s*full_key: (\S+)", text):
        group, _, key = match[2].rpartition(".")
        advice = f"; `{program()} --cfg job -p {group}` lists its keys" if group else meant(key, top_level(), conf_dir())
        return f"unknown key {match[2]}{advice}"
    if "does not support sweep type" in text:
        swept = next((one.input_line for one in read_line(sys.argv).parsed if one.is_interval_sweep()), "this")
        return f"{swept} is a range to search in: add hydra/sweeper=tune, or give values to train with"
    if match := re.search(r"Could not (?:find|load) '(\w+)/([^'/]+)'", text):
        group, name = match[1], match[2].removesuffix(".")
        known = [file.stem for folder in (conf_dir(), own_conf()) if folder for file in (folder / group).glob("*.yaml")]
        found = re.search(r"Available options in .*?:\s(.*?)(?:Config search path|$)", str(error), re.DOTALL)
        return f"{group} = {name} is no choice{did_you_mean(name, found[1].split() if found else known)}"
    if (match := re.match(r"Could not override '(\w+)'\. No match", text)) and match[1] in {*top_level()} - {*groups()}:
        return f"{match[1]} is a folder where configs are looked for, and so a choice among its files: move it, or the configs"
    lines = (line.strip() for line in str(error).split("Config search path")[0].splitlines())
    return " ".join(line for line in lines if line)


def of_what_is_swept(error: Exception) -> str:
    """The end of a sentence about an unknown key of a sweep over choices: Hydra composes once without them, so that a key which
    only they bring is not there yet. `++` adds it, and a job checks it as any other."""
    if (match := re.search(r"full_key: (\w+\.\S+)", f"{error} {error.__cause__ or ''}")) is None:
        return ""
    swept = [one.key_or_group for one in read_line(sys.argv).parsed if one.is_sweep_override() and one.key_or_group in groups()]
    return f"; if it is one of each {' and '.join(swept)} that is swept over, write ++{match[1]}=" if swept else ""


def _file_of(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is not None and Path(mark.name).is_file():
        return str(mark.name)
    folders = [conf_dir(), *(Path(word) for flag, word in pairwise(sys.argv) if flag in ("--config-dir", "-cd"))]
    for file in sorted(file for folder in folders for file in folder.rglob("*.yaml")):
        try:
            file.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):
            return str(file)
    return getattr(error, "name", None) or "a config file"


def refuse_null_groups(argv: list[str]) -> None:
    """Raises UserError for a group that is null: Hydra would say it in an assertion."""
    for one in read_line(argv).parsed:
        if one.key_or_group in groups() and not one.is_delete() and not one.is_sweep_override() and one.value() is None:
            group = one.key_or_group
            best = usual(group)
            raise UserError(f"{group} = null: a group is one of its files, as {group}={best}: name one, or leave it out")


def run_dir(resume: str | None, fresh: str, *, _root_: DictConfig) -> str:
    """`${run_dir:${resume},...}`: the directory of the run to go on with, otherwise a fresh one."""
    from ganlab.files.run import newest_like
    from ganlab.run.identity import fingerprint_of
    from ganlab.settings import GAME

    if resume == "auto":
        config = {key: _plain(_root_[key]) for key in (*GAME, "trainer")}
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
OmegaConf.register_new_resolver("program", program, replace=True)
logging.getLogger("hydra._internal.utils").setLevel(logging.CRITICAL)  # what cannot be found is said by us
