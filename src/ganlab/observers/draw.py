"""Pictures of G_ema's samples while it trains."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl

from ganlab.figures.pictures import Picture
from ganlab.game.module import GAN
from ganlab.observers.observer import Clock, Observer, source_of
from ganlab.random import generator_of


class Draw(Observer):
    """Every n iterations, and before the first, one picture in `samples/`; z is the same every time."""

    def __init__(self, every: int, clock: Clock, picture: Picture, folder: Path, seed: int) -> None:
        super().__init__(every, clock)
        self.picture, self.folder, self.seed = picture, folder, seed

    def on_train_start(self, trainer: pl.Trainer, gan: GAN) -> None:  # type: ignore[override]
        self.look(trainer, gan)

    def observe(self, trainer: pl.Trainer, gan: GAN) -> None:
        n, t = self.picture.n, gan.iteration
        _, y = source_of(trainer).sample(n, generator_of(self.seed, "picture labels", device=gan.device))
        z = gan.prior.sample(n, generator_of(self.seed, "picture", device=gan.device))
        path = self.folder / f"step-{t:09d}.png"
        self.picture.draw(gan.generate(z, y), f"iteration {t:,}").save(path)
        for logger in trainer.loggers:
            if hasattr(logger, "log_picture"):
                logger.log_picture("samples", path, t)
