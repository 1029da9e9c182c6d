"""A command within a Python process that is not its own, as a notebook's: what it changes there is put back."""

from __future__ import annotations

import logging
import os
import random
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock

import hydra
import numpy as np
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ganlab.errors import Diverged, UserError, brief
from ganlab.files.command import SCRIPT
from ganlab.run.command_line import complete, mistake, run_once
from ganlab.run.tree import conf_dir
from ganlab.signals import SIGNALS

ONE = RLock()  # sys.argv, Hydra and the generators of random numbers are one for all threads


def run_here(words: Sequence[str]) -> Path:
    """Trains one run as `ganlab train WORDS` does, and returns its directory, also if it diverged. Raises what else the run
    raises; a user's mistake is a UserError."""
    begun: list[Path] = []
    raised: list[BaseException] = []

    def task(cfg: DictConfig) -> None:
        begun.append(Path(HydraConfig.get().runtime.output_dir))
        try:
            run_once(cfg)
        except Diverged:
            return  # which its result says
        except BaseException as error:  # Hydra would print it, and not all of it
            raised.append(error)

    with told_as_mistakes(begun), as_it_was():
        sys.argv = complete([str(SCRIPT), *words])
        os.environ |= {"GANLAB_OVERRIDES": "complete", "HYDRA_FULL_ERROR": "1"}
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(task)()
        for error in raised:
            raise error
    return begun[0]


FLAG = re.compile(r"--(?!config)([a-z]\w*(?:-\w+)*)")  # that of a folder of configs is a word in Python, too
IN_PYTHON = {"classes": "y", "trust": "trust=True", "out": "another folder"}


@contextmanager
def told_in_python() -> Iterator[None]:
    """`told_as_mistakes`, where an option of the command line has the name of its argument here."""
    try:
        with told_as_mistakes():
            yield
    except UserError as error:
        if type(error) is not UserError:
            raise
        raise UserError(FLAG.sub(lambda match: IN_PYTHON.get(match[1], match[1].replace("-", "_")), str(error))) from error


@contextmanager
def told_as_mistakes(begun: Sequence[object] = ("nothing is composed",)) -> Iterator[None]:
    """What the command line tells in one sentence is raised as a UserError that has it."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if (said := mistake(error, composing=not begun)) is None:
            raise
        raise UserError(brief(said)) from error


@contextmanager
def as_it_was() -> Iterator[None]:
    """One command at a time. Afterwards sys.argv, the environment, Hydra, logging, signals, threads of torch and the
    generators of random numbers are as they were before."""
    with ONE:
        root = logging.getLogger()
        argv, path = sys.argv, [*sys.path]
        environment = dict(os.environ)
        of_hydra, config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
        handlers, level = [*root.handlers], root.level
        threads = torch.get_num_threads()
        SIGNALS.received = 0.0
        os.environ.pop("GANLAB_OVERRIDES", None)
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # device lists and tips
        sys.path.append(os.getcwd())  # noqa: PTH109
        try:
            with numbers_kept():
                yield
        finally:
            sys.argv, sys.path[:] = argv, path
            for name in {*os.environ} - {*environment}:
                del os.environ[name]
            os.environ.update(environment)
            GlobalHydra.instance().hydra, HydraConfig.instance().cfg = of_hydra, config
            for handler in [each for each in root.handlers if each not in handlers]:
                root.removeHandler(handler)
                with suppress(OSError, ValueError):
                    handler.close()
            root.handlers[:] = handlers
            root.setLevel(level)
            torch.set_num_threads(threads)
            SIGNALS.received = 0.0


@contextmanager
def numbers_kept() -> Iterator[None]:
    """The generators of random numbers are as they were before."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
