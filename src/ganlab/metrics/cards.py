"""Provenance: how a number was obtained, in a card beside it. Two numbers whose cards differ are not compared."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ganlab.errors import UserError

if TYPE_CHECKING:  # torchmetrics takes seconds, which who only reads cards need not pay
    from torch import Tensor
    from torchmetrics import Metric

Card = dict[str, Any]


def card(
    metric: Metric, settings: Mapping[str, Any], reference: str, sha256: str | None, n_real: int, n_fake: int, weights: str,
    kind: type[Metric] | None = None, **more: Any,
) -> Card:  # fmt: skip
    """What has to be the same for two values of a score to be comparable.

    `metric` and `version` of its code; its `settings`, those left to their defaults included; the `extractor` through which it
    looks, with the hash of its weights; the `reference` data, the split, and, of a data set, the hash of the n_real examples
    taken of it; how many samples; whether of the average of G (EMA) or of G itself; and what BatchNorm normalised with (of
    training: the running statistics). A score that does not look at real examples has none in its card. Of a metric that gives
    several scores the card is for one of them, of the class `kind`: it is the same as if that were computed alone.
    """
    extractor = getattr(metric, "extractor", None)
    looks = getattr(kind or metric, "least_real", 1) > 0
    kind = kind or type(metric)
    unseen = getattr(metric, "held_out_sha256", None)
    held_out = {} if unseen is None else {"held_out_sha256": unseen}
    return {
        "metric": f"{kind.__module__}.{kind.__qualname__}",
        "version": getattr(kind, "version", 1),
        "settings": _with_defaults(kind, settings),
        "extractor": None if extractor is None else extractor.card(),
        "reference": reference,
        "reference_sha256": sha256 if looks else None,
        "n_real": n_real if looks else 0,
        "n_fake": n_fake,
        **held_out,
        "weights": weights,
        "batch_norm": "running statistics",
        **more,
    }


def _with_defaults(metric: type, settings: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(metric).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    return {k: v for k, v in {**defaults, **settings}.items() if k not in ("_target_", "extractor", "source")}


def fingerprint(x: Tensor) -> str:
    """The first 12 hexadecimal digits of the sha256 of a tensor's bytes."""
    return hashlib.sha256(x.cpu().numpy().tobytes()).hexdigest()[:12]


def name_of(data: Mapping[str, Any], split: str | None) -> str:
    """What data a config means, wherever they lie: `MNIST train::50000`, `ring modes=8 radius=1.0 std=0.1`."""
    target = str(data["_target_"]).rpartition(".")[2]
    split = split or data.get("split")
    if split is not None:
        return f"{data.get('name', target)} {split}"
    own = [
        f"{key}={value}" for key, value in data.items() if key not in ("_target_", "root", "source", "shape", "flip", "name")
    ]
    return " ".join([target, *own])


PUBLISHED = 50_000  # samples of the FID of papers, through the standard Inception, against all training images
FEWEST = 10_000  # real images of a published FID: the test images of CIFAR-10


def short_of_published(cards: Mapping[str, Card]) -> str | None:
    """How far from the FID of papers that of these cards is, in a line; None where there is none, or nothing is missing."""
    found = [card for card in cards.values() if str(card.get("metric")).endswith(".FrechetDistance") and card.get("extractor")]
    if not found:
        return None
    eye = min(found, key=lambda card: not str(card["extractor"]["name"]).startswith(STANDARD))  # the nearest to it
    through, n, real = str(eye["extractor"]["name"]), int(eye["n_fake"]), int(eye.get("n_real") or 0)
    if through.startswith(STANDARD) and n >= PUBLISHED and real >= FEWEST:
        return None
    nearer = f" (ganlab evaluate RUN --metrics inception --n {PUBLISHED})" if real >= FEWEST else ""
    return (
        f"papers give FID through Inception of {PUBLISHED:,} samples against {FEWEST:,} images or more, this is through "
        f"{through} of {n:,} against {real:,}: for comparisons among runs like this one only{nearer}"
    )


STANDARD = "Inception v3 of"  # the weights that papers take: features.inception says so of no others
OF_A_RUN = ("seed", "z_seed", "commit")  # in which the runs of a comparison may differ; all other fields say how


def differing(a: Card, b: Card) -> list[str]:
    """`field: one, other` for each field, however deep, in which two cards say another how. The same examples by their hash are
    the same, whatever their split is called."""
    same = a.get("reference_sha256") is not None and a["reference_sha256"] == b.get("reference_sha256")
    skipped = (*OF_A_RUN, *(["reference"] if same else []))
    return _differing({k: v for k, v in a.items() if k not in skipped}, {k: v for k, v in b.items() if k not in skipped})


def _differing(a: Card, b: Card) -> list[str]:
    found = []
    for key in dict.fromkeys([*a, *b]):
        one, other = a.get(key), b.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            found += [f"{key}.{line}" for line in _differing(one, other)]
        elif one != other:
            found.append(f"{key}: {one}, {other}")
    return found


def refuse_unlike(score: str, cards: Mapping[str, Card]) -> None:
    """Raises UserError where values of a score, by the names of their runs, were not obtained alike."""
    (first, reference), *others = cards.items()
    for name, other in others:
        if found := differing(reference, other):
            raise UserError(f"{score} of {first} and of {name} are not comparable: {'; '.join(found)}")
