"""CLIP's image encoder (Radford et al., 2021) in torch-fidelity's code, from a file. Its features follow people's judgement of
images better than Inception's do (Stein et al., 2023; Kynkäänniemi et al., 2023)."""

from __future__ import annotations

import warnings
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn

from ganlab.errors import UserError
from ganlab.features.extractor import SHORT, Frozen
from ganlab.features.prepared import RESIZE, Prepared
from ganlab.features.weights import damage_told, weights_file

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of CLIP's training, of 0 ... 1


class Clip(Frozen):
    """An Extractor whose features [n, d] are CLIP's of images, rounded to 8 bits; it has no classes, so its logits are 0."""

    def __init__(self, visual: nn.Module, name: str, standard: bool, file_sha256: str) -> None:
        side = int(visual.input_resolution)  # type: ignore[arg-type]
        card = {"name": f"CLIP {name}" if standard else f"CLIP {name} with other weights than OpenAI's",
                "code": f"torch-fidelity {version('torch-fidelity')}", "file": file_sha256[:SHORT], "size": [3, side, side],
                "resize": RESIZE}  # fmt: skip
        prepared = Prepared(visual, side, MEAN, STD)
        with torch.no_grad():
            dims = int(prepared(torch.zeros(1, 3, 8, 8))[0].shape[1])
        super().__init__(prepared, dims, 1, 50, card)


def clip(weights: str | None, name: str = "clip-vit-b-32") -> Clip:
    """The encoder whose weights are in a file: OpenAI's archive, or a state dict that torch.save has written. Where null it is
    where torch-fidelity would download it to, in torch hub's cache. Nothing is downloaded.

    Raises UserError where the file is missing, damaged or something else, for an unknown name, and without torch-fidelity.
    """
    try:
        from torch_fidelity.feature_extractor_clip import MODEL_METADATA
    except ImportError as error:
        raise UserError("CLIP needs torch-fidelity, which is not installed: pip install 'ganlab[fid]'") from error
    if name not in MODEL_METADATA:
        raise UserError(f"features.name = {name}: there is no such CLIP, use one of {', '.join(MODEL_METADATA)}")
    sha256 = MODEL_METADATA[name]["hash"]
    download = f"OpenAI's {MODEL_METADATA[name]['filename']}.pt"
    path, stat = weights_file(weights, f"{name}-{sha256}.pt", "CLIP", download)
    return _open(path, name, sha256, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2)
def _open(path: Path, name: str, expected: str, mtime: int, size: int) -> Clip:
    from torch_fidelity.feature_extractor_clip import build_model

    with damage_told(path, "CLIP") as found:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TorchScript, which OpenAI's archives are
            # an archive is a program: only the one that is known is opened as such
            archive = found == expected
            state = torch.jit.load(path, map_location="cpu").state_dict() if archive else torch.load(path, weights_only=True)
        return Clip(build_model(dict(state), torch.float32).visual, name, archive, found)
