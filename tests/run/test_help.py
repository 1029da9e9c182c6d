"""What is told before anything is trained."""

import sys

import pytest
import torch
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.object_type import ObjectType

from ganlab.run.command_line import guarded
from ganlab.run.precision import multiplies_bf16, refuse_unfit_precision
from ganlab.run.tree import NOT_OF_A_RUN, conf_dir


def test_help_lists_the_choices_that_hydra_finds_and_composes_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py", "--help"])
    assert guarded(lambda: pytest.fail("composed")) == 0
    told = capsys.readouterr().out
    loader = ConfigLoaderImpl(create_config_search_path(str(conf_dir())))
    named = [name for name in loader.list_groups("") if name not in NOT_OF_A_RUN]
    listed = {line.split(": ")[0]: line.split(": ")[1].split(", ") for line in told.splitlines() if ": " in line}
    assert {name: sorted(loader.get_group_options(name, ObjectType.CONFIG)) for name in named} == listed
    assert "$" not in told
    assert "python train.py resume=RUN" in told


@pytest.mark.parametrize(("avx512", "amx", "quick"), [(False, False, False), (True, False, True), (False, True, True)])
def test_bf16_on_a_cpu_without_instructions_for_it_is_warned_of(monkeypatch, caplog, avx512, amx, quick):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert multiplies_bf16() is quick
    refuse_unfit_precision("bf16-mixed", "cpu")
    assert ("15 to 20 times slower" in caplog.text) is not quick
    caplog.clear()
    refuse_unfit_precision("32-true", "cpu")
    assert not caplog.text
