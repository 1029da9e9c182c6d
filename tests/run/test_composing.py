"""Composing by what was remembered: what Hydra itself would have composed."""

from dataclasses import dataclass

import pytest
from conftest import ROOT, loader_of
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_store import ConfigStore
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ganlab.run import composing
from ganlab.run.composing import Composer

BATCH = (
    ("seed=0",), ("seed=1",), ("k=2", "seed=1"), ("data=mnist", "model=dcgan", "seed=3"), ("loss=hinge", "optim.lr=1e-3"),
    ("penalty=r1", "penalty.r1.gamma=3"), ("penalty=r1",), ("penalty=[r1,r2]",), ("loss=wasserstein_toy",), ("seed=0",),
    ("+penalty.own._target_=a.B", "~metrics.picture"), ("experiment=figure1", "seed=2"), ("updates=consensus",),
)  # fmt: skip


def made_by(loader, *given, overrides):
    return OmegaConf.to_container(loader.load_configuration("config", list(overrides), *given), resolve=False)


HYDRAS = (
    ("hydra.run.dir=a", "hydra.run={dir: b}"), ("hydra={run: {dir: b}}", "hydra.run.dir=a"),
    ("hydra.mode=RUN", "hydra.run.dir='a b'", "seed=4"), ("hydra/launcher=joblib", "seed=5"), ("hydra.job.chdir=true", "k=2"),
    ("hydra.run.dir=a", "hydra.job.config.override_dirname.exclude_keys=[seed]", "seed=5", "k=3"),
)  # fmt: skip


def test_composing_from_what_was_read_gives_what_hydra_composes():
    hydras, kept = (loader_of(kind, ROOT / "conf") for kind in (ConfigLoaderImpl, Composer))
    loaded = []
    inner = kept.repository.inner.load_config
    kept.repository.inner.load_config = lambda config_path: loaded.append(config_path) or inner(config_path=config_path)
    for overrides in (*BATCH, *HYDRAS):
        a = made_by(hydras, RunMode.RUN, overrides=overrides)
        assert a == made_by(kept, RunMode.RUN, overrides=overrides)
        assert a["hydra"]["overrides"]["task"] == [line for line in overrides if not line.startswith(("hydra.", "hydra/"))]
    for overrides in (("seed=0,1", "k=2"), ("data=ring,mnist", "seed=3")):  # as the sweep itself
        assert made_by(hydras, RunMode.MULTIRUN, overrides=overrides) == made_by(kept, RunMode.MULTIRUN, overrides=overrides)
        assert made_by(hydras, RunMode.MULTIRUN, True, False, overrides=overrides) == made_by(
            kept, RunMode.MULTIRUN, True, False, overrides=overrides
        )  # to find hydra.mode
    assert len(loaded) == len({*loaded}) > 30  # each file once


@pytest.mark.parametrize(
    "overrides", [("k=", "lr=1"), ("nothing=1",), ("data=nothing",), ("+k=2",), ("k=1,2",), ("~nothing",), ("data@x=ring",)]
)
def test_what_hydra_refuses_is_refused_in_its_words(overrides):
    said = []
    for kind in (ConfigLoaderImpl, Composer):
        with pytest.raises((HydraException, OmegaConfBaseException), match=r"\w") as told:
            made_by(loader_of(kind, ROOT / "conf"), RunMode.RUN, overrides=overrides)
        said.append((told.type, str(told.value), str(told.value.__cause__)))
    assert said[0] == said[1]


def test_configs_from_elsewhere_are_composed_as_by_hydra(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own/one.yaml").write_text("# @package _global_\nk: 7\n")
    overrides = [f"hydra.searchpath=[file://{tmp_path}]", "+own=one", "seed=1"]
    hydras, kept = (loader_of(kind, ROOT / "conf") for kind in (ConfigLoaderImpl, Composer))
    a = made_by(hydras, RunMode.RUN, overrides=overrides)
    assert a == made_by(kept, RunMode.RUN, overrides=overrides)
    assert a["k"] == 7


def test_a_process_that_is_handed_what_was_made_reads_no_config(monkeypatch):
    first, second = (loader_of(composing.Composer, ROOT / "conf") for _ in range(2))
    a = made_by(first, RunMode.RUN, overrides=["data=mnist", "model=dcgan", "seed=0"])
    made = first.made_for("config", ["data=mnist", "model=dcgan", "seed=1", "threads=1"])
    assert len(made) == 1
    assert first.made_for("config", ["data=cifar10"]) == {}
    monkeypatch.setattr(composing, "HANDED", made)
    monkeypatch.setattr(second, "_load_single_config", lambda *given: pytest.fail("merged again"))
    b = made_by(second, RunMode.RUN, overrides=["data=mnist", "model=dcgan", "seed=0"])
    assert a == b


def test_each_composing_has_its_own_time():
    loader = loader_of(Composer, ROOT / "conf")
    setup_globals()
    for cfg in (loader.load_configuration("config", ["+note=${now:%H-%M-%S}"], RunMode.RUN) for _ in range(2)):
        assert not OmegaConf.get_cache(cfg).get("now")


def test_a_choice_that_is_missing_is_one_of_the_sweep(tmp_path):
    (tmp_path / "part").mkdir()
    (tmp_path / "part/a.yaml").write_text("x: 1\n")
    (tmp_path / "mine.yaml").write_text("defaults: [{part: '???'}, _self_]\nhydra: {mode: MULTIRUN}\n")
    found = [
        loader_of(kind, tmp_path).load_configuration("mine", ["part=a,b"], RunMode.MULTIRUN, True, False).hydra.mode
        for kind in (ConfigLoaderImpl, Composer)
    ]
    assert found == [RunMode.MULTIRUN] * 2


def test_what_cannot_be_pickled_is_composed_all_the_same(tmp_path):
    @dataclass
    class Own:
        x: int = 1

    (tmp_path / "mine.yaml").write_text("defaults: [own_of_a_function, _self_]\n")
    ConfigStore.instance().store("own_of_a_function", Own)
    cfg = loader_of(Composer, tmp_path).load_configuration("mine", ["x=3"], RunMode.RUN)
    assert cfg.x == 3


@pytest.mark.parametrize("primary", ["[a]", "3", ""])
def test_a_config_that_is_no_mapping_is_told_as_by_hydra(tmp_path, primary):
    (tmp_path / "mine.yaml").write_text(primary)
    said = []
    for kind in (ConfigLoaderImpl, Composer):
        try:
            said.append(loader_of(kind, tmp_path).load_configuration("mine", [], RunMode.RUN).keys())
        except Exception as error:
            said.append(f"{type(error)} {error} {error.__cause__}")
    assert said[0] == said[1]
