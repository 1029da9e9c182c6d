"""The DataModule: minibatches of any source, as a function of the iteration."""

from __future__ import annotations

from collections.abc import Iterator

import pytorch_lightning as pl
import torch

from ganlab.types import Batch, Source


class Minibatches(pl.LightningDataModule):
    """Streams the k minibatches of each iteration, made on the device. Has no state: a resumed run starts its stream at
    the iteration that its checkpoint holds, and each rank takes its own share of the same global minibatch."""

    def __init__(self, source: Source, k: int, batch_size: int, seed: int) -> None:
        super().__init__()
        self.source, self.k, self.batch_size, self.seed = source, k, batch_size, seed

    def train_dataloader(self) -> Stream:
        assert self.trainer is not None
        self.source = self.source.to(self.trainer.strategy.root_device)
        return Stream(self)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch  # it was made there


class Stream:
    """Without a length, so that Lightning sees one endless epoch."""

    def __init__(self, data: Minibatches) -> None:
        self.data = data

    def __iter__(self) -> Iterator[Batch]:
        data, trainer = self.data, self.data.trainer
        assert trainer is not None
        share = data.batch_size // trainer.world_size
        part = slice(trainer.global_rank * share, (trainer.global_rank + 1) * share)
        t = trainer.global_step
        while True:
            yield data.source.minibatches(t, data.k, data.batch_size, data.seed, part)
            t += 1
