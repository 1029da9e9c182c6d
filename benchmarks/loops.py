"""The loops that the bench is measured against: as a tutorial has it, as one writes it who knows how, and as it is usually
written with Lightning. All have ganlab's networks, losses and data; each function returns CPU seconds of an iteration."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import softplus
from torch.utils.data import DataLoader, IterableDataset

from ganlab.data.images import Images
from ganlab.networks.weights import follower
from ganlab.run.build import game_of
from ganlab.run.config import build
from ganlab.settings import Settings
from ganlab.types import Source


def players(settings: Settings) -> tuple[nn.Module, nn.Module, nn.Module, Iterator[Tensor], int]:
    game, source = game_of(settings), build(settings.data, "data")
    return game.G.train(), game.D.train(), game.G_ema, minibatches(source, settings.batch_size), settings.prior["dim"]


def minibatches(source: Source, batch_size: int) -> Iterator[Tensor]:
    if isinstance(source, Images):
        while True:
            yield source.x[torch.randint(len(source.x), (batch_size,))].float() / 127.5 - 1
    generator = torch.Generator()
    while True:
        yield source.sample(batch_size, generator)[0]


def timed(step: Callable[[], Any], warm: int, n: int) -> float:
    for _ in range(warm):
        step()
    start = time.process_time()
    for _ in range(n):
        step()
    return (time.process_time() - start) / n


def tuned(settings: Settings, warm: int, n: int) -> float:
    """Fused Adam, gradients only of what is stepped, an average of G."""
    G, D, average, data, Z = players(settings)
    given = {"lr": settings.optim.G["lr"], "betas": settings.optim.G["betas"], "fused": True}
    opt_G, opt_D = torch.optim.Adam(G.parameters(), **given), torch.optim.Adam(D.parameters(), **given)
    weights_G, weights_D, follow = list(G.parameters()), list(D.parameters()), follower(average, G)
    y = torch.zeros(settings.batch_size, dtype=torch.long)

    def step() -> None:
        x = next(data)
        with torch.no_grad():
            fake = G(torch.randn(len(x), Z), y)
        (softplus(-D(x, y)).mean() + softplus(D(fake, y)).mean()).backward(inputs=weights_D)
        opt_D.step()
        opt_D.zero_grad()
        softplus(-D(G(torch.randn(len(x), Z), y), y)).mean().backward(inputs=weights_G)
        opt_G.step()
        opt_G.zero_grad()
        follow(0.01)

    return timed(step, warm, n)


def tutorial(settings: Settings, warm: int, n: int) -> float:
    """PyTorch's DCGAN tutorial: three backwards, labels, losses read at each step."""
    G, D, _, data, Z = players(settings)
    given = {"lr": settings.optim.G["lr"], "betas": settings.optim.G["betas"]}
    opt_G, opt_D = torch.optim.Adam(G.parameters(), **given), torch.optim.Adam(D.parameters(), **given)
    y, losses = torch.zeros(settings.batch_size, dtype=torch.long), []

    def step() -> None:
        x = next(data)
        D.zero_grad()
        label = torch.full((len(x),), 1.0)
        real = D(x, y)
        loss_real = bce(real, label)
        loss_real.backward()
        means = [real.sigmoid().mean().item()]
        fake = G(torch.randn(len(x), Z), y)
        label.fill_(0.0)
        out = D(fake.detach(), y)
        loss_fake = bce(out, label)
        loss_fake.backward()
        means.append(out.sigmoid().mean().item())
        opt_D.step()
        G.zero_grad()
        label.fill_(1.0)
        out = D(fake, y)
        loss_G = bce(out, label)
        loss_G.backward()
        means.append(out.sigmoid().mean().item())
        opt_G.step()
        losses.append((loss_G.item(), (loss_real + loss_fake).item(), *means))

    return timed(step, warm, n)


class Usual(pl.LightningModule):
    """Lightning's own example of a GAN: manual optimization, toggled optimizers, log_dict at each step."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.G, self.D, _, self.data, self.Z = players(settings)
        self.given = {"lr": settings.optim.G["lr"], "betas": settings.optim.G["betas"]}
        self.y = torch.zeros(settings.batch_size, dtype=torch.long)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.Adam(self.G.parameters(), **self.given), torch.optim.Adam(self.D.parameters(), **self.given)]

    def training_step(self, x: Tensor, batch_idx: int) -> None:
        opt_G, opt_D = self.optimizers()  # type: ignore[attr-defined]
        y = self.y
        self.toggle_optimizer(opt_G)
        loss_G = softplus(-self.D(self.G(torch.randn(len(x), self.Z), y), y)).mean()
        opt_G.zero_grad()
        self.manual_backward(loss_G)
        opt_G.step()
        self.untoggle_optimizer(opt_G)
        self.toggle_optimizer(opt_D)
        fake = self.G(torch.randn(len(x), self.Z), y).detach()
        loss_D = softplus(-self.D(x, y)).mean() + softplus(self.D(fake, y)).mean()
        opt_D.zero_grad()
        self.manual_backward(loss_D)
        opt_D.step()
        self.untoggle_optimizer(opt_D)
        self.log_dict({"loss_G": loss_G, "loss_D": loss_D})


class _Endless(IterableDataset[Tensor]):
    def __init__(self, data: Iterator[Tensor]) -> None:
        self.data = data

    def __iter__(self) -> Iterator[Tensor]:
        return self.data


class _Watch(pl.Callback):
    def __init__(self, warm: int) -> None:
        self.warm, self.start, self.seconds = warm, 0.0, 0.0

    def on_train_batch_end(self, *arguments: Any) -> None:
        batch = arguments[-1]
        if batch == self.warm - 1:
            self.start = time.process_time()
        self.seconds = time.process_time() - self.start


def lightning(settings: Settings, warm: int, n: int) -> float:
    """As usually written."""
    module, watch = Usual(settings), _Watch(warm)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            accelerator="cpu", devices=1, max_steps=-1, limit_train_batches=warm + n, max_epochs=1, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, callbacks=[watch],
        )  # fmt: skip
        trainer.fit(module, DataLoader(_Endless(module.data), batch_size=None))
    return watch.seconds / n
