"""What data configs name as `_target_`: images from torchvision, and from anyone's folder, zip, tar or IDX files."""

from __future__ import annotations

from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganlab.data.cache import cached
from ganlab.data.decode import Allocate, Decoded, decode, fit_all, list_pictures
from ganlab.data.idx import find_idx, is_idx, labels_beside, read_idx_pair
from ganlab.data.images import Images
from ganlab.data.splits import choose
from ganlab.errors import UserError

_NAMES = ("MNIST", "FashionMNIST", "CIFAR10", "CIFAR100")


def images(source: str, shape: Sequence[int], split: str = "train", flip: bool = False) -> Images:
    """A folder, .zip or .tar[.gz] of pictures, or IDX files (the folder of a training split, or a file of images).

    Pictures are made to fit shape (C, H, W) as in `decode.fit`, once, and kept as in `cache`. All of them are the split train,
    of which `split` may name a part, as in `splits`. Raises UserError.
    """
    size = _checked(shape)
    return choose(split, ("train",), lambda name: _images(_from_source(source, size, name, classes=[]), flip))


def torchvision_images(
    name: str, root: str, source: str | None, shape: Sequence[int], split: str = "train", flip: bool = False
) -> Images:
    """MNIST, FashionMNIST, CIFAR10 or CIFAR100 from torchvision's files under `root`, downloaded if they are not there.

    With `source` the data is taken from there, as in `images`. `split` is train, test, or what `splits` makes of them;
    pictures are all train. Raises UserError.
    """
    if name not in _NAMES:
        raise UserError(f"data.name={name} is not known: use one of {', '.join(_NAMES)}")
    from torchvision import datasets  # seconds, which the other data sets need not pay

    dataset, size = getattr(datasets, name), _checked(shape)
    idx = issubclass(dataset, datasets.MNIST)

    def load(part: str) -> Images:
        if source is not None:
            pictures = _from_source(source, size, part, dataset.classes if idx else [])
        elif idx:
            pictures = _from_root_idx(dataset, _path(root), size, part)
        else:
            pictures = _from_root_cifar(dataset, _path(root), size, part)
        return _images(pictures, flip)

    return choose(split, ("train", "test"), load)


def _from_source(source: str, shape: tuple[int, ...], split: str, classes: list[str]) -> Decoded:
    path = _path(source)
    try:
        path.stat()
    except OSError as error:
        raise UserError(
            f"data.source={path} cannot be read ({error.strerror}): give a folder, zip or tar of pictures, or IDX files"
        ) from error
    if path.is_dir() and (pair := find_idx(path, split)):
        return _from_idx(*pair, shape, classes)
    if split == "test":
        raise UserError(f"data.split names test, but {path} has no such split: use train, or a part of it like train:90%:")
    if is_idx(path):
        return _from_idx(path, labels_beside(path), shape, classes)
    files = list_pictures(path) if path.is_dir() else [path]
    return cached(path, files, shape, {}, lambda allocate: decode(path, shape, allocate))


def _from_root_idx(dataset: Any, root: Path, shape: tuple[int, ...], split: str) -> Decoded:
    folder = root / dataset.__name__ / "raw"
    if not find_idx(folder, split):
        files = ", ".join(file for file, _ in dataset.resources)
        _download(dataset, root, wanted=f"{files} in {folder}")
    pair = find_idx(folder, split)
    assert pair is not None  # or the download would have failed
    return _from_idx(*pair, shape, dataset.classes)


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
        return Decoded(fit_all(data.data, shape, allocate), np.array(data.targets, np.int64), list(data.classes))

    return cached(folder, files, shape, {}, build)


def _from_idx(images: Path, labels: Path, shape: tuple[int, ...], classes: list[str]) -> Decoded:
    """Labels beyond the given names, as EMNIST's in MNIST's place, are named by their numbers."""

    def names(y: np.ndarray) -> list[str]:
        return classes if y.max() < len(classes) else [f"{i}" for i in range(y.max() + 1)]

    def build(allocate: Allocate) -> Decoded:
        x, y = (tensor.numpy() for tensor in read_idx_pair(images, labels))
        return Decoded(fit_all(x, shape, allocate), y, names(y))

    if images.suffix != ".gz":
        x, y = (tensor.numpy() for tensor in read_idx_pair(images, labels))
        if shape == (1, *x.shape[1:]):  # a plain file is a memory map already: there is nothing to decode
            return Decoded(x[:, None], y, names(y))
    return cached(images, (images, labels), shape, {"classes": classes}, build)


def _download(dataset: Any, root: Path, wanted: str) -> None:
    try:
        dataset(root, download=True)
    except (RuntimeError, OSError, HTTPException) as error:  # URLError is an OSError
        raise UserError(
            f"{dataset.__name__} is not under {root} and cannot be downloaded ({_reason(error)}): put {wanted}, or "
            "give data.source=PATH, a folder, zip or tar of its pictures or its IDX files"
        ) from error


def _reason(error: Exception) -> str:
    return (f"{error}".strip().splitlines() or [type(error).__name__])[-1]


def _path(text: str) -> Path:
    return Path(text).expanduser().resolve()


def _checked(shape: Sequence[int]) -> tuple[int, ...]:
    if len(shape) != 3 or shape[0] not in (1, 3) or min(shape) < 1:
        raise UserError(f"shape={list(shape)} is not (C, H, W) with C = 1 (grey) or 3 (RGB): set it to [3, 32, 32], say")
    return tuple(shape)


def _images(pictures: Decoded, flip: bool) -> Images:
    return Images(torch.from_numpy(pictures.x), torch.from_numpy(pictures.y), pictures.classes, flip)
