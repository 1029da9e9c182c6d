"""Which pictures are of a split, and of which class: by their folders, or by StyleGAN's dataset.json."""

from __future__ import annotations

import posixpath
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from ganlab.data.archives import Holding
from ganlab.errors import UserError
from ganlab.files.saved import json_of

TESTS = ("test", "val", "valid", "validation")  # folders beside train/; the first of these that there is, is the split test
SPARE = 8  # classes without an example that are no sign of a label which is none


class Arranged(NamedTuple):
    names: list[str]  # of the pictures of the split, in their order
    y: np.ndarray  # [N] int64
    classes: list[str]


def arranged(source: Path, held: Holding, split: str) -> Arranged:
    """A picture's class is the folder that holds it, relative to the deepest folder that holds them all; those directly in that
    one are of class "images". Folders train/ and test/ (or val/), with nothing beside them, are splits of the same classes;
    pictures of other splits are left out. Labels of a dataset.json come before folders. Raises UserError."""
    names = sorted(held.names)
    if held.labels:
        _refuse_test(source, split)
        return _by_labels(source, held, names)
    folders = {name: PurePosixPath(posixpath.dirname(name)) for name in names}
    folders = _below(folders)
    kinds = {folder.parts[0].lower() if folder.parts else "" for folder in folders.values()}
    if "train" in kinds and len(kinds) > 1 and kinds <= {"train", *TESTS}:
        wanted = {"train": "train", "test": next(kind for kind in TESTS if kind in kinds)}
        part = {name: folder.parts[0].lower() for name, folder in folders.items()}
        held.left_out["of another split"] += sum(kind not in wanted.values() for kind in part.values())
        folders = _below({n: PurePosixPath(*f.parts[1:]) for n, f in folders.items() if part[n] in wanted.values()})
        names = [name for name in names if part[name] == wanted[split]]
    else:
        _refuse_test(source, split)
    classes = sorted({folder.as_posix() for folder in folders.values()})
    number = {name: i for i, name in enumerate(classes)}
    y = np.array([number[folders[name].as_posix()] for name in names], np.int64)
    return Arranged(names, y, ["images" if name == "." else name for name in classes])


def _below(folders: dict[str, PurePosixPath]) -> dict[str, PurePosixPath]:
    top = posixpath.commonpath(["" if f == PurePosixPath() else f.as_posix() for f in folders.values()])
    return {name: folder.relative_to(top) for name, folder in folders.items()}


def _refuse_test(source: Path, split: str) -> None:
    if split == "test":
        raise UserError(f"data.split names test, but {source} has no such split: use train, or a part of it like train:90%:")


def _by_labels(source: Path, held: Holding, names: list[str]) -> Arranged:
    place = min(held.labels, key=lambda name: (name.count("/"), name))
    where, base = f"{source}: {place}", posixpath.dirname(place)
    try:
        about = json_of(held.labels[place]())
        listed = about["labels"]
        label = None if listed is None else {posixpath.join(base, str(name)): value for name, value in listed}
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{where} is not StyleGAN's, a mapping with labels [[NAME, NUMBER], ...]: mend or remove it") from error
    if label is None:  # without labels all are alike
        return Arranged(names, np.zeros(len(names), np.int64), ["images"])
    if missing := [name for name in names if name not in label]:
        raise UserError(f"{where} has no label for {missing[0]}, and {len(missing)} are without: add them, or remove it")
    values = [label[name] for name in names]
    if not all(type(value) is int and value >= 0 for value in values):
        raise UserError(f"{where} has labels that are no whole numbers >= 0: classes are numbered from 0")
    y = np.array(values, np.int64)
    return Arranged(names, y, names_of(y, [], where))


def names_of(y: np.ndarray, known: list[str], where: str) -> list[str]:
    """The names of classes, of labels beyond the known ones all numbers. Raises UserError for labels that cannot be classes, as
    the 255 that marks what has none."""
    if y.max() < len(known):
        return known
    classes, there = int(y.max()) + 1, len(np.unique(y))
    if classes > 2 * there + SPARE or (classes == 256 and 254 not in y):
        raise UserError(f"{where} has labels up to {y.max()}, but only {there} different ones: number the classes from 0")
    return [f"{i}" for i in range(classes)]
