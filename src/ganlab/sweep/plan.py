"""From the command line of a sweep to its jobs, all of them checked before the first begins: Hydra composes a job when it
begins, so that a mistake in the last one would come to light hours later."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.console import Console
from rich.progress import track

from ganlab.errors import UserError
from ganlab.files.run import RunDirectory, differences
from ganlab.run.build import settings_of
from ganlab.run.composing import Composer
from ganlab.run.config import plain
from ganlab.run.experiment import rehearse
from ganlab.run.identity import refuse_elsewhere
from ganlab.run.line import places
from ganlab.run.names import jobs_of
from ganlab.settings import Settings
from ganlab.sweep.jobs import Job, mapping, quoted
from ganlab.sweep.known import Known

DECIDED = ("resume", "name")  # by the sweep itself
MOST = 5  # mistakes that are told


def plan(
    loader: Any,
    config: DictConfig,
    batch: Sequence[Sequence[str]],
    swept: Sequence[str],
    elsewhere: bool,
    threads: int | None,
    names: Sequence[str] | None = None,
    look: Callable[[Settings], None] | None = None,
    known: Known | None = None,
    begin: Callable[[], None] | None = None,
) -> list[Job]:
    """The jobs with these overrides; raises UserError, with all that is wrong, before anything is written. `elsewhere`: they
    will not run on this machine, which may have no GPU. `threads`: of a job whose config leaves them open. `names`: of the
    jobs, otherwise after what varies. `look` may refuse a config, too. What is `known` to be over is not composed again.
    `begin` is called once, when a first job is found that will have to run."""
    folder = Path(config.hydra.sweep.dir)
    every = [dict(mapping(list(overrides))) for overrides in batch]
    named, names = names is not None, names or jobs_of(every, swept)
    jobs, problems, rehearsed = [], dict[str, list[str]](), set[str]()
    console = Console(stderr=True)
    with _config_kept():
        for overrides, values, name in zip(
            track(batch, "checking all jobs", console=console, transient=True, disable=named or not console.is_terminal),
            every, names, strict=True,
        ):  # fmt: skip
            path = (folder / name).absolute()
            shown = {key: values[key] for key in swept if key in values}
            if known is not None and (job := known.job(name, list(overrides), shown)) is not None:
                jobs.append(job)
                continue
            try:
                if given := [key for key in DECIDED if key in values]:
                    raise UserError(f"{given[0]} is set by the sweep itself, which goes on with what is there: leave it out")
                settings, choices = _composed(loader, config, list(overrides), path)
                if settings.replicas != 1:
                    raise UserError("replicas are not of a sweep: leave them out, give hydra/launcher=replicas and more seeds")
                what = plain(settings) | {"seed": 0, "name": "", "runs": ""}
                if (key := json.dumps(what, sort_keys=True, default=str)) not in rehearsed:
                    rehearse(settings, path, choices, elsewhere)
                    if look is not None:
                        look(settings)
                    rehearsed.add(key)
                _same(path, settings)
            except UserError as error:
                problems.setdefault(str(error), []).append(name)
                continue
            own = [*places(config.hydra.overrides.hydra), *(line for line in overrides if not line.startswith("hydra"))]
            if threads and settings.threads is None:
                own.append(f"threads={threads}")
            own += [f"study={quoted(folder.name)}"] if "study" not in values else []
            if begin is not None and not RunDirectory(path).result_file.exists():
                begin()
                begin = None
            if known is not None:
                known.compose(name, list(overrides), plain(settings))
            job = Job(name, path, folder / "logs" / f"{name}.log", own, settings.iterations, shown, flags())
            if isinstance(loader, Composer):
                job.made = loader.made_for(config.hydra.job.config_name, own)
            jobs.append(job)
    if problems:
        told = [f"{names[0]}{f' and {len(names) - 1} more' * (len(names) > 1)}: {text}" for text, names in problems.items()]
        more = f"; and {len(told) - MOST} more mistakes" if len(told) > MOST else ""
        if named:
            raise UserError(told[0])
        raise UserError(f"nothing was started, {sum(map(len, problems.values()))} of {len(batch)} jobs have a mistake: "
                        f"{'; '.join(told[:MOST])}{more}")  # fmt: skip
    return jobs


def flags() -> list[str]:
    """Where this command's configs come from, for those of its jobs."""
    given, _ = get_args_parser().parse_known_args(sys.argv[1:])
    named = {"--config-path": given.config_path, "--config-name": given.config_name, "--config-dir": given.config_dir}
    return [word for flag, value in named.items() if value for word in (flag, value)]


def composed(loader: Any, config: DictConfig, overrides: list[str], path: Path) -> Settings:
    """The typed config of a job with these overrides; raises UserError."""
    with _config_kept():
        return _composed(loader, config, overrides, path)[0]


@contextmanager
def _config_kept() -> Iterator[None]:
    """And without the warnings of what is built only to be checked: each job has them in its own log."""
    before = HydraConfig.instance().cfg
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before
        logging.disable(logging.NOTSET)


def _composed(loader: Any, config: DictConfig, overrides: list[str], path: Path) -> tuple[Settings, dict[str, str]]:
    """As the job's own process will see it."""
    elsewhere = places(config.hydra.overrides.hydra)
    cfg = loader.load_configuration(config.hydra.job.config_name, [*elsewhere, *overrides], RunMode.RUN)
    OmegaConf.copy_cache(from_config=config, to_config=cfg)
    with open_dict(cfg):
        cfg.hydra.runtime.output_dir = str(path)
        cfg.hydra.job.id = cfg.hydra.job.num = 0
    HydraConfig.instance().set_config(cfg)
    choices = dict(cfg.hydra.runtime.choices)
    task = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    return settings_of(task, overrides), choices


def _same(path: Path, settings: Settings) -> None:
    """A job goes on with its directory only if that is of the same experiment."""
    run = RunDirectory(path)
    if run.config_file.exists() and (changed := differences(run.config, plain(settings))):
        raise UserError(f"{path} was trained with another config ({'; '.join(changed[:3])}): name a new study=NAME")
    if run.config_file.exists():
        refuse_elsewhere(run, settings.data)
