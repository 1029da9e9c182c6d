"""A run of train.py inside the test process: composed by real Hydra, trained by real Lightning."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from matplotlib.backends.backend_agg import FigureCanvasAgg
from omegaconf import OmegaConf

import ganlab.run.command_line  # registers the resolvers
import ganlab.run.experiment
from ganlab.files.run import RunDirectory
from ganlab.run.experiment import train
from ganlab.signals import SIGNALS

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"
DRAW = FigureCanvasAgg.draw
NO_COMPILER = not (shutil.which("g++") or os.environ.get("CXX"))

# One thread a test, and a process: two that wait for each other on a busy core cost five times as much
os.environ["OMP_NUM_THREADS"] = "1"
ganlab.run.experiment.ALL_THREADS = 1

Run = Callable[..., RunDirectory]


@pytest.fixture(scope="session", autouse=True)
def blank() -> Iterator[pytest.MonkeyPatch]:
    """Figures are put together and left blank: matplotlib's drawing is three quarters of a run of two iterations. `drawn` is
    for the tests of figures, one at least for each kind; the processes that tests start draw as well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FigureCanvasAgg, "draw", lambda canvas: canvas.get_renderer(), raising=True)
        yield patch


@pytest.fixture
def drawn(blank: pytest.MonkeyPatch) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FigureCanvasAgg, "draw", DRAW)
        yield


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def nobody_listens() -> Iterator[None]:
    """A command that a test calls within this process listens to signals from then on, as it should: not so the next test."""
    yield
    SIGNALS.restore()
    SIGNALS.received = 0.0


@pytest.fixture(autouse=True)
def no_port_of_an_earlier_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning leaves the port of a test's processes in the environment, and the next test's would ask for the same one."""
    for name in [*os.environ]:
        if name.startswith(("MASTER_", "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK")):
            monkeypatch.delenv(name)


def composed(*overrides: str, path: Path):
    """The config as train.py sees it, with the run directory at `path`."""
    assert ganlab.run.command_line
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=list(overrides), return_hydra_config=True)
        OmegaConf.set_struct(cfg, False)
        cfg.hydra.runtime.output_dir = str(path)
        cfg.hydra.job.num = 0
        HydraConfig.instance().set_config(cfg)
        del cfg.hydra
        OmegaConf.set_struct(cfg, True)
    return cfg


def pytest_collection_modifyitems(items):
    """Whole files go to one worker each: the longest ones begin, so that none of them is alone at the end."""
    items.sort(key=lambda item: item.path.parent.name not in ("sweep", "run"))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """run("k=2", "iterations=4", name="a") trains in tmp_path/a and returns its run directory."""
    return runs_in(tmp_path)


def runs_in(folder: Path) -> Run:
    def start(*overrides: str, name: str = "run") -> RunDirectory:
        path = folder / name
        train(composed("logger=csv", f"runs={folder}", *overrides, path=path))
        return RunDirectory(path)

    return start


def same_state(a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor]) -> bool:
    """Whether two state dicts have the same tensors, bit by bit, and any at all."""
    return bool(a) and a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


def points(n: int = 64, d: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file such as the standard one, with random weights that keep the scale of what passes through them."""
    fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fidelity, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(fidelity.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        net = fidelity.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    generator = torch.Generator().manual_seed(0)
    for p in net.parameters():
        if p.dim() > 1:
            p.normal_(0, (2 / p[0].numel()) ** 0.5, generator=generator)
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(net.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def clip_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a CLIP of two small layers, with random weights."""
    encoder = pytest.importorskip("torch_fidelity.feature_extractor_clip")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = encoder.CLIPVisual(24, 64, 2, 64, 32).state_dict()  # 64 x 64 in patches of 32, features of 24
    path = tmp_path_factory.mktemp("weights") / "clip.pt"
    torch.save({**state, "text_projection": torch.zeros(1, 24)}, path)
    return path


@pytest.fixture(scope="session")
def dinov2_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a DINOv2 of one head and two blocks, for images of 70 x 70, in the layout of the published ones, random."""
    kornia = pytest.importorskip("kornia.feature.dedode.transformer.dinov2")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = kornia.DinoVisionTransformer(
            img_size=70, patch_size=14, embed_dim=64, depth=2, num_heads=1, init_values=1.0, block_chunks=0
        )
        state = {name: value + 0.3 * torch.randn_like(value) for name, value in net.state_dict().items()}
    path = tmp_path_factory.mktemp("weights") / "dinov2.pth"
    torch.save(state, path)
    return path


def loader_of(kind, *folders):
    """A loader of Hydra's configs, of this class, of the first folder and those that come before it."""
    from hydra._internal.utils import create_config_search_path

    path = create_config_search_path(str(folders[0]))
    for folder in folders[1:]:
        path.prepend("command-line", f"file://{folder}")
    return kind(path)
