"""Directories named after what varies: the same command always finds the same ones again."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import ListConfig, OmegaConf

UNNAMED = {"compile", "runs", "resume", "logger", "threads", "study", "name", "trainer", "trainer.accelerator",
           "trainer.devices", "trainer.strategy"}  # where, but not what, is trained  # fmt: skip
LONGEST = 120  # characters of a directory's name: file systems allow 255


def split(lines: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The overrides that all jobs share, and the keys that are swept. Hydra's own do not count."""
    parsed = [
        one for one in OverridesParser.create().parse_overrides(list(lines)) if not one.get_key_element().startswith("hydra")
    ]
    swept = dict.fromkeys(one.get_key_element() for one in parsed if one.is_sweep_override())
    fixed = {one.get_key_element(): one for one in parsed}
    return {key: one.get_value_element_as_str() for key, one in fixed.items() if key not in swept}, list(swept)


def study_of(fixed: Mapping[str, str], swept: Iterable[str]) -> str:
    """The name of a study: the keys that it sweeps, then the overrides that all its jobs share. More values of a key, as more
    seeds, belong to the same study; so do the same jobs with another logger or on other devices."""
    keys = "_".join(key.lstrip("+~") for key in swept) or "one"
    named = [(key.lstrip("+~"), value) for key, value in sorted(fixed.items()) if not key.startswith("logger.")]
    shared = "_".join(f"{key}-{value}" for key, value in named if key not in UNNAMED)
    name = f"{keys}__{shared}" if shared else keys
    return _short(_slug(name), name)


def jobs_of(jobs: Sequence[Mapping[str, str]], swept: Sequence[str]) -> list[str]:
    """The name of each job, given by its overrides: `loss-minimax_k-1_seed-0`. Two jobs never share one."""
    last = [_last(key) for key in swept]
    heads = [short if last.count(short) == 1 else key for key, short in zip(swept, last, strict=True)]
    names = []
    for job in jobs:
        values = [(head, job[key]) for head, key in zip(heads, swept, strict=True) if key in job]
        name = _slug("_".join(f"{head}-{value}" for head, value in values)) or "job"
        names.append(_short(name, repr(values)))
    counts = Counter(names)
    return [
        name if counts[name] == 1 else _marked(name, repr([job.get(key) for key in swept]))
        for name, job in zip(names, jobs, strict=True)
    ]


def _last(key: str) -> str:
    return key.lstrip("+~").rpartition(".")[2].rpartition("/")[2]


def _slug(text: str) -> str:
    """Without what a shell, a file system or Hydra's own grammar (`=`, `,`) would take for something else."""
    return re.sub(r"[^\w.+-]+", "_", text).strip("_")


def _short(name: str, whole: str) -> str:
    return name if len(name) <= LONGEST else _marked(name, whole)


def _marked(name: str, whole: str) -> str:
    return f"{name[: LONGEST - 9]}_{hashlib.blake2b(whole.encode(), digest_size=4).hexdigest()}"


def given_lines(overrides: ListConfig | list[str]) -> list[str]:
    """Overrides as they were given: an interpolation in one is for the config, not for the list that it stands in."""
    plain = OmegaConf.to_container(overrides, resolve=False) if isinstance(overrides, ListConfig) else overrides
    return [str(line) for line in plain]  # type: ignore[union-attr]


def may_differ(key: str) -> bool:
    """Whether runs that are trained at once may have values of their own: the seed, and numbers of the optimizers."""
    return key == "seed" or (key.startswith("optim.") and not key.endswith("_target_"))
