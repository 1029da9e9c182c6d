"""`ganlab fetch data=NAME`: the data of a config on this machine and decoded, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator

from ganlab.commands.features import settings_with
from ganlab.data.images import Images
from ganlab.errors import UserError
from ganlab.run.config import build_as, takes
from ganlab.types import Source

SPLITS = ("train", "test")


def fetch(overrides: list[str]) -> Iterator[str]:
    """Downloads what train.py would with these overrides, and decodes it; a line for each split that there is. What was broken
    off is gone on with. Raises UserError where there is nothing to fetch, or it cannot be had."""
    settings, choice = settings_with(overrides)
    node = settings.data
    if not takes(node, "data", "split"):
        raise UserError(f"data={choice} is drawn from a law: there is nothing to fetch; try data=cifar10")
    for split in SPLITS:
        try:
            source = build_as(Source, {**node, "split": split}, "data")
        except UserError:
            if split == SPLITS[0] or node.get("source") is None:
                raise
            continue  # pictures of one's own need have no test
        kinds = f", of {source.classes} classes" if isinstance(source, Images) else ""
        yield f"{split:<6} {len(source):,} of shape {list(source.shape)}{kinds}"
