"""What a run directory may have built, and which choices it may make: it may come from anyone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ganlab.errors import UserError
from ganlab.files.run import RunDirectory
from ganlab.files.saved import leaves, read_plain, refers_to_keys_only
from ganlab.run.config import HARMLESS, own_code

TRAINED_BY = (*HARMLESS, "ganlab.game.", "ganlab.theory.", "ganlab.figures.", "ganlab.loggers.", "torch.optim.",
              "pytorch_lightning.trainer.trainer")  # fmt: skip  # what train.py builds beside
NAME = re.compile(r"[\w.+-]+(/[\w.+-]+)*")  # of a choice: no way out of conf/
FILES = 300  # of a folder of configs


def saved_config(run: RunDirectory, built: Iterable[str], trust: bool) -> dict[str, Any]:
    """The config of a run, of which the nodes under the keys `built` may be built. Raises UserError where one of them is not
    ganlab's own code alone, unless that is trusted."""
    config = run.config
    for key in built:
        node = value_at(config, key)
        if node is None:
            raise UserError(f"{run.config_file} has no {key}: it is damaged, or of another program")
        refuse_foreign_code({key: node}, trust)
    return config


def value_at(config: Any, key: str) -> Any:
    """What lies under a dotted key; None where there is nothing."""
    for part in key.split("."):
        config = config.get(part) if isinstance(config, Mapping) else None
    return config


def refuse_foreign_code(nodes: Mapping[str, Any], trust: bool, places: tuple[str, ...] = HARMLESS) -> None:
    """Raises UserError for the first node that is not `own_code` of these places."""
    for key, node in nodes.items():
        if not trust and not own_code(node, places):
            targets = [value for name, value in leaves(node) if name.endswith("_target_")]
            found = next((one for one in targets if not own_code({"_target_": one}, places)), "a key that begins with _")
            raise UserError(f"{key} = {found} is not ganlab's own code alone: pass --trust to run it")


def choice_problem(key: str, package: str | None, value: Any, keys: Iterable[str], groups: Iterable[str]) -> str | None:
    """Why an override that a run directory brings is refused; None where it chooses among ganlab's own keys."""
    first = key.replace("/", ".").split(".")[0]
    if first not in keys or (package is not None and package.split(".")[0] not in keys):
        return "is no key of ganlab's"
    if key in groups and not isinstance(value, Mapping):
        names = value if isinstance(value, list) else [value]
        if not all(isinstance(name, str) and NAME.fullmatch(name) and ".." not in name for name in names if name is not None):
            return f"is no name of a file in conf/{key}"
    return value_problem(value, key)


def value_problem(value: Any, key: str) -> str | None:
    """Why a value that may come from anyone is refused, under its key."""
    for name, one in leaves(value, key):
        if isinstance(one, str) and not refers_to_keys_only(one):
            return "asks for more than other keys of the config"
        last = name.rpartition(".")[2]
        if last == "_target_" and not own_code({"_target_": one}, TRAINED_BY):
            return f"names {one}, which is not ganlab's own code"
        if last.startswith("_") and last != "_target_":
            return "has a key that begins with _"
    return None


def refuse_foreign_folder(folder: Path, keys: Iterable[str]) -> None:
    """Raises UserError unless all configs in a folder choose among ganlab's own keys: a run may say that it was composed from
    there, and composing is more than reading."""
    files = [file for file in sorted(folder.rglob("*")) if file.suffix in (".yaml", ".yml")]
    if len(files) > FILES:
        raise UserError(f"{folder} has more than {FILES} configs: give it again, as --config-dir {folder}")
    for file in files:
        try:
            problem = _file_problem(file, file.relative_to(folder), {*keys})
        except UserError:
            problem = "cannot be read"
        if problem:
            raise UserError(f"{file} {problem}: give --config-dir {folder} again to use it, or --trust")


def _file_problem(file: Path, name: Path, keys: set[str]) -> str | None:
    if "hydra" in name.parts:
        return "is of Hydra itself"
    content = read_plain(file, resolved=False)
    package = re.search(r"^\s*#\s*@package\s+(\S+)", file.read_text(), re.MULTILINE)
    where = package[1] if package else name.parts[0] if len(name.parts) > 1 else "_global_"
    if not isinstance(content, Mapping):
        return None if content is None else "is no mapping"
    defaults = [text for key, one in leaves(content.get("defaults", [])) for text in (key, one) if isinstance(text, str)]
    if any("hydra" in text or ".." in text or "${" in text for text in defaults):
        return "chooses what is not in conf/"
    tops = [key for key in content if key != "defaults"] if where == "_global_" else [where.split(".")[0]]
    if where.startswith("_") and where not in ("_global_", "_group_"):
        return f"goes to {where}"
    if unknown := [top for top in tops if top not in keys and top != "_group_"]:
        return f"has {unknown[0]}, which is no key of ganlab's"
    return value_problem({key: one for key, one in content.items() if key != "defaults"}, "")
