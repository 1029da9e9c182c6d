"""Images as p_data: one uint8 tensor, indexed and normalised where the networks are."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ganlab.errors import UserError
from ganlab.pixels import to_float
from ganlab.precision import working
from ganlab.random import generator_of
from ganlab.types import Batch

log = logging.getLogger(__name__)


class Images:
    """x uint8 [N, C, H, W], which may be a memory map, with labels y long [N] and the names of the classes.

    With `flip`, each image of a minibatch is mirrored left to right with probability 1/2; `sample` never mirrors.
    """

    def __init__(
        self, x: Tensor, y: Tensor, classes: list[str], flip: bool = False, origin: Sequence[Callable[[], str]] = ()
    ) -> None:
        self.x, self.y, self.names, self.flip, self.origin = x, y, classes, flip, tuple(origin)
        self.device = x.device  # where batches go; x itself stays behind on the host when it is too large

    def __len__(self) -> int:
        return len(self.x)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.x.shape[1:])

    @property
    def classes(self) -> int:
        return len(self.names)

    @property
    def fingerprint(self) -> str | None:
        """Of the content that the images come from, whatever part of it they are and wherever it lies; None if unknown."""
        return "+".join(dict.fromkeys(find() for find in self.origin)) or None

    def to(self, device: torch.device) -> Images:
        """Batches on `device`; x moves there as well if it takes at most half of the GPU memory that is free."""
        if device == self.device:
            return self
        moved = copy.copy(self)
        moved.device = device
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
        if free is None or 2 * self.x.nbytes <= free:
            moved.x, moved.y = self.x.to(device), self.y.to(device)
        else:
            size = f"{self.x.nbytes / 1e9:.1f} GB of images are over half of the {free / 1e9:.1f} GB free on {device}"
            log.info("%s: they stay on the host", size)
        return moved

    def minibatches(self, t: int, k: int, batch_size: int, seed: int, part: slice) -> Batch:
        """Minibatch i = tk ... tk + k - 1 of the run is piece i mod M of a permutation of its own for epoch i // M.

        M = N // batch_size: each epoch leaves out the N mod batch_size images that its permutation has last. Everything
        is drawn for the whole [k, B] and then cut to `part`, so that the ranks together see what one process would.
        """
        N, B = len(self), batch_size
        if B > N:
            raise UserError(f"batch_size={B} is larger than the {N} images of data: lower it to {N} or less")
        M = N // B
        index = torch.stack(
            [_order(N, seed, i // M, self.x.device)[i % M * B : (i % M + 1) * B] for i in range(t * k, (t + 1) * k)]
        )[:, part]  # [k, b]
        x, y = _send(self._rows(index), self.device), _send(self.y[index], self.device)
        if self.flip:
            heads = torch.rand(k, B, generator=generator_of(seed, "flip", t))[:, part] < 0.5  # [k, b]
            x = torch.where(_send(heads, self.device)[..., None, None, None], x.flip(-1), x)
        return Batch(to_float(x), y)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """x [n, C, H, W] in [-1, 1] and y [n], drawn with replacement, on the generator's device."""
        index = torch.randint(len(self), (n,), generator=generator, device=generator.device).to(self.x.device)
        return to_float(self._rows(index).to(generator.device)), self.y[index].to(generator.device)

    def reference(self, n: int) -> tuple[Tensor, Tensor]:
        """n of the images in their order: all of them, or a random choice that is always the same."""
        N = len(self)
        if n > N:
            raise ValueError(f"{n:,} real images are asked for and the data have {N:,}: set metrics.n_real to {N} or less")
        index = torch.randperm(N, generator=generator_of(0, "reference"))[:n].sort().values
        return to_float(self.x[index.to(self.x.device)]).cpu(), self.y[index.to(self.y.device)].cpu()

    def mean(self) -> Tensor:
        """The mean image [C, H, W] in [-1, 1]."""
        total = torch.stack([part.sum(0, dtype=torch.int64) for part in self.x.split(10_000)]).sum(0)
        return working(total.double().div(len(self)).mul(2 / 255).sub(1))

    def _rows(self, index: Tensor) -> Tensor:
        # on the CPU index_select copies whole rows, several times as fast as x[index]
        return self.x.index_select(0, index.flatten()).unflatten(0, index.shape)


@lru_cache(maxsize=4)  # an iteration needs one epoch's, or two at a border
def _order(n: int, seed: int, epoch: int, device: torch.device) -> Tensor:
    return _send(torch.randperm(n, generator=generator_of(seed, "order", epoch)), device)  # [N]


def _send(x: Tensor, device: torch.device) -> Tensor:
    """x on the device; from the host by way of pinned memory, since the CPU would wait for a copy from any other."""
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" and not x.is_cuda else x.to(device)
