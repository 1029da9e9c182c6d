"""What image runs are scored through, without a second command: a classifier of their data, trained once and kept."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from rich.console import Console
from torch import Tensor

from ganlab.data.images import Images
from ganlab.errors import UserError
from ganlab.features.classifier import FORMAT, load
from ganlab.features.training import save, train_classifier
from ganlab.files.home import cache_home
from ganlab.run.config import build, build_as
from ganlab.settings import Metrics, Node, Settings
from ganlab.types import Source

log = logging.getLogger(__name__)

EPOCHS = (3, 8)  # of a classifier of grey glyphs, and of colour photographs
MAKE = "`ganlab features data=images data.source=PATH` makes one of folders by class, features=FILE names another"
USUALLY = {"root": "data", "source": None}  # where the files of a data set are
USUAL = Path("features")  # where `ganlab features` puts what it makes, and where conf/data looks
SHOWN = "give `metrics=classifier` to be scored all the same, `metrics=images` for pictures only"


def with_classifier(settings: Settings, make: bool = True) -> Settings:
    """The settings with the file of the classifier that `metrics.passes` asks for, which is trained and kept where there is
    none yet; without scores where the run takes fewer passes over the data than that, or the data cannot be classified. A
    file that the user has named, outside of features/, has to be there. Without `make` nothing is trained, what would be is
    not scored, and nothing is said. Raises UserError."""
    metrics, passes = settings.metrics, settings.metrics.passes
    if (passes is None and not metrics.where_classified) or not metrics.scores:
        return settings
    source = build_as(Source, settings.data, "data")
    if not isinstance(source, Images) and passes is None:
        return settings
    if not isinstance(source, Images):
        raise UserError("metrics=scored is of images of a data set, and this data has none: try metrics=points")
    if metrics.n_real is None and metrics.split is None and len(source) < metrics.n:  # all that there are
        metrics = metrics.model_copy(update={"n_real": len(source)})
        settings = settings.model_copy(update={"metrics": metrics})
    if passes is None:
        return _with_what_is_found(settings, source, say=make)
    images = settings.iterations * settings.k * settings.batch_size
    if images < passes * len(source):
        if make:
            _say(f"not scored: {images:,} images are fewer than {passes:g} passes over the data; {SHOWN}")
        return _unscored(settings)
    if settings.features is not None and Path(settings.features).parent != USUAL:
        return _also_inception(settings)
    path = _known(settings, source) or _place(settings, source)
    if not path.is_file():
        if not make:
            return _unscored(settings)
        try:
            _make(settings, source, path)
        except UserError as error:
            log.warning("not scored: %s", error)
            return _unscored(settings)
    return _also_inception(_looking_through(settings, path))


def classifier_of(settings: Settings, source: Images, name: str, epochs: int | None, seed: int) -> dict[str, Any]:
    """What `features.training.save` writes, trained where there is room for it; its accuracy is measured on the split test
    where the data has one that is not trained on. Raises UserError."""
    held_out = _held_out(settings.data, source)
    if torch.cuda.is_available() and settings.trainer.get("accelerator") != "cpu":
        source = source.to(torch.device("cuda"))  # or not, if it is too large
        held_out = held_out and (held_out[0].to(source.x.device), held_out[1].to(source.x.device))
    epochs = epochs or EPOCHS[source.shape[0] > 1]
    return train_classifier(source.x, source.y, source.names, held_out, seed, epochs, name, source.flip, progress=True)


def images_of(node: Node) -> Images:
    """Raises UserError where the data are none that can be classified."""
    source = build_as(Source, node, "data")
    if not isinstance(source, Images):
        raise UserError(f"a classifier needs images with labels but data is {node['_target_']}: try data=mnist")
    return source


def _with_what_is_found(settings: Settings, source: Images, say: bool) -> Settings:
    """With the scores of `metrics.where_classified` if the classifier `features` is here and of this shape, and on a GPU
    those of `where_found`; says which. Raises UserError where a file that the user has named is missing or of another shape."""
    metrics, named, through = settings.metrics, settings.features, []
    path = Path(named).expanduser() if named and Path(named).parent != USUAL else _known(settings, source)
    if path is not None:
        classifier = load(str(path))
        classifier.check(source.shape)
        scores = {**metrics.scores, **metrics.where_classified}
        settings = settings.model_copy(update={"metrics": metrics.model_copy(update={"scores": scores})})
        through.append(f"{path}, a {classifier.card()['name']}")
    found = _also_inception(settings)
    if found is not settings and found.metrics.scores.keys() > settings.metrics.scores.keys():
        through.append("Inception")
    if say and through:
        _say(f"FID is through {' and through '.join(through)}")
    elif say:
        own = Path(named or "images").stem  # of a named data set
        where = {key: settings.data.get(key, usual) for key, usual in USUALLY.items() if "name" in settings.data}
        place = "".join(f" data.{key}={shlex.quote(str(at))}" for key, at in where.items() if at != USUALLY[key])
        make = MAKE if own == "images" else f"`ganlab features data={own}{place}` makes one, features=FILE names another"
        _say(f"no FID: no classifier of this shape is at {named or USUAL}, and no Inception with a GPU is found; {make}")
    return found


def _make(settings: Settings, source: Images, path: Path) -> None:
    """Of several processes that want it at once, one trains it and the others wait."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path.parent} cannot be made ({error.strerror}): set XDG_CACHE_HOME to another folder") from error
    with FileLock(path.with_suffix(".lock")):
        if path.is_file():
            return
        _say(f"training the classifier that samples are scored through, once: {path}")
        file = classifier_of(settings, source, path.stem, None, 0)
        save(file, path)
        _say(f"its accuracy is {file['accuracy']:.2%} on {file['held_out']}")


def _say(sentence: str) -> None:
    Console(stderr=True).print(sentence, highlight=False, soft_wrap=True)


def _known(settings: Settings, source: Images) -> Path | None:
    """A file of `ganlab features` for these data, if it is of their shape."""
    path = Path(settings.features).expanduser() if settings.features else None
    return path if path and path.is_file() and load(str(path)).shape == source.shape else None


def _place(settings: Settings, source: Images) -> Path:
    """By the content of the data, the part of it, and its shape: never the classifier of others under the same name."""
    home, name = cache_home(), Path(settings.features or "images").stem
    part = [str(settings.data.get(key)) for key in ("split", "flip")]
    key = "-".join([f"v{FORMAT}", *map(str, source.shape), str(source.fingerprint), str(len(source)), *part])
    safe = "".join(letter if letter.isalnum() or letter in "-_+" else "_" for letter in key)
    return (home / "features" if home else USUAL) / safe / f"{name}.pt"


def _looking_through(settings: Settings, path: Path) -> Settings:
    """`features`, and what refers to it in metrics, are this file."""
    metrics = settings.metrics

    def named(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        mine = "path" in node and node["path"] == settings.features
        return {key: str(path) if mine and key == "path" else named(one) for key, one in node.items()}

    update = {"features": named(metrics.features), "scores": named(metrics.scores)}
    return settings.model_copy(update={"features": str(path), "metrics": metrics.model_copy(update=update)})


def _also_inception(settings: Settings) -> Settings:
    """With the scores of `metrics.where_found` whose extractor is here, on a GPU: a CPU takes a second for each image."""
    metrics = settings.metrics
    if not metrics.where_found or settings.trainer.get("accelerator") == "cpu" or not torch.cuda.is_available():
        return settings
    found = {}
    for name, node in metrics.where_found.items():
        try:
            build(node["extractor"], f"metrics.where_found.{name}.extractor")
        except UserError as error:
            log.info("%s is not scored: %s", name, error)
        else:
            found[name] = node
    return settings.model_copy(update={"metrics": metrics.model_copy(update={"scores": {**metrics.scores, **found}})})


def _unscored(settings: Settings) -> Settings:
    metrics: Metrics = settings.metrics.model_copy(update={"scores": {}})
    return settings.model_copy(update={"metrics": metrics})


def _held_out(node: Node, source: Images) -> tuple[Tensor, Tensor] | None:
    """The split test, where there is one that the source does not hold already."""
    if "split" not in node or "test" in node["split"]:
        return None
    try:
        test = images_of({**node, "split": "test"})
    except UserError:  # pictures have no splits
        return None
    if test.x.shape == source.x.shape and bool((test.x == source.x).all()):  # one file of images is taken for either
        return None
    return test.x, test.y
