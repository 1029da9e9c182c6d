"""Device discipline, proved without a GPU: an iteration on tensors that have a device and no values. There a tensor of another
device raises FakeTensorDeviceMismatchError, and whatever asks for a value on the host, as `.item()` or a branch, raises
DataDependentOutputException. Generators are stood in for (there are none of `meta`), and the optimizers, which a fused kernel
would refuse; Lightning stays outside."""

import types
from contextlib import ExitStack, nullcontext
from functools import lru_cache
from unittest.mock import patch

import pytest
import torch
from conftest import ROOT
from hydra._internal.utils import create_config_search_path
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import OmegaConf
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorDeviceMismatchError,
    FakeTensorMode,
)

import ganlab.game.module
import ganlab.run.build
import ganlab.run.config
import ganlab.run.nets
from ganlab.game.terms import Term
from ganlab.run.build import game_of, settings_of
from ganlab.run.composing import Composer
from ganlab.run.config import build
from ganlab.types import Batch

SMALL = ("logger=csv", "metrics=none", "theory=none", "batch_size=4", "optim=sgd", "optim.lr=0.01")
IMAGES = ("model=dcgan", "shape=[1,32,32]", "model.G.width=2", "model.D.width=2")


def choices(*groups):
    return [f"{group}={file.stem}" for group in groups for file in sorted((ROOT / "conf" / group).glob("*.yaml"))]


NARROW = ("model.G.width=4", "model.D.width=4")
MORE = {  # what a choice needs beside it
    "model=dcgan": IMAGES, "model=pacgan": ("model.pack=2", "batch_size=4"), "model=dirac": ("data=dirac",),
    "augment=diffaugment": IMAGES, "augment=bgc": IMAGES, "augment=ada": IMAGES,
    "penalty=spectral_norm": IMAGES, "penalty=consistency_balanced": IMAGES, "penalty=consistency": IMAGES,
    **{f"model={name}": (*IMAGES, *NARROW) for name in ("sngan", "wgan_gp", "sagan", "biggan")},
    "model=stylegan2": (*IMAGES, *NARROW, "model.G.w_dim=4", "model.G.mixing=0.5", "model.D.group=4"),
    "model=r3gan": (*IMAGES, *NARROW, *(f"model.{net}.{key}" for net in "GD" for key in ("blocks=1", "group=4"))),
}  # fmt: skip
STATELESS = ("loss", "model", "objective", "adjust", "condition", "prior", "average")  # one iteration says all of them
ALIKE = {  # as another one to the device
    "loss=f_hellinger", "loss=f_jensen_shannon", "loss=f_pearson", "loss=f_reverse_kl", "loss=wasserstein_toy", "loss=minimax",
    "penalty=gradient_penalty_one_sided", "penalty=gradient_penalty_zero", "penalty=none", "penalty=consistency", "penalty=r2",
    "penalty=spectral_norm_g", "augment=instance_noise", "augment=none", "adjust=none", "condition=none", "condition=ac_gan",
    "model=biggan", "model=sagan", "model=wgan_gp",
    "condition=infogan", "updates=alternating", "objective=adversarial", "prior=normal", "average=half_life",
}  # fmt: skip
EXCEPTIONS: dict[str, str] = {}  # choices by name, and why they may ask the device: none today


CHOICES = choices("loss", "penalty", "model", "objective", "adjust", "condition", "updates", "augment", "prior", "average")


class Numbers:
    """Random numbers of no value, where they are asked for."""

    def take(self, request):
        return request.drawn(None)

    def prepare(self, *given):
        pass

    def finish(self):
        pass


def _there(node, key, **given):
    """As `build`: whatever has weights or state is made where it will be used, and what only the host reads is not."""
    with torch.device("meta" if key.split(".")[0] in ("model", "objective") else "cpu"):
        return build(node, key, **given)


@lru_cache
def loader():
    setup_globals()
    return Composer(create_config_search_path(str(ROOT / "conf")))


def iteration(*overrides, plant=None, n=2):
    """Iterations of Algorithm 1; the second of which has the state of the first."""
    given = {line.split("=")[0] for line in overrides}
    lines = [line for line in SMALL if line.split("=")[0] not in given]
    cfg = loader().load_configuration("config", [*lines, *overrides], RunMode.RUN)
    HydraConfig.instance().set_config(cfg)
    settings = settings_of(OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"]), list(overrides))
    with ExitStack() as stack:
        for room in (ganlab.run.build, ganlab.run.config, ganlab.run.nets):
            stack.enter_context(patch.object(room, "build", _there))
        game = game_of(settings).to("meta")
    if plant is not None:
        plant(game)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device("meta"):
        x = torch.empty(settings.k, settings.batch_size, *settings.shape)
        batch = Batch(x, torch.zeros(settings.k, settings.batch_size, dtype=torch.long))
        with patch.object(ganlab.game.module, "Draws", lambda device: Numbers()), patch.object(
            ganlab.game.module, "seed_foreign_layers"
        ), patch.object(torch, "autocast", lambda *given, **more: nullcontext()), patch.object(
            torch, "is_autocast_enabled", lambda kind: False
        ):  # fmt: skip
            game._trainer = types.SimpleNamespace(world_size=1, global_rank=0)
            game.noise = lambda: torch.empty(settings.batch_size, game.prior.dim)
            game.begin(torch.autograd.backward, ())
            for t in range(n):
                game.now.looked_at = True
                game.prepare(t)
                game.body(batch)
                game.now.t += 1
    return game


@pytest.mark.parametrize(
    "choice",
    [pytest.param(one, marks=[pytest.mark.long] * (one in ALIKE)) for one in CHOICES if one not in EXCEPTIONS],
)
def test_an_iteration_neither_leaves_the_device_nor_asks_for_a_value(choice):
    group = choice.partition("=")[0]
    n = 1 if group in STATELESS else 2
    game = iteration(*[line for line in MORE.get(choice, ()) if line.partition("=")[0] != group], choice, n=n)
    assert {p.device.type for net in (game.G, game.D, game.G_ema) for p in net.parameters()} <= {"meta"}
    assert game.now.t == n


def test_the_exceptions_are_choices():
    assert {*EXCEPTIONS, *ALIKE, *MORE} <= {*CHOICES}


class Asks(Term):
    """What a careless hand would write."""

    def forward(self, seen):
        return seen.on_x.mean() if seen.on_fake.mean().item() > 0 else seen.on_fake.mean()


class Branches(Term):
    def forward(self, seen):
        return seen.on_x.mean() if (seen.on_x > 0).all() else seen.on_fake.mean()


class Elsewhere(Term):
    def forward(self, seen):
        return (seen.on_x * torch.ones(len(seen.on_x), device="cpu")).mean()


class Chooses(Term):
    def forward(self, seen):
        return seen.on_x[seen.on_x > 0].sum()


@pytest.mark.parametrize(
    ("term", "error"),
    [
        (Asks, DataDependentOutputException),
        (Branches, DataDependentOutputException),
        (Elsewhere, FakeTensorDeviceMismatchError),
        (Chooses, DynamicOutputShapeException),
    ],
)
def test_what_asks_or_leaves_is_found(term, error):
    """That the test above can fail."""
    with pytest.raises(error):
        iteration(plant=lambda game: game.players.terms.update(planted=term()), n=1)
