"""Pictures of G_ema's samples while it trains."""

from __future__ import annotations

from pathlib import Path

from ganlab.figures.canvas import png
from ganlab.figures.caption import captioned_by
from ganlab.figures.pictures import Picture
from ganlab.observers.asking import ask
from ganlab.observers.observer import Observer, View
from ganlab.random import generator_of


class Draw(Observer):
    """Every n iterations, and before the first, one picture in `samples/`; z is the same every time. `classes` are those that G
    is told of, 1 for none; what a code in z asks for counts as well."""

    def __init__(self, every: int, picture: Picture, folder: Path, seed: int, classes: int = 1) -> None:
        super().__init__(every)
        self.picture, self.folder, self.seed, self.classes = picture, folder, seed, classes

    def at_start(self, t: int) -> bool:
        return t == 0

    def observe(self, view: View) -> dict[str, float]:
        n, game = self.picture.n, view.game
        _, y = view.source.sample(n, generator_of(self.seed, "picture labels", device=view.device))
        z = game.prior.sample(n, generator_of(self.seed, "picture", device=view.device))
        path, caption = self.folder / f"step-{view.t:09d}.png", captioned_by(view.t, game.average.on)
        asked = ask(self.picture, game.prior, self.classes, z, y)
        x = game.generate(asked.z, asked.y)
        png(self.picture.draw(x, caption, **asked.shown), path)
        view.show("samples", path)
        return {}
