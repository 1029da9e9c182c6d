"""The command line, read by Hydra's own grammar: what a mistake in it is, and what `resume=RUN` adds to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from ganlab.errors import UserError, did_you_mean
from ganlab.files.command import program
from ganlab.files.older import overrides
from ganlab.files.run import RunDirectory
from ganlab.files.saved import read_plain
from ganlab.run.tree import conf_dir, groups, own_conf
from ganlab.settings import PRESETS, Settings

BUDGETS = {"iterations", "images"}  # a new one replaces the other
FLAGS = ("--config-dir", "--config-name", "--config-path")  # where configs come from, which a run remembers
PLACES = "hydra.searchpath"  # so, too, where else
TRUST = "--trust"


class Line(NamedTuple):
    """A command line: `flags` are Hydra's, with their values; `given` the overrides as they were typed."""

    script: str
    flags: list[str]
    given: list[str]
    parsed: list[Override]
    trust: bool


def read_line(argv: Sequence[str]) -> Line:
    """Raises UserError for what Hydra cannot read, for a key that is there twice, and for an empty value."""
    words = [word for word in argv[1:] if word != TRUST]
    given = get_args_parser().parse_known_args(words)[0].overrides
    start = next((i for i in range(len(words)) if given and words[i : i + len(given)] == given), len(words))
    flags = words[:start] + words[start + len(given) :]
    return Line(argv[0], flags, given, read_overrides(given), TRUST in argv)


def flags_first(argv: Sequence[str]) -> list[str]:
    """A command line whose flags may stand anywhere, as Hydra's parser wants it: they come first. Raises UserError for one that
    there is not."""
    takes = {name: action.nargs for action in get_args_parser()._actions for name in action.option_strings}
    flags: list[str] = []
    overrides: list[str] = []
    words = [*argv[1:]]
    while words:
        word = words.pop(0)
        name, equals, _ = word.partition("=")
        if word == TRUST or not word.startswith("-"):
            (flags if word == TRUST else overrides).append(word)
        elif name not in takes:
            meant = f": write {word.lstrip('-')}" if equals else did_you_mean(name, [*takes, TRUST])
            raise UserError(f"{name} is no option of {program()}{meant}")
        else:
            flags.append(word)
            value = takes[name] is None or (takes[name] == "?" and words[:1] != [] and "=" not in words[0])
            if value and not equals and words:
                flags.append(words.pop(0))
    return [argv[0], *flags, *overrides]


def read_overrides(given: Sequence[str]) -> list[Override]:
    """By Hydra's own grammar; raises UserError as above."""
    parsed = [_parsed(text) for text in given]
    seen: dict[tuple[str, str | None], str] = {}
    for text, one in zip(given, parsed, strict=True):
        if (before := seen.get(identity(one))) is not None:
            raise UserError(f"{one.key_or_group} is given twice, as {before} and as {text}: leave one of them out")
        seen[identity(one)] = text
        if not one.is_delete() and not one.is_sweep_override() and is_empty(one.value()):
            raise UserError(f"{text} is empty, as an unset variable leaves it: give a value, or {one.key_or_group}=null")
    return parsed


def is_empty(value: Any) -> bool:
    return isinstance(value, str) and not value.strip()


def identity(one: Override) -> tuple[str, str | None]:
    """Two overrides of the same are alike in this; `+`, `++` and `~` do not count."""
    return one.key_or_group, one.package


def _parsed(text: str) -> Override:
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException as error:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"cannot read {text!r}: an override is KEY=VALUE, as k=2 or data=mnist") from error
        bare = value.strip("'\"")
        if value.endswith(",") or not bare or '"' in bare or "'" in bare:
            raise UserError(f"cannot read the override {text!r}: see {GRAMMAR}") from error
        if any(bare.count(a) != bare.count(b) for a, b in ("()", "[]", "{}")):
            raise UserError(f"cannot read the override {text!r}: close its brackets, or quote its value twice") from error
        raise UserError(f"cannot read the override {text!r}: quote its value twice, as '{key}=\"{bare}\"'") from error


GRAMMAR = "https://hydra.cc/docs/1.3/advanced/override_grammar/basic"


def with_saved_overrides(argv: Sequence[str]) -> list[str]:
    """`train.py resume=RUN ...` means the overrides that RUN was started with, and then the new ones; where its configs came
    from is remembered, too. What RUN says may choose among ganlab's own keys; `--trust` lets it do more. Raises UserError."""
    line = read_line(argv)
    resumed = next((one.value() for one in line.parsed if one.key_or_group == "resume" and not one.is_sweep_override()), None)
    if isinstance(resumed, str) and not resumed.endswith(".ckpt") and Path(resumed).is_file():
        raise UserError(f"resume = {resumed} is a file: give a run directory, a .ckpt file to branch off from, or auto")
    _refuse_two_places(resumed, line)
    saved = RunDirectory(resumed) if isinstance(resumed, str) and not resumed.endswith(".ckpt") else None
    if saved is None or not saved.overrides_file.is_file():
        return [word for word in argv if word != TRUST]
    return [line.script, *_flags_of(saved, line), *line.flags, *_overrides_of(saved, line), *line.given]


def _refuse_two_places(resumed: Any, line: Line) -> None:
    place = next((one for one in line.parsed if one.key_or_group == "hydra.run.dir" and not one.is_sweep_override()), None)
    if place is None or not isinstance(resumed, str) or resumed == "auto" or resumed.endswith(".ckpt"):
        return
    if place.is_delete() or Path(str(place.value())).absolute() != Path(resumed).absolute():
        raise UserError(f"resume = {resumed} goes on in its own directory: leave {place.input_line} out, or branch off a .ckpt")


def _overrides_of(run: RunDirectory, line: Line) -> list[str]:
    file, again = run.overrides_file, "give its overrides again beside resume"
    try:
        lines = read_plain(file, resolved=False)
    except UserError as error:
        raise UserError(f"{error}: {again}, after deleting that file; config.yaml has all values") from error
    if not isinstance(lines, list) or not all(isinstance(text, str) for text in lines):
        raise UserError(f"{file} is damaged, it is no list of overrides: {again}, after deleting it")
    new = {identity(one)[0] for one in line.parsed}
    new |= BUDGETS if new & BUDGETS else set()
    kept, keys, choices = [], own_keys(), groups()
    for text in overrides(lines, run.config_file):
        try:
            one = OverridesParser.create().parse_override(text)
        except HydraException as error:
            raise UserError(f"{file}: {text!r} is no override: {again}, after deleting it") from error
        if one.key_or_group in new:
            continue
        if not line.trust:
            _refuse_foreign(one, text, file, keys, choices)
        kept.append(text)
    return kept


def _refuse_foreign(one: Override, text: str, file: Path, keys: Sequence[str], choices: Sequence[str]) -> None:
    from ganlab.run.gate import choice_problem

    problem = "sweeps" if one.is_sweep_override() else None
    value = None if one.is_delete() else one.value() if problem is None else None
    problem = problem or choice_problem(one.key_or_group, one.package, value, keys, choices)
    if problem:
        raise UserError(f"{file}: {text[:60]} {problem}: say it on the command line, or pass --trust to obey this run")


def own_keys() -> list[str]:
    """The keys that a run may set: those of its config, and presets of several."""
    return [*Settings.model_fields, *PRESETS]


def _flags_of(run: RunDirectory, line: Line) -> list[str]:
    """Where the configs of a run came from, if this line does not say it."""
    from ganlab.run.gate import refuse_foreign_folder

    if not run.flags_file.is_file():
        return []
    known = read_plain(run.flags_file)
    if not isinstance(known, dict) or not all(
        key in (*FLAGS, PLACES) and isinstance(value, str) for key, value in known.items()
    ):
        raise UserError(f"{run.flags_file} is damaged: give --config-dir again, after deleting it")
    elsewhere = known.pop(PLACES, None)
    if elsewhere is not None and all(one.key_or_group != PLACES for one in line.parsed):
        if not line.trust:
            raise UserError(f"{run.path} was composed with {elsewhere[:100]}: say it again beside resume, or pass --trust")
        line.given.insert(0, elsewhere)
    if any(word.split("=")[0] in (*FLAGS, "-cd", "-cn", "-cp") for word in line.flags):
        return []
    for flag, value in known.items():
        if flag != "--config-name":
            if not Path(value).is_dir():
                raise UserError(f"{run.path} was composed with {flag} {value}, which is gone: give {flag} anew")
            if not line.trust:
                refuse_foreign_folder(Path(value), own_keys())
        elif not line.trust and not value.replace("_", "").replace("-", "").isalnum():
            raise UserError(f"{run.flags_file}: {value} is no name of a config: give --config-name anew")
    return [word for pair in known.items() for word in pair]


def with_own_conf(argv: Sequence[str]) -> list[str]:
    """`conf/` of the working directory counts as `--config-dir conf`, unless the line says where configs come from, and a
    `--config-path` is one from here, as a path is anywhere else."""
    given, _ = get_args_parser().parse_known_args(argv[1:])
    if given.config_path and "://" not in given.config_path and not Path(given.config_path).is_absolute():
        return [*argv, "--config-path", str(Path(given.config_path).absolute())]  # the last one counts
    if given.config_dir or given.config_path or (own := own_conf()) is None:
        return [*argv]
    return [argv[0], "--config-dir", str(own), *argv[1:]]


def places(hydras: Iterable[str]) -> list[str]:
    """Of Hydra's own overrides those that say where else configs come from."""
    return [line for line in hydras if line.lstrip("+").startswith(f"{PLACES}=")]


def flags_here() -> dict[str, str]:
    """Those that this command was given, with folders in full."""
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    found = {source.provider: source.path for source in hydra.runtime.config_sources if source.schema == "file"}
    flags = {"--config-dir": found.get("command-line"), "--config-path": found.get("main")}
    if flags["--config-path"] and Path(flags["--config-path"]).resolve() == conf_dir().resolve():
        flags["--config-path"] = None
    flags["--config-name"] = hydra.job.config_name if hydra.job.config_name not in (None, "config", "config.yaml") else None
    flags[PLACES] = next(iter(places(hydra.overrides.hydra)), None)
    return {flag: str(value) for flag, value in flags.items() if value}
