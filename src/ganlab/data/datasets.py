"""What data configs name as `_target_`: images from torchvision, and from anyone's folder, zip, tar or IDX files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import ImageColor

from ganlab.data.archives import list_files
from ganlab.data.cache import cached
from ganlab.data.decode import Allocate, Decoded, Viewing, decode, digest, fit_all
from ganlab.data.download import downloaded
from ganlab.data.idx import find_idx, is_idx, labels_beside, read_idx_pair
from ganlab.data.images import Images
from ganlab.data.layout import names_of
from ganlab.data.splits import choose
from ganlab.errors import Mistakes, UserError

IDX_CLASSES = {  # as torchvision names them, which takes a second to import
    "MNIST": ["0 - zero", "1 - one", "2 - two", "3 - three", "4 - four",
              "5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine"],
    "FashionMNIST": ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"],
}  # fmt: skip
_NAMES = (*IDX_CLASSES, "CIFAR10", "CIFAR100")


def images(
    source: str,
    shape: Sequence[int],
    split: str = "train",
    flip: bool = False,
    background: str = "white",
    max_megapixels: float = 64.0,
) -> Images:
    """A folder, .zip or .tar[.gz] of pictures, or IDX files (the folder of a training split, or a file of images).

    Pictures are made to fit shape (C, H, W) as in `decode.fit`, once, and kept as in `cache`. All of them are the split train,
    unless they lie in folders train/ and test/; `split` may name a part, as in `splits`. What is transparent is shown on the
    background, a colour that PIL knows, but for shape (4, H, W). Raises UserError.
    """
    size, how = _checked(shape), _how(background, max_megapixels)
    return choose(split, ("train", "test"), lambda name: _images(_from_source(source, size, name, [], how), flip))


def torchvision_images(
    name: str,
    root: str,
    source: str | None,
    shape: Sequence[int],
    split: str = "train",
    flip: bool = False,
    background: str = "white",
    max_megapixels: float = 64.0,
) -> Images:
    """MNIST, FashionMNIST, CIFAR10 or CIFAR100 from torchvision's files under `root`, downloaded if they are not there.

    With `source` the data is taken from there, as in `images`. `split` is train, test, or what `splits` makes of them. Raises
    UserError.
    """
    if name not in _NAMES:
        raise UserError(f"data.name={name} is not known: use one of {', '.join(_NAMES)}")
    size, how = _checked(shape), _how(background, max_megapixels)

    def load(part: str) -> Images:
        if source is not None:
            pictures = _from_source(source, size, part, IDX_CLASSES.get(name, []), how)
        elif name in IDX_CLASSES:
            pictures = _from_root_idx(name, _path(root, "data.root"), size, part)
        else:
            pictures = _from_root_cifar(_dataset(name), _path(root, "data.root"), size, part)
        return _images(pictures, flip)

    return choose(split, ("train", "test"), load)


def _dataset(name: str) -> Any:
    from torchvision import datasets

    return getattr(datasets, name)


def _from_source(source: str, shape: tuple[int, ...], split: str, classes: list[str], how: Viewing) -> Decoded:
    path = _path(source, "data.source")
    try:
        path.stat()
    except OSError as error:
        raise UserError(
            f"data.source={path} cannot be read ({error.strerror}): give a folder, zip or tar of pictures, or IDX files"
        ) from error
    if path.is_dir() and (pair := find_idx(path, split)):
        return _from_idx(*pair, shape, classes)
    if is_idx(path):
        if split == "test":
            raise UserError(f"data.split names test, but {path} is one file: use train, or a part of it like train:90%:")
        return _from_idx(path, labels_beside(path), shape, classes)
    files = list_files(path)[0] if path.is_dir() else [path]
    options = {"split": split, **how._asdict()}
    return cached(path, files, shape, options, lambda allocate: decode(path, shape, allocate, split, how))


def _from_root_idx(name: str, root: Path, shape: tuple[int, ...], split: str) -> Decoded:
    folder = root / name / "raw"
    if not find_idx(folder, split):
        dataset = _dataset(name)
        _download(dataset, root, wanted=f"{dataset.resources[0][0]} and its like in {folder}")
    pair = find_idx(folder, split)
    assert pair is not None  # or the download would have failed
    return _from_idx(*pair, shape, IDX_CLASSES[name])


def _from_root_cifar(dataset: Any, root: Path, shape: tuple[int, ...], split: str) -> Decoded:
    folder = root / dataset.base_folder
    members = dataset.train_list if split == "train" else dataset.test_list
    files = [folder / file for file, _ in members]
    if not all(file.is_file() for file in files):
        _download(dataset, root, wanted=f"{dataset.filename} in {root}")

    def build(allocate: Allocate) -> Decoded:
        try:
            data = dataset(root, train=split == "train")
        except (RuntimeError, OSError) as error:
            raise UserError(
                f"{folder} is not what torchvision expects of {dataset.__name__} ({_reason(error)}): remove it, and it "
                f"is made again from {dataset.filename}"
            ) from error
        y, classes = np.array(data.targets, np.int64), list(data.classes)
        return Decoded(fit_all(data.data, shape, allocate), y, classes, digest(data.data, y, classes))

    return cached(folder, files, shape, {}, build)


def _from_idx(images: Path, labels: Path, shape: tuple[int, ...], classes: list[str]) -> Decoded:
    """Labels beyond the given names, as EMNIST's in MNIST's place, are named by their numbers."""

    def build(allocate: Allocate) -> Decoded:
        x, y = (tensor.numpy() for tensor in read_idx_pair(images, labels))
        names = names_of(y, classes, f"{labels}")
        return Decoded(fit_all(x, shape, allocate), y, names, digest(x, y, names))

    if images.suffix != ".gz":
        x, y = (tensor.numpy() for tensor in read_idx_pair(images, labels))
        if shape == (1, *x.shape[1:]):  # a plain file is a memory map already: there is nothing to decode
            return Decoded(x[:, None], y, names_of(y, classes, f"{labels}"))
    return cached(images, (images, labels), shape, {"classes": classes}, build)


def _download(dataset: Any, root: Path, wanted: str) -> None:
    """torchvision's own files where it looks for them, so that it only has to unpack them."""
    if hasattr(dataset, "mirrors"):
        folder = root / dataset.__name__ / "raw"
        wants = [([f"{mirror}{file}" for mirror in dataset.mirrors], folder / file, md5) for file, md5 in dataset.resources]
    else:
        wants = [([dataset.url], root / dataset.filename, dataset.tgz_md5)]
    try:
        for urls, path, md5 in wants:
            downloaded(urls, path, md5)
        dataset(root, download=True)
    except (RuntimeError, OSError) as error:
        raise Mistakes(  # in two lines: reasons and places are too long for one
            [
                f"{dataset.__name__} is not under {root} and cannot be downloaded ({_reason(error)})",
                f"put {wanted}, or give data.source=PATH, its pictures or IDX files",
            ]
        ) from error


def _reason(error: Exception) -> str:
    return (f"{error}".strip().splitlines() or [type(error).__name__])[-1]


def _path(text: str, key: str) -> Path:
    if not text.strip():
        raise UserError(f"{key} is empty, as an unset variable leaves it: give a path")
    try:
        return Path(text).expanduser().resolve()
    except (RuntimeError, ValueError, OSError) as error:  # no home directory; a NUL; links in a circle
        raise UserError(f"{key} = {text!r} is no path here ({error}): give another one") from error


def _checked(shape: Sequence[int]) -> tuple[int, ...]:
    if len(shape) != 3 or shape[0] not in (1, 3, 4) or min(shape) < 1:
        raise UserError(
            f"shape={list(shape)} is not (C, H, W) with C = 1 (grey), 3 (RGB) or 4 (RGBA): set it to [3, 32, 32], say"
        )
    return tuple(shape)


def _how(background: str, max_megapixels: float) -> Viewing:
    try:
        ImageColor.getrgb(background)
    except ValueError as error:
        raise UserError(f"data.background = {background} is no colour: take white, black, or one as '#808080'") from error
    if not 0 < max_megapixels < float("inf"):
        raise UserError(f"data.max_megapixels = {max_megapixels} must be > 0 and finite")
    return Viewing(background, max_megapixels)


def _images(pictures: Decoded, flip: bool) -> Images:
    x, y = torch.from_numpy(pictures.x), torch.from_numpy(pictures.y)

    def fingerprint() -> str:
        return pictures.sha256 or digest(pictures.x, pictures.y, pictures.classes)

    return Images(x, y, pictures.classes, flip, (cache(fingerprint),))
