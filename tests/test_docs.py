"""A doc is wrong if a command in it does not run: each one is composed and validated here, and what it names exists."""

import re
import shlex
import sys

import pytest
from conftest import ROOT, composed
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep

import ganlab.run.command_line
from ganlab.commands.main import main
from ganlab.run.config import resolve, validate

DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "conf").glob("*/*.yaml"))]
LINKS = [(path, link) for path in DOCS if path.suffix == ".md" for link in re.findall(r"\]\(([^)#]+)\)", path.read_text())]
LINKS = [(path, link) for path, link in LINKS if not link.startswith("http")]
LINES = re.findall(r"python train\.py[^\n`|]*", "\n".join(path.read_text() for path in DOCS))
COMMANDS = sorted({re.split(r"  +|\s#|\s\(|\s;", line)[0].strip() for line in LINES})
TEXTS = [path.read_text() for path in DOCS if path.suffix == ".md"]
OTHERS = [
    line for text in TEXTS for block in text.split("```")[1::2] for line in re.findall(r"^ganlab .*", block, re.MULTILINE)
]
# `ganlab compare` and the like in a sentence are names, and no whole commands
OTHERS += [said for text in TEXTS for said in re.findall(r"`(ganlab [a-z]+ [^-`\n][^`\n]*)`", text)]
OTHERS = sorted({re.split(r"  +|\s#", line)[0].strip() for line in OTHERS})


def jobs(command):
    """The overrides of the first job of a command."""
    words = [word for word in shlex.split(command)[2:] if not word.startswith("-")]
    words = [word for word in words if not word.startswith(("resume=", "hydra.", "..."))]
    parsed = OverridesParser.create().parse_overrides(words)
    for override in parsed:
        if not override.is_sweep_override():
            yield override.input_line
        elif isinstance(override.value(), Glob):
            (pattern,) = override.value().include
            yield f"{override.key_or_group}={next((ROOT / 'conf' / override.key_or_group).glob(pattern + '.yaml')).stem}"
        elif isinstance(override.value(), IntervalSweep):
            yield f"{override.get_key_element()}={override.value().start}"
        else:
            yield f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"


def test_commands_were_found():
    assert len(COMMANDS) >= 20
    assert "python train.py experiment=figure1" in COMMANDS
    assert len(LINKS) >= 20
    assert len(OTHERS) >= 30
    assert "ganlab sample RUN --ema-std 0.08" in OTHERS


UNSAID = r"\.\.\.|--help|--cfg|resume=RUN data\."  # what they compose to is not in the line


@pytest.mark.parametrize("command", [command for command in COMMANDS if not re.search(UNSAID, command)])
def test_every_command_composes(command, tmp_path):
    given = [*jobs(command)]
    settings = validate(resolve(composed(*given, path=tmp_path)))
    for key, _, value in (override.partition("=") for override in given):
        if key in ("k", "seed", "batch_size", "iterations", "ema_decay"):  # what a command gives is what is trained with
            assert getattr(settings, key) == float(value)


@pytest.mark.parametrize("command", [command for command in OTHERS if not command.startswith("ganlab train")])
def test_every_other_command_has_the_options_that_it_is_told_with(command, monkeypatch):
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    monkeypatch.setattr(ganlab.run.command_line, "guarded", lambda task, overrides: 0)  # what is read is not done
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0


@pytest.mark.parametrize(("path", "link"), LINKS, ids=[f"{path.name}-{link}" for path, link in LINKS])
def test_what_a_doc_links_to_exists(path, link):
    assert (path.parent / link).exists()
