"""What extractors share: a frozen net, run in pieces, that remembers what it saw last."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import TensorWeakRef

from ganlab.errors import UserError
from ganlab.features.kept import Kept
from ganlab.precision import working
from ganlab.types import Features

SHORT = 16  # hexadecimal digits of a sha256 that tell one thing from another


class Frozen:
    """An Extractor from a net that maps images [n, C, H, W] in [-1, 1] to (features [n, d], logits [n, K]).

    The net follows x to its device. Metrics that ask for the same tensor one after the other share one forward pass: x is
    recognised by identity, and by its version, so that one changed in place is looked at again. (torchmetrics' FeatureShare
    shares too, but keeps what it saw alive and does not notice a change in place.) No object of torch.nn itself, so that a
    metric that holds one neither copies nor saves its weights.
    """

    def __init__(self, net: nn.Module, dims: int, classes: int, chunk: int, about: Mapping[str, object]) -> None:
        self.net = net.eval().requires_grad_(False)
        self.dims, self.classes, self.chunk = dims, classes, chunk
        self._card = {"name": about["name"], "sha256": sha256(net.state_dict()), **about}
        self._last: tuple[TensorWeakRef, int | None, Features] | None = None
        self._kept: Kept | None = None

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises UserError where the net cannot look at images of this shape (C, H, W)."""
        if len(shape) != 3 or shape[0] not in (1, 3):
            raise UserError(f"{self._card['name']} looks at images (C, H, W) with C = 1 or 3 but is given {list(shape)}")

    def __call__(self, x: Tensor) -> Features:
        self.check(tuple(x.shape[1:]))
        version = None if x.is_inference() else x._version
        if self._last is None or self._last[0]() is not x or self._last[1] != version:
            self._last = (TensorWeakRef(x), version, self._known(x) if self._kept else self._look(x))
        return self._last[2]

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """In here it looks at data, which others will look at, too: what was seen of them before is read, as in `kept`."""
        before, self._kept = self._kept, Kept({**self._card, "chunk": self.chunk})
        try:
            yield
        finally:
            self._kept = before

    def _known(self, x: Tensor) -> Features:
        assert self._kept is not None
        if (seen := self._kept.read(x)) is None:
            self._kept.write(x, seen := self._look(x))
        return seen

    @torch.no_grad()
    def _look(self, x: Tensor) -> Features:
        self.net.to(x.device)
        # the same numbers whatever precision G trains in, and on a GPU as on a CPU
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        with torch.autocast(x.device.type, enabled=False), exact:
            seen = [self.net(working(part)) for part in x.split(self.chunk)]
        return Features(*(torch.cat(layer).float() for layer in zip(*seen, strict=True)))

    def card(self) -> dict[str, object]:
        return dict(self._card)

    def __deepcopy__(self, memo: dict[int, Any]) -> Frozen:
        return self  # nothing of it ever changes but the device


def sha256(tensors: Mapping[str, Tensor]) -> str:
    """The first digits of the sha256 of tensors: of the name, type, shape and bytes of each, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)  # numpy has no bfloat16
    return digest.hexdigest()[:SHORT]
