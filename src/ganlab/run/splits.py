"""Other parts of a run's data than those that it is trained on."""

from __future__ import annotations

from torch import Tensor

from ganlab.data.splits import overlap
from ganlab.errors import UserError
from ganlab.random import generator_of
from ganlab.run.config import build_as, takes
from ganlab.settings import Metrics, Node
from ganlab.types import Source


def split_of(data: Node, split: str, key: str) -> Source:
    """Another part of the same data; raises UserError, under the key that asked for it."""
    if not takes(data, "data", "split"):
        otherwise = "take other metrics, or " if key.startswith("metrics.") else ""
        raise UserError(f"{key} = {split} but this data has no splits: {otherwise}set it to null")
    try:
        source: Source = build_as(Source, {**data, "split": split}, "data")
    except UserError as error:
        raise UserError(f"{key} = {split}: {error}") from error
    return source


def held_out_of(data: Node, split: str | None, key: str = "health.split") -> Source | None:
    """What D never sees, to watch it by; `auto` is the split test of data that have one and are not trained on it. Raises
    UserError where it would see some of it."""
    if split is None or (split == "auto" and "split" not in data):
        return None
    known = ("train", "test")
    wanted = "test" if split == "auto" else split
    if "split" in data and overlap(data["split"], wanted, known):
        if split == "auto":
            return None
        raise UserError(
            f"{key} = {split} and data.split = {data['split']} have images in common: D would be watched on what it sees"
        )
    try:
        return split_of(data, wanted, key)
    except UserError:
        if split == "auto":
            return None
        raise


def unseen_by(metrics: Metrics, data: Node, source: Source, key: str) -> Tensor:
    """As many examples as samples, or as there are, that G is not trained on; of a law, fresh ones."""
    if not hasattr(source, "__len__"):
        return source.sample(metrics.n, generator_of(0, "held out"))[0]
    unseen = held_out_of(data, metrics.held_out, "metrics.held_out")
    if unseen is None:
        raise UserError(f"{key} needs images that G is not trained on, and there is no split test: give data.split=train::90% "
                        "metrics.held_out=train:90%:")  # fmt: skip
    return unseen.reference(min(metrics.n, len(unseen)))[0]  # type: ignore[arg-type]
