"""The DataModule: minibatches of any source, as a function of the iteration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytorch_lightning as pl
import torch

from ganlab.types import Batch, Source


class Minibatches(pl.LightningDataModule):
    """Hands out, for any iteration t, its k minibatches, made on the device. Has no state: each rank takes its own share of the
    same global minibatch."""

    def __init__(self, source: Source, k: int, batch_size: int, seed: int) -> None:
        super().__init__()
        self.source, self.k, self.batch_size, self.seed = source, k, batch_size, seed

    def train_dataloader(self) -> Stream:
        assert self.trainer is not None
        self.source = self.source.to(self.trainer.strategy.root_device)
        return Stream(self)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # what it hands out is made there


class Stream:
    """What a training step gets: how to come by the minibatches of iteration t. Without a length, so that Lightning sees one
    endless epoch."""

    def __init__(self, data: Minibatches) -> None:
        self.data = data

    def __iter__(self) -> Iterator[Callable[[int], Batch]]:
        data, trainer = self.data, self.data.trainer
        assert trainer is not None
        share = data.batch_size // trainer.world_size
        part = slice(trainer.global_rank * share, (trainer.global_rank + 1) * share)
        while True:
            yield lambda t: data.source.minibatches(t, data.k, data.batch_size, data.seed, part)
