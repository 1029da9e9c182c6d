"""What a run was trained on, wherever it lies today: a fingerprint of the content is the identity of data, a path is not."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganlab.errors import UserError
from ganlab.files.run import PLACE, RunDirectory, place_of
from ganlab.run.config import build_as
from ganlab.settings import Node, Settings
from ganlab.types import Source

log = logging.getLogger(__name__)


def about_data(node: Node, source: Source) -> dict[str, Any]:
    """What `data.json` holds. A law has no fingerprint: its numbers are in the config."""
    return {"fingerprint": getattr(source, "fingerprint", None), "place": place_of(node)}


def fingerprint_of(node: Node) -> str | None:
    """None where the data cannot be opened, which is told when they are."""
    try:
        return getattr(build_as(Source, node, "data"), "fingerprint", None)
    except UserError:
        return None


def refuse_other_data(run: RunDirectory, about: dict[str, Any], what: str) -> None:
    """Raises UserError where these are not the data of the run: another fingerprint; of data that have none, another path."""
    before, now = run.data.get("fingerprint"), about["fingerprint"]
    where = " ".join(about["place"].values())
    if before is not None and now is not None:
        if before != now:
            raise UserError(f"{what} was trained on other data than {where} holds now ({before} -> {now}): restore them")
        return
    lay = run.data.get("place", place_of(run.config.get("data")))
    if lay == about["place"]:
        return
    if now is None:
        raise UserError(
            f"{what} was trained on {' '.join(lay.values())}, and not on {where}: nobody knows whether it is the same"
        )
    log.warning(
        "%s is from before data had fingerprints: %s is taken to be what lay at %s", what, where, " ".join(lay.values())
    )


def data_to_go_on_with(settings: Settings, source: Source, checkpoint: Path | None) -> dict[str, Any]:
    """What `data.json` is to hold; raises UserError where the run of the checkpoint was trained on other data."""
    about = about_data(settings.data, source)
    if checkpoint is not None:
        refuse_other_data(RunDirectory(checkpoint.parent.parent), about, f"resume = {settings.resume}")
    return about


def refuse_elsewhere(run: RunDirectory, node: Node) -> None:
    """`refuse_other_data` for data that are opened only if they lie elsewhere than those of the run did."""
    place = place_of(node)
    if place != run.data.get("place") and place != place_of(run.config.get("data")):
        refuse_other_data(run, {"fingerprint": fingerprint_of(node), "place": place}, str(run.path))


def located(run: RunDirectory, overrides: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """The config of a run with its data where they lie today: where an override (data.source=PATH, data.root=PATH) says; or, if
    there is nothing at their path from here, where that was when the run was trained. And the other overrides."""
    config, rest = run.config, list[str]()
    data = dict(config["data"])
    given = {}
    for override in overrides:
        key, _, value = override.partition("=")
        if key.removeprefix("data.") in PLACE and key.startswith("data."):
            given[key.removeprefix("data.")] = value
        else:
            rest.append(override)
    if unknown := [key for key in given if key not in data]:
        raise UserError(f"data.{unknown[0]} is no key of this run's data: leave it out")
    was = run.data.get("place", {})
    for key in PLACE:
        if key in given:
            data[key] = given[key]
        elif isinstance(data.get(key), str) and not Path(data[key]).expanduser().exists() and Path(was.get(key, "")).exists():
            data[key] = was.get(key, data[key])
    return {**config, "data": data}, rest
