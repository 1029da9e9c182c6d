"""IDX, the file format of MNIST: bytes 0, 0, 8 (uint8) and the number of axes, their lengths as big-endian int32, data.

http://yann.lecun.com/exdb/mnist/

Read here and not by torchvision's `read_sn3_pascalvincent_tensor`, which gives the same numbers (a test compares them) but
reads the file into memory of each process (MNIST: 47 MB, 91 at its peak, and 0.2 s, against a memory map that all jobs of a
machine share, in 1 ms), does not read .gz, and of a damaged file says `AssertionError` alone.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganlab.errors import UserError

DEFLATE = 1032  # bytes that one of a .gz can hold at most
_PREFIX = {"train": "train", "test": "t10k"}


def find_idx(folder: Path, split: str) -> tuple[Path, Path] | None:
    """The files of images and labels of a split, train or test, in the folder, plain rather than .gz; or None.

    Raises UserError for images without labels.
    """
    for suffix in ("", ".gz"):
        images = folder / f"{_PREFIX[split]}-images-idx3-ubyte{suffix}"
        if images.is_file():
            return images, labels_beside(images)
    return None


def is_idx(path: Path) -> bool:
    return path.is_file() and "-images-idx3-ubyte" in path.name


def labels_beside(images: Path) -> Path:
    """The labels that belong to a file of images, next to it, plain or .gz. Raises UserError if there are none."""
    plain = images.with_name(images.name.removesuffix(".gz").replace("-images-idx3-", "-labels-idx1-"))
    for labels in (plain, plain.with_name(f"{plain.name}.gz")):
        if labels.is_file():
            return labels
    raise UserError(f"{images} has no labels: put {plain.name} or {plain.name}.gz next to it")


def read_idx_pair(images: Path, labels: Path) -> tuple[Tensor, Tensor]:
    """x uint8 [N, H, W], memory-mapped if its file is plain, and y long [N]. Raises UserError if they do not match."""
    x, y = read_idx(images, axes=3), read_idx(labels, axes=1)
    if len(x) != len(y):
        raise UserError(f"{images} has {len(x):,} images but {labels} has {len(y):,} labels: download both again")
    if len(x) == 0:
        raise UserError(f"{images} holds no images: download it again")
    return x, y.long()


def read_idx(path: Path, axes: int) -> Tensor:
    """The uint8 tensor of a file with this number of axes; memory-mapped if plain, read into memory if .gz.

    Raises UserError for a file that is missing, empty, truncated, or not IDX.
    """
    try:
        data = _content(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the path and its permissions") from error
    if data.size == 0:
        raise UserError(f"{path} is empty: download it again")
    magic, expected = bytes(data[:4]), bytes([0, 0, 8, axes])
    if magic != expected[: len(magic)]:
        raise UserError(
            f"{path} is not an IDX file of {'images' if axes == 3 else 'labels'}: its magic number is 0x{magic.hex()}, "
            f"expected 0x{expected.hex()}"
        )
    start = 4 + 4 * axes
    shape = struct.unpack(f">{axes}I", data[4:start].tobytes()) if data.size >= start else None
    size = start + (math.prod(shape) if shape else 0)
    if shape is None or data.size != size:
        state = "truncated" if data.size < size else "too long"
        raise UserError(f"{path} is {state}: expected {size:,} bytes, has {data.size:,}: download it again")
    return torch.from_numpy(data[start:].reshape(shape))


def _content(path: Path) -> np.ndarray:
    """All bytes of the file, uint8 [n]."""
    if path.suffix == ".gz":
        try:
            with gzip.open(path) as file:
                head = file.read(4)
                lengths = file.read(4 * head[3]) if len(head) == 4 else b""
                size = math.prod(struct.unpack(f">{len(lengths) // 4}I", lengths[: len(lengths) // 4 * 4]))
                # one byte more than it says, so that more is noticed; and no memory for what deflate cannot hold
                rest = file.read(min(size, DEFLATE * path.stat().st_size) + 1)
                return np.frombuffer(bytearray(head + lengths + rest), np.uint8)  # bytearray: torch wants memory it may write
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(f"{path} is a truncated or damaged .gz file ({error}): download it again") from error
    if path.stat().st_size == 0:
        return np.empty(0, np.uint8)  # which mmap refuses
    return np.memmap(path, np.uint8, mode="c")  # copy-on-write: torch wants memory that it may write
