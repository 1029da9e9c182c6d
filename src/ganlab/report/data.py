"""Runs by what they were trained on."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence

from ganlab.files.run import RunDirectory
from ganlab.report.read import Run


def called(titles: Sequence[str]) -> list[str]:
    """The first words of the titles of data sets where they tell them apart: ring, grid."""
    short = [title.split(" ")[0] for title in titles]
    return short if len({*short}) == len(titles) else [*titles]


def by_data(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs of each data set, in the order of their first ones. Where data lie, and which part of them was taken, makes no
    other data set: whether scores were held against the same examples is for their cards to say."""
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        data = run.config.get("data")
        known = RunDirectory(run.path).data.get("fingerprint")
        named = isinstance(data, dict) and ("name" in data or known)
        skipped = ("root", "split", "shape", "flip", "max_megapixels", *(("source",) if named else ()))
        own = {key: value for key, value in data.items() if key not in skipped} if isinstance(data, dict) else data
        if known and isinstance(own, dict) and "name" not in own:
            own |= {"fingerprint": known.split("+")[0]}
        groups[json.dumps(own, sort_keys=True, default=str)].append(run)
    return groups
