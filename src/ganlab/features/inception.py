"""The standard Inception of FID, KID and IS, in torch-fidelity's conversion, from a file: machines may have no network."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn

from ganlab.errors import UserError
from ganlab.features.extractor import SHORT, Frozen
from ganlab.features.weights import damage_told, weights_file
from ganlab.pixels import to_uint8

STANDARD = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"  # sha256 of the standard file
SIZE = "95.6 MB"  # of it: 95,628,359 bytes
LAYERS = ("2048", "logits_unbiased")  # torch-fidelity's defaults for FID and KID, and for IS


class Inception(Frozen):
    """torch-fidelity's FeatureExtractorInceptionV3 as an Extractor: features [n, 2048] and logits [n, 1008] without their bias.

    Images of any size are rounded to 8 bits and resized to 299 x 299 as TensorFlow 1 did; grey ones are repeated to RGB.
    """

    def __init__(self, net: nn.Module, file_sha256: str) -> None:
        standard = file_sha256 == STANDARD
        card = {"name": "Inception v3 of 2015-12-05" if standard else "Inception v3 with other weights than the standard ones",
                "code": f"torch-fidelity {version('torch-fidelity')}", "file": file_sha256[:SHORT], "size": [3, 299, 299],
                "resize": "bilinear as in TensorFlow 1, from 8 bits; grey repeated to RGB"}  # fmt: skip
        super().__init__(_OnBytes(net), 2048, 1008, 50, card)


class _OnBytes(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = self.net(to_uint8(x).expand(-1, 3, -1, -1))
        return features, logits


def inception(weights: str | None) -> Inception:
    """The Inception whose weights are in a file, or where null in torch hub's cache, where torch-fidelity would download them
    to. All who name the same file share one net, and what it saw last. Nothing is downloaded.

    Raises UserError where the file is missing, damaged or something else, and without torch-fidelity.
    """
    try:
        from torch_fidelity import feature_extractor_inceptionv3 as fidelity
    except ImportError as error:
        raise UserError("Inception needs torch-fidelity, which is not installed: pip install 'ganlab[fid]'") from error
    url = fidelity.URL_INCEPTION_V3
    path, stat = weights_file(weights, Path(url).name, "Inception", f"{url} ({SIZE})")
    return _open(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2)
def _open(path: Path, mtime: int, size: int) -> Inception:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    with damage_told(path, "torch-fidelity's Inception") as sha256:
        torch.load(path, map_location="cpu", weights_only=True)  # torch-fidelity would run whatever the file says
        net = FeatureExtractorInceptionV3("inception-v3-compat", list(LAYERS), feature_extractor_weights_path=str(path))
    return Inception(net, sha256)
