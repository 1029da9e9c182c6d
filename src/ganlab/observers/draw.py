"""Pictures of G_ema's samples while it trains."""

from __future__ import annotations

from pathlib import Path

from ganlab.figures.pictures import Picture
from ganlab.observers.observer import Observer, View
from ganlab.random import generator_of


class Draw(Observer):
    """Every n iterations, and before the first, one picture in `samples/`; z is the same every time."""

    def __init__(self, every: int, picture: Picture, folder: Path, seed: int) -> None:
        super().__init__(every)
        self.picture, self.folder, self.seed = picture, folder, seed

    def at_start(self, t: int) -> bool:
        return t == 0

    def observe(self, view: View) -> dict[str, float]:
        n, game = self.picture.n, view.game
        _, y = view.source.sample(n, generator_of(self.seed, "picture labels", device=view.device))
        z = game.prior.sample(n, generator_of(self.seed, "picture", device=view.device))
        path = self.folder / f"step-{view.t:09d}.png"
        self.picture.draw(game.generate(z, y), f"iteration {view.t:,}").save(path)
        view.show("samples", path)
        return {}
