"""Samples of the settings side by side, at an equal budget, small enough to be part of one file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ganlab.report.budget import Budget
from ganlab.report.groups import Setting
from ganlab.report.read import Notes, Run

SIDE = 320  # pixels
MOST, PER_SETTING = 60, 3  # pictures
BYTES = 5_000_000  # of all of them, as text


class Thumbnail(NamedTuple):
    setting: str
    seed: int
    run: str
    iteration: int | None  # None: the last of the run
    uri: str


class Gallery(NamedTuple):
    iteration: int | None  # of all pictures, if it is the same
    pictures: list[Thumbnail]
    without: int  # runs that are not shown


def gallery(settings: Sequence[Setting], notes: Notes, budget: Budget | None = None, sections: int = 1) -> Gallery:
    """Of up to three seeds per setting, the lowest ones; at the last iteration at which all of them were drawn, or the last
    of each up to the budget. The page has so many sections."""
    most = max(1, MOST // sections)
    per = max(1, min(PER_SETTING, most // max(1, len(settings))))
    frames = {run: _frames(run, budget) for setting in settings for run in setting.counted}
    drawn = {setting.name: sorted((r for r in setting.counted if frames[r]), key=lambda r: r.seed) for setting in settings}
    chosen = [(name, runs[i]) for i in range(per) for name, runs in drawn.items() if i < len(runs)][: max(most, len(settings))]
    common = set.intersection(*({*frames[run]} - {0} for _, run in chosen)) if chosen else set()
    at = max((t for t in common if t is not None), default=None)
    pictures: list[Thumbnail] = []
    size = 0
    for name, run in chosen:
        t = at if at is not None else max(frames[run], key=lambda t: -1 if t is None else t)
        uri = _embedded(frames[run][t])
        if uri is None:
            notes.add("the picture of its samples is damaged", run.name)
        elif (size := size + len(uri)) <= BYTES / sections:
            pictures.append(Thumbnail(name, run.seed, run.name, t, uri))
    if pictures and at is None and budget is None and len({picture.iteration for picture in pictures}) > 1:
        notes.add("Samples were not drawn at the same iterations: the gallery shows the last of each run.")
    return Gallery(at, pictures, sum(map(len, drawn.values())) - len(pictures))


def _frames(run: Run, budget: Budget | None) -> dict[int | None, Path]:
    """By iteration; None is the last one, where there is no other. With a budget only the last up to it."""
    found: dict[int | None, Path] = {}
    for path in (run.path / "samples").glob("step-*.png"):
        if (number := path.stem.removeprefix("step-")).isdecimal():
            found[int(number)] = path
    if budget is not None:
        within = [t for t in found if t and budget.of(run, t) <= budget.n]
        return {t: found[t] for t in sorted(within)[-1:]}
    last = run.path / "figures" / "samples.png"
    return found or ({None: last} if last.is_file() else {})


def _embedded(path: Path) -> str | None:
    """The picture as a data: address, brought to at most SIDE pixels; None if it is none."""
    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None
    if (times := SIDE // 2 // max(small.size)) > 1:  # a few pixels are shown as such
        small = small.resize((small.width * times, small.height * times), Image.Resampling.NEAREST)
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "WEBP", quality=82)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
